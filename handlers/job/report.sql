-- name: job
SELECT job_id, owner, vo, state, minor_status, attempt, version, pilot_id FROM job.jobs WHERE job_id = %(job_id)s;

-- name: disarm
DELETE FROM bus.timers WHERE timer = 'match/' || %(job_id)s::bigint;

-- name: isolation
UPDATE job.jobs SET isolation = %(isolation)s WHERE job_id = %(job_id)s;

-- name: result
UPDATE job.jobs
SET exit_code = coalesce(%(exit_code)s, exit_code), output_digest = coalesce(%(output_digest)s, output_digest),
    output_bytes = coalesce(%(output_bytes)s, output_bytes)
WHERE job_id = %(job_id)s;

-- name: move
SELECT job.move(%(job_id)s, %(version)s, %(state)s, %(minor_status)s, %(application)s, %(at)s, 'job.report', %(event_id)s);
