-- name: proxies
SELECT dn, fingerprint FROM proxy.proxies
WHERE owner = %(owner)s AND (%(fingerprint)s::text IS NULL OR fingerprint = %(fingerprint)s::text) ORDER BY dn LIMIT 50 FOR UPDATE;

-- name: destroy
WITH gone AS (
    DELETE FROM proxy.proxies WHERE owner = %(owner)s AND fingerprint = ANY(%(fingerprints)s) RETURNING fingerprint
)
DELETE FROM bus.timers WHERE timer IN (SELECT 'proxy/' || fingerprint FROM gone);

-- name: close
WITH gone AS (DELETE FROM proxy.delegations WHERE owner = %(owner)s RETURNING owner, delegation_id)
DELETE FROM bus.timers WHERE timer IN (SELECT 'delegation/' || owner || '/' || delegation_id FROM gone);
