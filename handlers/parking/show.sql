-- name: parked
SELECT parked_id, to_char(parked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS parked_at, queue, reason,
       right(detail, 4000) AS detail, account, event_id, type, body, settled, settled_by
FROM bus.parked WHERE parked_id = %(parked_id)s;
