-- name: standing
SELECT EXISTS (SELECT FROM registry.users WHERE account = %(owner)s AND dns <> '{}') AS registered,
       (SELECT count(*) FROM proxy.delegations WHERE owner = %(owner)s AND used_for IS NULL AND expires_at > now()) AS already_open;

-- name: delegation
SELECT delegation_id::text AS delegation_id, csr_pem, used_for IS NULL AND expires_at > now() AS usable,
       to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS expires_at
FROM proxy.delegations WHERE owner = %(owner)s AND delegation_id = %(delegation_id)s;

-- name: open
SELECT proxy.open_delegation(%(owner)s, %(delegation_id)s, %(sealed_key)s, %(csr_pem)s, %(at)s, %(within_s)s);
