-- name: jobs
SELECT job_id, attempt, state, minor_status, left(application_status, 300) AS application_status, job_name, job_group, owner,
       site, pilot_id, exit_code, output_digest, output_bytes,
       to_char(submitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS submitted_at,
       to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS changed_at
FROM job.jobs
WHERE owner = %(owner)s AND job_id > %(after)s
  AND (%(job_ids)s::bigint[] IS NULL OR job_id = ANY(%(job_ids)s::bigint[]))
  AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))
ORDER BY job_id LIMIT %(limit)s;

-- name: newest
SELECT job_id, attempt, state, minor_status, left(application_status, 300) AS application_status, job_name, job_group, owner,
       site, pilot_id, exit_code, output_digest, output_bytes,
       to_char(submitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS submitted_at,
       to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS changed_at
FROM job.jobs
WHERE owner = %(owner)s   AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))
ORDER BY job_id DESC LIMIT %(limit)s;

-- name: history
SELECT job_id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, state, minor_status,
       left(application_status, 300) AS application_status, attempt, source
FROM job.history WHERE job_id = ANY(%(job_ids)s) ORDER BY job_id, number;
