-- name: forget
DELETE FROM proxy.proxies WHERE owner = %(owner)s AND fingerprint = %(fingerprint)s;

-- name: close
DELETE FROM proxy.delegations WHERE owner = %(owner)s AND delegation_id = %(delegation_id)s;
