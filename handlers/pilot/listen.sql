-- name: orders
SELECT number, "order", job_id, attempt FROM pilot.orders
WHERE pilot_id = %(pilot_id)s AND number > %(after)s ORDER BY number LIMIT 100;
