-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: chosen
SELECT job_id, owner, owner_group, vo FROM job.chosen(%(asked)s::jsonb, %(seen)s::jsonb, %(after)s, %(most)s, false);

-- name: reschedule
SELECT * FROM job.reschedule_all(%(job_ids)s::bigint[], %(legal)s::text[], %(on_pilot)s::text[], %(most)s, %(delays_s)s::integer[],
                                 %(by)s, %(at)s, %(event_id)s, %(valid_s)s);
