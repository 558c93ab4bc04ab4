-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: job
SELECT owner, owner_group, vo FROM job.jobs WHERE job_id = %(job_id)s;

-- name: chunks
-- Of the first attempt that has lines which were not seen: of each stream as many chunks as make a page.
WITH waiting AS (
    SELECT c.attempt, c.stream, c.first_number, c.said_at, c.count, coalesce(s.number, 0) AS seen
    FROM log.chunks c
    LEFT JOIN unnest(%(streams)s::text[], %(numbers)s::bigint[]) AS s (stream, number) ON s.stream = c.attempt || '/' || c.stream
    WHERE c.subject = %(subject)s AND c.last_number > coalesce(s.number, 0)
      AND (%(stream)s::text IS NULL OR c.stream = %(stream)s) AND (%(attempt)s::int IS NULL OR c.attempt = %(attempt)s)
), placed AS (
    SELECT w.*, coalesce(sum(w.count) OVER (PARTITION BY w.stream ORDER BY w.first_number, w.said_at
                                            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before,
           sum(w.count) OVER (PARTITION BY w.stream) AS total
    FROM waiting w WHERE w.attempt = (SELECT min(attempt) FROM waiting)
), wanted AS (
    SELECT p.*, p.total > max(p.before + p.count) OVER (PARTITION BY p.stream) AS unread
    FROM placed p WHERE p.before <= %(limit)s
)
SELECT w.attempt, w.stream, w.seen, w.unread, c.lines, (SELECT max(attempt) FROM waiting) > w.attempt AS others
FROM wanted w JOIN log.chunks c ON c.subject = %(subject)s AND c.attempt = w.attempt AND c.stream = w.stream
    AND c.first_number = w.first_number AND c.said_at = w.said_at
ORDER BY w.stream, w.first_number, w.said_at;
