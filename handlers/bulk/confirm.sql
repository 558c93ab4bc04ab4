-- name: hold
SELECT job.hold(%(submission)s::uuid) AS ours;

-- name: submission
SELECT owner, owner_group, vo, first_job_id, count, state,
       to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS expires_at
FROM job.submissions WHERE submission = %(submission)s;

-- name: submitting
SELECT count(*) AS jobs FROM job.jobs
WHERE job_id BETWEEN %(first)s AND %(last)s AND submission = %(submission)s AND state = 'Submitting';

-- name: receive
WITH moved AS (
    UPDATE job.jobs SET state = 'Received', minor_status = 'Job accepted', version = version + 1, changed_at = %(at)s
    WHERE job_id BETWEEN %(first)s AND %(last)s AND submission = %(submission)s AND state = 'Submitting' RETURNING job_id
)
SELECT count(*) AS jobs FROM moved;

-- name: confirm
WITH told AS (
    INSERT INTO job.history_ranges (jobs, number, at, state, minor_status, attempt, source, event_id)
    VALUES (int8range(%(first_job_id)s::bigint, %(first_job_id)s::bigint + %(count)s::integer), 2, %(at)s::timestamptz, 'Received',
            'Job accepted', 1, 'bulk.confirm', %(event_id)s::uuid)
), disarmed AS (
    DELETE FROM bus.timers WHERE timer = 'bulk/' || %(submission)s::uuid
)
UPDATE job.submissions SET state = 'Received', confirmed_at = %(at)s::timestamptz WHERE submission = %(submission)s::uuid;
