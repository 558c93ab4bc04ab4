-- name: job
SELECT owner, vo, (pilot_id = %(pilot_id)s AND attempt = %(attempt)s) OR EXISTS (
    SELECT FROM match.claims c WHERE c.pilot_id = %(pilot_id)s AND c.job_id = %(job_id)s AND c.attempt = %(attempt)s
) AS own
FROM job.jobs WHERE job_id = %(job_id)s;

-- name: keep
INSERT INTO log.lines (subject, attempt, stream, number, at, text)
SELECT %(subject)s, %(attempt)s, %(stream)s, number, at, text
FROM json_to_recordset(%(lines)s::json) AS (number bigint, at timestamptz, text text)
ON CONFLICT DO NOTHING;
