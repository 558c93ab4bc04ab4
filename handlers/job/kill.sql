-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: chosen
SELECT job_id, owner, owner_group, vo FROM job.chosen(%(asked)s::jsonb, %(seen)s::jsonb, %(after)s, %(most)s, false);

-- name: kill
SELECT * FROM job.kill_all(%(job_ids)s::bigint[], %(at_once)s::text[], %(on_pilot)s::text[], %(by)s, %(at)s, %(event_id)s, %(valid_s)s);
