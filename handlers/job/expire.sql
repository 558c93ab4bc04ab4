-- name: job
SELECT job_id, owner, vo, state, attempt, version, reschedules, pilot_id, EXISTS (
    SELECT FROM pilot.orders o WHERE o.job_id = j.job_id AND o.attempt = j.attempt AND o."order" = 'kill'
) AS kill_ordered
FROM job.jobs j WHERE job_id = %(job_id)s;

-- name: order
INSERT INTO pilot.orders (pilot_id, "order", job_id, attempt, given_at)
VALUES (%(pilot_id)s, 'kill', %(job_id)s, %(attempt)s, %(at)s) ON CONFLICT DO NOTHING;

-- name: take_back
UPDATE job.jobs SET attempt = %(attempt)s, reschedules = %(reschedules)s, pilot_id = NULL, site = NULL WHERE job_id = %(job_id)s;

-- name: move
SELECT job.move(%(job_id)s, %(version)s, %(state)s, %(minor_status)s, %(application_status)s, %(at)s, 'job.expire', %(event_id)s);
