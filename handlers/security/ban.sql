-- name: known
SELECT CASE %(kind)s::text
    WHEN 'pilot' THEN EXISTS (SELECT FROM trust.enrolments WHERE pilot_id = %(whom)s)
    WHEN 'site' THEN EXISTS (SELECT FROM site.sites WHERE site = %(whom)s) OR EXISTS (SELECT FROM trust.enrolments WHERE site = %(whom)s)
    ELSE EXISTS (SELECT FROM registry.users WHERE account = %(whom)s) OR EXISTS (SELECT FROM job.jobs WHERE owner = %(whom)s)
END AS known;

-- name: on_pilots
SELECT job_id, attempt, pilot_id, owner, vo FROM job.jobs
WHERE owner = %(owner)s AND state IN ('Matched', 'Running', 'Completing') AND pilot_id IS NOT NULL ORDER BY job_id LIMIT 10000;

-- name: ban
INSERT INTO trust.bans AS known (kind, name, reason, banned_by, banned_at, until)
VALUES (%(kind)s, %(whom)s, %(reason)s, %(by)s, %(at)s, %(until)s)
ON CONFLICT (kind, name) DO UPDATE
SET reason = excluded.reason, banned_by = excluded.banned_by, banned_at = excluded.banned_at, until = excluded.until;

-- name: arm
INSERT INTO bus.timers VALUES ('ban/' || %(kind)s || '/' || %(whom)s, %(until)s, 'security.ban_lifted.v1', '_',
    jsonb_build_object('kind', %(kind)s::text, 'name', %(whom)s::text))
ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at;

-- name: disarm
DELETE FROM bus.timers WHERE timer = 'ban/' || %(kind)s || '/' || %(whom)s;

-- name: revoke
UPDATE trust.enrolments SET revoked_at = %(at)s, revoked_because = %(reason)s
WHERE pilot_id = %(pilot_id)s AND revoked_at IS NULL;

-- name: order
SELECT pilot.give_order(%(pilot_id)s, 'kill', %(job_id)s, %(attempt)s, NULL, %(by)s, %(valid_s)s);
