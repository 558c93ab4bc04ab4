-- name: invite
INSERT INTO trust.enrolments (pilot_id, secret_sha256, site, ce, vo, owner, owner_group, tags, invited_by, invited_at, expires_at)
SELECT pilot_id, sha256, %(site)s, %(ce)s, %(vo)s, %(owner)s, %(owner_group)s, %(tags)s::text[], %(by)s, %(at)s, %(until)s
FROM json_to_recordset(%(rows)s::json) AS (pilot_id text, sha256 text)
ON CONFLICT DO NOTHING RETURNING pilot_id;
