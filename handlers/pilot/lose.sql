-- name: lock
-- A beat that is just being taken is over when this returns, and the look after it sees what it has done.
SELECT pilot_id FROM pilot.beats WHERE pilot_id = %(pilot_id)s FOR UPDATE;

-- name: beat
SELECT p.site, p.state, to_char(b.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
       EXISTS (SELECT FROM bus.timers t WHERE t.timer = 'beat/' || b.pilot_id) AS heard
FROM pilot.beats b JOIN pilot.pilots p ON p.pilot_id = b.pilot_id WHERE b.pilot_id = %(pilot_id)s;

-- name: jobs
SELECT job_id, attempt, version, owner, vo FROM job.jobs
WHERE pilot_id = %(pilot_id)s AND state IN ('Running', 'Completing') ORDER BY job_id;

-- name: lose
UPDATE pilot.pilots SET state = %(state)s WHERE pilot_id = %(pilot_id)s AND state IN ('Running', 'Unknown', 'Waiting');

-- name: wait
INSERT INTO bus.timers VALUES ('beat/' || %(pilot_id)s, clock_timestamp() + make_interval(secs => %(within_s)s), 'pilot.silent.v1',
                               %(pilot_id)s, jsonb_build_object('pilot_id', %(pilot_id)s::text))
ON CONFLICT (timer) DO NOTHING;

-- name: forget
DELETE FROM pilot.beats WHERE pilot_id = %(pilot_id)s;

-- name: move
SELECT job.move(%(job_id)s, %(version)s, 'Stalled', %(minor_status)s, %(application_status)s, %(at)s, 'pilot.lose', %(event_id)s);
