-- name: job
SELECT j.owner, j.vo, j.pilot_id, j.attempt, j.state, (SELECT banned FROM trust.standing(ARRAY[j.owner])) AS banned
FROM job.jobs j WHERE j.job_id = %(job_id)s;

-- name: proxy
-- A name that the registry no longer gives to its owner serves no job any more.
SELECT p.sealed, p.fingerprint FROM proxy.proxies p JOIN registry.users u ON u.account = p.owner
WHERE p.owner = %(owner)s AND p.registered_as = ANY(u.dns) AND p.not_after > now() ORDER BY p.not_after DESC LIMIT 1;

-- name: handed
UPDATE proxy.proxies SET last_handed_at = greatest(last_handed_at, %(at)s::timestamptz)
WHERE owner = %(owner)s AND fingerprint = %(fingerprint)s;
