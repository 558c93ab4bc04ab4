-- name: orders
SELECT number, "order", job_id, attempt, level, ceil(extract(epoch FROM expires_at - clock_timestamp()))::integer AS valid_s
FROM pilot.orders
WHERE pilot_id = %(pilot_id)s AND number > %(after)s AND outcome IS NULL AND expires_at > clock_timestamp()
ORDER BY number LIMIT 100;
