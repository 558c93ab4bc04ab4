-- name: queues
-- The task queues that have a waiting job, each with its next job.
SELECT q.queue_id, q.requirements, j.priority, j.job_id
FROM match.queues q
CROSS JOIN LATERAL (
    SELECT priority, job_id FROM job.jobs
    WHERE queue_id = q.queue_id AND state = 'Waiting' AND NOT trust.is_banned('user', owner)
    ORDER BY priority DESC, job_id LIMIT 1
) j
WHERE %(queue_ids)s::bigint[] IS NULL OR q.queue_id = ANY(%(queue_ids)s::bigint[]);

-- name: pilots
SELECT account, banned, site, ce, vo, tags FROM trust.standing(%(accounts)s::text[]);

-- name: vos
SELECT vo, least_isolation FROM registry.vos ORDER BY vo;

-- name: claimed
-- A lost reply and a retry give the same job, as long as that claim stands.
SELECT j.job_id, j.attempt, j.owner, j.vo, j.description
FROM match.claims c JOIN job.jobs j ON j.job_id = c.job_id AND j.attempt = c.attempt AND j.state = 'Matched'
WHERE c.pilot_id = %(pilot_id)s AND c.request_id = %(request_id)s;

-- name: claim
-- A row without a job when the request was withdrawn.
SELECT * FROM match.claim_unless_withdrawn(
    %(queue_id)s, %(pilot_id)s, %(request_id)s, %(site)s, %(event_id)s, %(within_s)s
);
