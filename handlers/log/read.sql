-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: job
SELECT owner, owner_group, vo FROM job.jobs WHERE job_id = %(job_id)s;

-- name: lines
SELECT l.attempt, l.stream, l.number, to_char(l.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, l.text
FROM log.lines l
LEFT JOIN unnest(%(streams)s::text[], %(numbers)s::bigint[]) AS seen (stream, number) ON seen.stream = l.attempt || '/' || l.stream
WHERE l.subject = %(subject)s AND l.number > coalesce(seen.number, 0)
ORDER BY l.attempt, l.at, l.stream, l.number LIMIT %(limit)s;
