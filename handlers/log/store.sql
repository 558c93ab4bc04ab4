-- name: job
SELECT owner, vo, (pilot_id = %(pilot_id)s AND attempt = %(attempt)s) OR EXISTS (
    SELECT FROM match.claims c WHERE c.pilot_id = %(pilot_id)s AND c.job_id = %(job_id)s AND c.attempt = %(attempt)s
) AS own
FROM job.jobs WHERE job_id = %(job_id)s;

-- name: keep
-- A batch that is sent again is the same envelope, and so of the same moment: it finds its row there.
INSERT INTO log.chunks (subject, attempt, stream, first_number, said_at, last_number, count, first_at, last_at, lines)
VALUES (%(subject)s, %(attempt)s, %(stream)s, %(first_number)s, %(said_at)s, %(last_number)s, %(count)s, %(first_at)s,
        %(last_at)s, %(lines)s)
ON CONFLICT DO NOTHING;
