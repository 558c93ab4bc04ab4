-- name: pilots
SELECT pilot_id FROM trust.enrolments
WHERE (%(kind)s = 'pilot' AND pilot_id = %(whom)s)
   OR (%(kind)s = 'site' AND site = %(whom)s AND enrolled_at IS NOT NULL AND revoked_at IS NULL);

-- name: banned
SELECT account FROM trust.standing(%(accounts)s::text[]) WHERE banned IS NOT NULL;

-- name: arm
INSERT INTO bus.timers VALUES ('block/' || %(pilot_id)s, now() + make_interval(secs => %(within_s)s), 'security.block_ended.v1',
    %(pilot_id)s, jsonb_build_object('pilot_id', %(pilot_id)s::text))
ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at;
