-- name: job
SELECT job_id, state, attempt, version, reschedules, pilot_id FROM job.jobs WHERE job_id = %(job_id)s;

-- name: attempt
UPDATE job.jobs SET attempt = %(attempt)s, reschedules = %(reschedules)s, pilot_id = NULL, site = NULL WHERE job_id = %(job_id)s;

-- name: move
SELECT job.move(%(job_id)s, %(version)s, %(state)s, %(minor)s, %(application)s, %(at)s, 'job.expire', %(event_id)s);
