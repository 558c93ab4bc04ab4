-- name: job
SELECT job_id, state, attempt, version FROM job.jobs WHERE job_id = %(job_id)s;

-- name: move
SELECT job.move(%(job_id)s, %(version)s, 'Checking', 'JobSanity', NULL, %(at)s, 'job.check', %(event_id)s);
