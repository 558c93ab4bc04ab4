-- name: standing
SELECT EXISTS (SELECT FROM registry.standing(%(account)s) WHERE 'Operator' = ANY(properties)) AS operates;

-- name: proxies
SELECT owner AS account, dn, fingerprint, to_char(not_after AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS not_after,
       to_char(deposited_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS deposited_at,
       to_char(last_handed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_handed_at
FROM proxy.proxies WHERE owner = %(owner)s AND not_after > now() ORDER BY proxies.not_after DESC LIMIT 50;
