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
