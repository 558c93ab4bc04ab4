-- name: events
SELECT type, to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, body->'data' AS told
FROM bus.events
WHERE (type LIKE 'security.%%' OR type = 'pilot.revoked.v1') AND recorded_at >= %(since)s
  AND (%(account)s::text IS NULL
       OR %(account)s IN (body->'data'->>'account', body->'data'->>'pilot_id', body->'data'->>'name')
       OR %(pilot_id)s IN (body->'data'->>'pilot_id', body->'data'->>'name'))
ORDER BY recorded_at DESC, position DESC LIMIT %(limit)s;
