-- name: ban
-- A ban by an operator is not shortened.
INSERT INTO trust.bans AS known (kind, name, reason, banned_by, banned_at, until)
VALUES (%(kind)s, %(whom)s, %(reason)s, 'pilotbus', %(at)s, %(until)s)
ON CONFLICT (kind, name) DO UPDATE SET until = greatest(known.until, excluded.until) WHERE known.until IS NOT NULL;

-- name: arm
INSERT INTO bus.timers VALUES ('ban/' || %(kind)s || '/' || %(whom)s, %(until)s, 'security.ban_lifted.v1', '_',
    jsonb_build_object('kind', %(kind)s::text, 'name', %(whom)s::text))
ON CONFLICT (timer) DO UPDATE SET due_at = greatest(bus.timers.due_at, excluded.due_at);
