-- name: submission
SELECT owner, digest, first_job_id, count FROM job.submissions WHERE submission = %(submission)s;

-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: sites
SELECT site, status, max_processors, max_ram_mb, max_cpu_time_s, tags FROM site.sites;

-- name: allot
-- The row's lock makes ids of one submission consecutive.
UPDATE job.counter SET last_job_id = last_job_id + %(count)s RETURNING last_job_id;

-- name: accept
INSERT INTO job.submissions (submission, owner, digest, first_job_id, count, submitted_at)
VALUES (%(submission)s, %(owner)s, %(digest)s, %(first_job_id)s, %(count)s, %(at)s);

-- name: insert_jobs
WITH made AS (
    INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status,
                          priority, description, submitted_at, changed_at)
    SELECT job_id, %(submission)s::uuid, %(owner)s, %(owner_group)s, %(vo)s, job_name, job_group, 'Received', 'Job accepted',
           priority, description, %(at)s::timestamptz, %(at)s::timestamptz
    FROM json_to_recordset(%(jobs)s::json)
        AS (job_id bigint, job_name text, job_group text, priority integer, description json)
    RETURNING job_id
)
INSERT INTO job.history (job_id, number, at, state, minor_status, application_status, attempt, source, event_id)
SELECT job_id, 1, %(at)s::timestamptz, 'Received', 'Job accepted', '', 1, 'job.submit', %(event_id)s::uuid FROM made;
