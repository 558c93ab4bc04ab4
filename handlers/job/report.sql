-- name: job
SELECT job_id, owner, vo, state, minor_status, attempt, version, pilot_id FROM job.jobs WHERE job_id = %(job_id)s;

-- name: disarm
DELETE FROM bus.timers WHERE timer IN ('match/' || %(job_id)s::bigint, 'lease/' || %(job_id)s::bigint);

-- name: begin
-- A pilot that has not asked for a lease has one all the same: no running job is without a deadline.
WITH started AS (DELETE FROM bus.timers WHERE timer = 'match/' || %(job_id)s::bigint)
INSERT INTO bus.timers
SELECT 'lease/' || j.job_id, clock_timestamp() + make_interval(secs => policy.lease_s + policy.grace_s), 'job.lease_expired.v1',
       j.job_id::text, jsonb_build_object('job_id', j.job_id, 'attempt', j.attempt)
FROM job.jobs j CROSS JOIN LATERAL site.policy(j.site) policy WHERE j.job_id = %(job_id)s
ON CONFLICT (timer) DO NOTHING;

-- name: isolation
UPDATE job.jobs SET isolation = %(isolation)s WHERE job_id = %(job_id)s;

-- name: result
UPDATE job.jobs
SET exit_code = coalesce(%(exit_code)s, exit_code), output_digest = coalesce(%(output_digest)s, output_digest),
    output_bytes = coalesce(%(output_bytes)s, output_bytes)
WHERE job_id = %(job_id)s;

-- name: move
SELECT job.move(%(job_id)s, %(version)s, %(state)s, %(minor_status)s, %(application)s, %(at)s, 'job.report', %(event_id)s);
