-- name: pilot
SELECT pilot_id FROM pilot.pilots WHERE pilot_id = %(pilot_id)s;

-- name: phases
SELECT number, phase, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, seconds, job_id, attempt, reason
FROM pilot.phases WHERE pilot_id = %(pilot_id)s AND number > %(after)s ORDER BY number LIMIT %(limit)s;
