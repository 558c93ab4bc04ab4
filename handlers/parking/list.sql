-- name: parked
SELECT parked_id, to_char(parked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS parked_at, queue, reason,
       right(left(detail, 20000), 300) AS detail, account, event_id, type
FROM bus.parked WHERE settled IS NULL AND parked_id > %(after)s ORDER BY parked_id LIMIT %(limit)s;
