-- name: keep_phase
-- Each number once, and only in the pilot's own name.
INSERT INTO pilot.phases (pilot_id, number, at, site, ce, phase, seconds, job_id, attempt, reason, failed)
SELECT %(pilot_id)s, %(number)s, %(at)s, %(site)s, coalesce((SELECT ce FROM trust.enrolments WHERE pilot_id = %(pilot_id)s), ''),
       %(phase)s, %(seconds)s, %(job_id)s, %(attempt)s, %(reason)s, %(failed)s
WHERE NOT EXISTS (SELECT FROM pilot.phases WHERE pilot_id = %(pilot_id)s AND number = %(number)s)
  AND NOT EXISTS (SELECT FROM pilot.pilots WHERE pilot_id = %(pilot_id)s AND account <> %(account)s)
ON CONFLICT DO NOTHING;

-- name: keep
-- Phases are numbered by the pilot: an older one that comes late changes nothing, and a pilot that left stays gone.
INSERT INTO pilot.pilots AS known (pilot_id, account, site, state, phase, number, details, first_seen_at, last_seen_at)
VALUES (%(pilot_id)s, %(account)s, %(site)s, %(state)s, %(phase)s, %(number)s, %(details)s, %(at)s, %(at)s)
ON CONFLICT (pilot_id) DO UPDATE
SET state = excluded.state, phase = excluded.phase, number = excluded.number, last_seen_at = excluded.last_seen_at,
    details = known.details || excluded.details
WHERE known.number < excluded.number AND known.account = excluded.account;

-- name: forget
-- Who has left is not waited for, and hears no order.
WITH gone AS (DELETE FROM pilot.beats WHERE pilot_id = %(pilot_id)s)
DELETE FROM bus.timers WHERE timer = 'beat/' || %(pilot_id)s;
