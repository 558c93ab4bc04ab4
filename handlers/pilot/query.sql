-- name: pilots
SELECT pilot_id, site, state, phase,
       (SELECT count(*) FROM job.jobs j WHERE j.pilot_id = p.pilot_id AND j.state IN ('Matched', 'Running', 'Completing')) AS jobs,
       CASE WHEN state IN ('Done', 'Failed', 'Aborted') THEN left(coalesce(details ->> 'reason', ''), 300) ELSE '' END AS reason,
       to_char(first_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS first_seen_at,
       to_char(last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS last_seen_at
FROM pilot.pilots p WHERE pilot_id > %(after)s ORDER BY pilot_id LIMIT %(limit)s;
