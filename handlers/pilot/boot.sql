-- name: invited
SELECT site, secret_sha256 = %(secret)s AS proven, revoked_at IS NOT NULL AS revoked
FROM trust.enrolments WHERE pilot_id = %(pilot_id)s;

-- name: known
SELECT number, phase FROM pilot.pilots WHERE pilot_id = %(pilot_id)s;

-- name: keep
INSERT INTO pilot.pilots AS known (pilot_id, account, site, state, phase, number, details, first_seen_at, last_seen_at)
VALUES (%(pilot_id)s, %(account)s, %(site)s, %(state)s, %(phase)s, 0, %(details)s, %(at)s, %(at)s)
ON CONFLICT (pilot_id) DO UPDATE
SET state = excluded.state, phase = excluded.phase, last_seen_at = excluded.last_seen_at,
    details = known.details || excluded.details
WHERE known.number = 0 AND known.phase = 'wrapper_started' AND excluded.phase = 'wrapper_failed';
