-- name: edition
SELECT number FROM registry.edition;

-- name: newer
-- Of two descriptions the one with the later time counts, also where the earlier one comes last.
SELECT described_at FROM (
    SELECT 'vo' AS kind, vo AS name, described_at FROM registry.vos
    UNION ALL SELECT 'group', "group", described_at FROM registry.groups
    UNION ALL SELECT 'user', account, described_at FROM registry.users
) known WHERE kind = %(kind)s AND name = %(called)s AND described_at > %(at)s::timestamptz;

-- name: vo
SELECT vo FROM registry.vos WHERE vo = %(vo)s;

-- name: groups
SELECT "group" FROM registry.groups WHERE "group" = ANY(%(groups)s::text[]);

-- name: holders
SELECT account, dns FROM registry.users WHERE dns && %(dns)s::text[] ORDER BY account;

-- name: still
SELECT registry.still(%(edition)s);

-- name: keep_vo
WITH turned AS MATERIALIZED (SELECT registry.turn(%(edition)s))
INSERT INTO registry.vos (vo, description, pilot, least_isolation, described_at)
SELECT %(vo)s, %(description)s, %(pilot)s::jsonb, %(least_isolation)s, %(at)s::timestamptz FROM turned
ON CONFLICT (vo) DO UPDATE
SET description = excluded.description, pilot = excluded.pilot, least_isolation = excluded.least_isolation,
    described_at = excluded.described_at;

-- name: keep_group
WITH turned AS MATERIALIZED (SELECT registry.turn(%(edition)s))
INSERT INTO registry.groups ("group", vo, properties, job_share, described_at)
SELECT %(group)s, %(vo)s, %(properties)s::text[], %(job_share)s, %(at)s::timestamptz FROM turned
ON CONFLICT ("group") DO UPDATE
SET vo = excluded.vo, properties = excluded.properties, job_share = excluded.job_share, described_at = excluded.described_at;

-- name: keep_user
SELECT registry.keep_user(%(edition)s, %(account)s, %(groups)s::text[], %(dns)s::text[], %(email)s, %(at)s::timestamptz);
