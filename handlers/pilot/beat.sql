-- name: pilot
SELECT e.site, policy.beat_s, coalesce(p.state = 'Unknown', false) AS lost
FROM trust.enrolments e
LEFT JOIN pilot.pilots p ON p.pilot_id = e.pilot_id
CROSS JOIN LATERAL site.policy(e.site) policy
WHERE e.pilot_id = %(pilot_id)s;

-- name: beat
SELECT * FROM pilot.beat(%(pilot_id)s, %(site)s, %(measures)s::jsonb, %(attempts)s::jsonb);

-- name: found
UPDATE pilot.pilots SET state = 'Running' WHERE pilot_id = %(pilot_id)s AND state = 'Unknown';

-- name: move
SELECT job.move(%(job_id)s, %(version)s, 'Running', %(minor_status)s, %(application_status)s, %(at)s, 'pilot.beat', %(event_id)s);
