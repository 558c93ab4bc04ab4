-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: jobs
SELECT * FROM job.shown
WHERE owner = %(owner)s AND job_id > %(after)s AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))
ORDER BY job_id LIMIT %(limit)s;

-- name: newest
SELECT * FROM job.shown
WHERE owner = %(owner)s AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))
ORDER BY job_id DESC LIMIT %(limit)s;

-- name: others
SELECT * FROM job.shown
WHERE job_id > %(after)s
  AND (owner = %(account)s::text OR vo = ANY(%(vos)s::text[])
       OR (owner_group, vo) IN (SELECT * FROM unnest(%(groups)s::text[], %(group_vos)s::text[])))
  AND (%(job_ids)s::bigint[] IS NULL OR job_id = ANY(%(job_ids)s::bigint[]))
  AND (%(owner)s::text IS NULL OR owner = %(owner)s::text)
  AND (%(owner_group)s::text IS NULL OR owner_group = %(owner_group)s::text)
  AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))
ORDER BY job_id LIMIT %(limit)s;

-- name: others_newest
SELECT * FROM job.shown
WHERE true
  AND (owner = %(account)s::text OR vo = ANY(%(vos)s::text[])
       OR (owner_group, vo) IN (SELECT * FROM unnest(%(groups)s::text[], %(group_vos)s::text[])))
  AND (%(job_ids)s::bigint[] IS NULL OR job_id = ANY(%(job_ids)s::bigint[]))
  AND (%(owner)s::text IS NULL OR owner = %(owner)s::text)
  AND (%(owner_group)s::text IS NULL OR owner_group = %(owner_group)s::text)
  AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))
ORDER BY job_id DESC LIMIT %(limit)s;

-- name: history
SELECT job_id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, state, minor_status,
       left(application_status, 300) AS application_status, attempt, source
FROM job.steps(%(job_ids)s::bigint[]) ORDER BY job_id, number;
