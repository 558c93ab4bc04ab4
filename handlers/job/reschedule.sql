-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: chosen
SELECT owner, owner_group, vo, string_agg(job_id::text, ',' ORDER BY job_id) AS job_ids, max(job_id) AS last_job_id, count(*) AS count
FROM job.chosen(%(asked)s::jsonb, %(seen)s::jsonb, %(after)s, %(most)s, false) GROUP BY 1, 2, 3;

-- name: reschedule
SELECT * FROM job.reschedule_all(%(job_ids)s::bigint[], %(legal)s::text[], %(on_pilot)s::text[], %(most)s, %(delays_s)s::integer[],
                                 %(by)s, %(at)s, %(event_id)s, %(valid_s)s);
