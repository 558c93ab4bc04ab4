-- name: hold
SELECT job.hold(%(submission)s::uuid) AS ours;

-- name: submission
SELECT owner, digest, first_job_id, count, state,
       to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS expires_at
FROM job.submissions WHERE submission = %(submission)s;

-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: sites
SELECT site, status, max_processors, max_ram_mb, max_cpu_time_s, tags, storage_elements FROM site.sites;

-- name: allot
SELECT job.allot(%(count)s) AS first_job_id;

-- name: template
INSERT INTO job.templates (submission, body) VALUES (%(submission)s, %(body)s::json) RETURNING template_id;

-- name: store
SELECT job.store(%(rows)s::json, %(submission)s::uuid, %(first_job_id)s::bigint, %(owner)s, %(owner_group)s, %(vo)s,
                 %(template_id)s::bigint, 'Submitting', 'Bulk transaction confirmation', %(at)s::timestamptz);

-- name: store_alike
INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, job_type, state, minor_status, priority,
                      template_id, place, shape, submitted_at, changed_at)
SELECT %(first_job_id)s::bigint + place, %(submission)s::uuid, %(owner)s, %(owner_group)s, %(vo)s, %(job_name)s, %(job_group)s,
       %(job_type)s, 'Submitting', 'Bulk transaction confirmation', %(priority)s::integer, %(template_id)s::bigint, place,
       %(shape)s::integer, %(at)s::timestamptz, %(at)s::timestamptz
FROM generate_series(%(place)s::integer, %(last)s::integer) place;

-- name: tell
INSERT INTO job.history_ranges (jobs, number, at, state, minor_status, attempt, source, event_id)
VALUES (int8range(%(first_job_id)s::bigint, %(first_job_id)s::bigint + %(count)s::integer), 1, %(at)s, 'Submitting',
        'Bulk transaction confirmation', 1, 'bulk.submit', %(event_id)s);

-- name: shapes
INSERT INTO job.shapes (submission, shape, digest, requirements)
SELECT %(submission)s::uuid, shape, digest, requirements
FROM json_to_recordset(%(shapes)s::json) AS s (shape integer, digest text, requirements jsonb);

-- name: accept
-- The time to confirm begins when all is stored.
WITH accepted AS (
    INSERT INTO job.submissions AS known (submission, owner, owner_group, vo, digest, first_job_id, count, submitted_at, event, state,
                                          expires_at)
    VALUES (%(submission)s, %(owner)s, %(owner_group)s, %(vo)s, %(digest)s, %(first_job_id)s, %(count)s, %(at)s, %(event_id)s,
            'Submitting', clock_timestamp() + make_interval(secs => %(expires_s)s::integer))
    ON CONFLICT (submission) DO UPDATE
    SET owner_group = excluded.owner_group, vo = excluded.vo, submitted_at = excluded.submitted_at, event = excluded.event,
        state = excluded.state, expires_at = excluded.expires_at
    -- else somebody has used the key meanwhile
    WHERE known.state = 'Removed'
    RETURNING submission, state, expires_at
), armed AS (
    INSERT INTO bus.timers (timer, due_at, type, subject, data)
    SELECT 'bulk/' || submission, expires_at, 'bulk.expired.v1', submission::text, jsonb_build_object('submission', submission)
    FROM accepted ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at
)
SELECT state, to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS expires_at FROM accepted;

-- name: missing
SELECT digest FROM file.missing(%(digests)s::json) digest ORDER BY 1 LIMIT 1;

-- name: need
INSERT INTO file.uses (holder, digest)
SELECT 'submission/' || %(submission)s::uuid, digest FROM json_array_elements_text(%(digests)s::json) digest ON CONFLICT DO NOTHING;
