-- name: submission
SELECT owner, digest, first_job_id, count FROM job.submissions WHERE submission = %(submission)s;

-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: sites
SELECT site, status, max_processors, max_ram_mb, max_cpu_time_s, tags, storage_elements FROM site.sites;

-- name: allot
SELECT job.allot(%(count)s) AS first_job_id;

-- name: accept
INSERT INTO job.submissions (submission, owner, owner_group, vo, digest, first_job_id, count, submitted_at, event)
VALUES (%(submission)s, %(owner)s, %(owner_group)s, %(vo)s, %(digest)s, %(first_job_id)s, %(count)s, %(at)s, %(event_id)s);

-- name: store
SELECT job.store(%(rows)s::json, %(submission)s::uuid, %(first_job_id)s::bigint, %(owner)s, %(owner_group)s, %(vo)s, NULL,
                 'Received', 'Job accepted', %(at)s::timestamptz);

-- name: tell
INSERT INTO job.history (job_id, number, at, state, minor_status, application_status, attempt, source, event_id)
SELECT job_id, 1, %(at)s::timestamptz, 'Received', 'Job accepted', '', 1, 'job.submit', %(event_id)s::uuid
FROM generate_series(%(first_job_id)s::bigint, %(first_job_id)s::bigint + %(count)s::integer - 1) job_id;

-- name: missing
SELECT digest FROM file.missing(%(digests)s::json) digest ORDER BY 1 LIMIT 1;

-- name: need
INSERT INTO file.uses (holder, digest)
SELECT 'submission/' || %(submission)s::uuid, digest FROM json_array_elements_text(%(digests)s::json) digest ON CONFLICT DO NOTHING;
