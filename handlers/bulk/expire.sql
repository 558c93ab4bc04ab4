-- name: hold
SELECT job.hold(%(submission)s::uuid) AS ours;

-- name: submission
SELECT owner, owner_group, vo, first_job_id, count, state, expires_at <= clock_timestamp() AS over,
       to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS expires_at
FROM job.submissions WHERE submission = %(submission)s;

-- name: remove
DELETE FROM job.jobs WHERE job_id BETWEEN %(first)s AND %(last)s AND submission = %(submission)s;

-- name: forget
WITH template AS (
    DELETE FROM job.templates WHERE submission = %(submission)s::uuid
), shapes AS (
    DELETE FROM job.shapes WHERE submission = %(submission)s::uuid
), told AS (
    DELETE FROM job.history_ranges WHERE jobs <@ int8range(%(first)s::bigint, %(last)s::bigint, '[]')
)
UPDATE job.submissions SET state = 'Removed' WHERE submission = %(submission)s::uuid;
