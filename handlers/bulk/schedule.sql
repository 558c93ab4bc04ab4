-- name: submission
SELECT owner, owner_group, vo, state FROM job.submissions WHERE submission = %(submission)s;

-- name: shapes
SELECT shape, requirements FROM job.shapes WHERE submission = %(submission)s AND shape IN (
    SELECT DISTINCT shape FROM job.jobs WHERE job_id BETWEEN %(first_job_id)s AND %(last_job_id)s AND submission = %(submission)s);

-- name: sites
SELECT site, status, max_processors, max_ram_mb, max_cpu_time_s, tags FROM site.sites;

-- name: fail
WITH moved AS (
    UPDATE job.jobs
    SET state = 'Failed', minor_status = 'No candidate site', application_status = %(reason)s::text, version = version + 2,
        changed_at = %(at)s::timestamptz
    WHERE job_id BETWEEN %(first_job_id)s::bigint AND %(last_job_id)s::bigint AND submission = %(submission)s::uuid
      AND state = 'Received' AND shape = %(shape)s::integer
    RETURNING job_id
), parts AS (
    SELECT unnest(range_agg(int8range(job_id, job_id, '[]'))) AS jobs FROM moved
), told AS (
    INSERT INTO job.history_ranges (jobs, number, at, state, minor_status, application_status, attempt, source, event_id)
    SELECT p.jobs, 3, coalesce(s.confirmed_at, %(at)s::timestamptz), 'Checking', 'JobSanity', '', 1, 'bulk.check', NULL
    FROM parts p CROSS JOIN job.submissions s WHERE s.submission = %(submission)s::uuid
    UNION ALL
    SELECT jobs, 4, %(at)s::timestamptz, 'Failed', 'No candidate site', %(reason)s::text, 1, 'bulk.schedule', %(event_id)s::uuid FROM parts
)
SELECT lower(jobs) AS first, upper(jobs) - 1 AS last FROM parts ORDER BY 1;

-- name: wait
-- Two steps in one write: the jobs were Checking since they were confirmed, and wait from now on.
WITH moved AS (
    UPDATE job.jobs j
    SET state = 'Waiting', minor_status = 'Pilot Agent Submission', version = version + 2, changed_at = %(at)s::timestamptz,
        queue_id = q.queue_id
    FROM job.shapes s JOIN match.queues q ON q.digest = s.digest
    WHERE j.job_id BETWEEN %(first_job_id)s::bigint AND %(last_job_id)s::bigint AND j.submission = %(submission)s::uuid
      AND j.state = 'Received' AND s.submission = %(submission)s::uuid AND s.shape = j.shape
    RETURNING j.job_id, j.queue_id, j.priority
), parts AS (
    SELECT unnest(range_agg(int8range(job_id, job_id, '[]'))) AS jobs FROM moved
), told AS (
    INSERT INTO job.history_ranges (jobs, number, at, state, minor_status, attempt, source, event_id)
    SELECT p.jobs, 3, coalesce(s.confirmed_at, %(at)s::timestamptz), 'Checking', 'JobSanity', 1, 'bulk.check', NULL
    FROM parts p CROSS JOIN job.submissions s WHERE s.submission = %(submission)s::uuid
    UNION ALL
    SELECT jobs, 4, %(at)s::timestamptz, 'Waiting', 'Pilot Agent Submission', 1, 'bulk.schedule', %(event_id)s::uuid FROM parts
)
SELECT queue_id, priority, count(*) AS count FROM moved GROUP BY 1, 2 ORDER BY 1, 2;
