-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: chosen
SELECT job_id, owner, owner_group, vo FROM job.chosen(%(asked)s::jsonb, %(seen)s::jsonb, %(after)s, %(most)s, false);

-- name: delete
SELECT * FROM job.delete_all(%(job_ids)s::bigint[], %(legal)s::text[], %(at)s, 'job.delete', %(event_id)s);
