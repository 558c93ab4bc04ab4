-- name: pilot
SELECT pilot_id FROM pilot.pilots WHERE pilot_id = %(pilot_id)s;

-- name: order
INSERT INTO pilot.orders (pilot_id, "order", given_at) VALUES (%(pilot_id)s, 'drain', %(at)s)
ON CONFLICT (pilot_id, "order", job_id, attempt) DO UPDATE SET pilot_id = excluded.pilot_id RETURNING number;
