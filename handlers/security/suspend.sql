-- name: out_longer
SELECT banned_by FROM trust.bans WHERE kind = %(kind)s AND name = %(whom)s AND (until IS NULL OR until >= %(until)s);

-- name: ban
INSERT INTO trust.bans AS known (kind, name, reason, banned_by, banned_at, until)
VALUES (%(kind)s, %(whom)s, %(reason)s, 'pilotbus', %(at)s, %(until)s)
ON CONFLICT (kind, name) DO UPDATE
SET reason = excluded.reason, banned_by = excluded.banned_by, banned_at = excluded.banned_at, until = excluded.until
WHERE known.until < excluded.until;

-- name: arm
-- As the row has it now: an operator may just have banned for good.
INSERT INTO bus.timers
SELECT 'ban/' || kind || '/' || name, until, 'security.ban_lifted.v1', '_', jsonb_build_object('kind', kind, 'name', name)
FROM trust.bans WHERE kind = %(kind)s AND name = %(whom)s AND until IS NOT NULL
ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at;
