-- name: delegation
SELECT d.sealed_key, d.used_for, d.expires_at <= now() AS over, coalesce(u.dns, '{}') AS registered, p.dn,
       to_char(p.not_after AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS not_after
FROM proxy.delegations d
LEFT JOIN registry.users u ON u.account = d.owner
LEFT JOIN proxy.proxies p ON p.owner = d.owner AND p.fingerprint = d.used_for
WHERE d.owner = %(owner)s AND d.delegation_id = %(delegation_id)s;

-- name: deposit
SELECT proxy.deposit(
    %(owner)s, %(delegation_id)s, %(dn)s, %(registered_as)s, %(sealed)s, %(fingerprint)s, %(not_after)s, %(at)s
) AS deposited;
