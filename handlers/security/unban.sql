-- name: known
SELECT EXISTS (SELECT FROM trust.bans
               WHERE kind = %(kind)s AND name = %(whom)s AND (until IS NULL OR until > now())) AS banned,
       EXISTS (SELECT FROM trust.enrolments WHERE pilot_id = %(whom)s AND revoked_at IS NOT NULL) AS revoked;

-- name: lift
DELETE FROM trust.bans WHERE kind = %(kind)s AND name = %(whom)s;

-- name: disarm
DELETE FROM bus.timers WHERE timer = 'ban/' || %(kind)s || '/' || %(whom)s;
