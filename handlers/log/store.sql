-- name: keep
INSERT INTO log.lines (subject, attempt, stream, number, at, text)
SELECT %(subject)s, %(attempt)s, %(stream)s, number, at, text
FROM json_to_recordset(%(lines)s::json) AS (number bigint, at timestamptz, text text)
ON CONFLICT DO NOTHING;
