-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: groups
SELECT vo, owner_group, owner, job_group, json_object_agg(state, jobs ORDER BY state) AS counts
FROM job.groups, (SELECT %(seen)s::jsonb AS far) seen
WHERE (owner = far->>'own' OR far->'vos' ? vo OR far->'groups' @> jsonb_build_array(jsonb_build_array(owner_group, vo)))
  AND (%(job_group)s::text IS NULL OR job_group = %(job_group)s::text)
  AND (%(owner)s::text IS NULL OR owner = %(owner)s::text)
  AND (%(owner_group)s::text IS NULL OR owner_group = %(owner_group)s::text)
  AND (vo, owner_group, owner, job_group) > (%(after_vo)s::text, %(after_owner_group)s::text, %(after_owner)s::text,
                                             %(after_job_group)s::text)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT %(most)s;
