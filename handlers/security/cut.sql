-- name: person
SELECT account, banned IS NOT NULL AS banned, false AS revoked, true AS may_come FROM trust.standing(ARRAY[%(account)s::text]);

-- name: pilots
-- Of a site, those whose connection or token may still hold: no pilot lives for two months, and the others need no block.
SELECT s.account, s.banned IS NOT NULL AS banned, p.revoked_at IS NOT NULL AS revoked,
       %(kind)s = 'pilot' OR p.enrolled_at > now() - interval '60 days' AS may_come
FROM (SELECT pilot_id, enrolled_at, revoked_at FROM trust.enrolments
      WHERE (%(kind)s = 'pilot' AND pilot_id = %(whom)s)
         OR (%(kind)s = 'site' AND site = %(whom)s AND enrolled_at IS NOT NULL AND revoked_at IS NULL)) p,
     trust.standing(ARRAY['pilot-' || p.pilot_id]) s;

-- name: arm
-- The block outlives the last token by a little, and is not left for ever.
INSERT INTO bus.timers VALUES ('block/' || %(pilot_id)s, now() + make_interval(secs => %(within_s)s), 'security.block_ended.v1',
    %(pilot_id)s, jsonb_build_object('pilot_id', %(pilot_id)s::text))
ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at;
