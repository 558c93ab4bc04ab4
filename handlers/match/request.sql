-- name: queues
-- Every task queue with a waiting job: a step from queue to queue through the index of those that wait, because there may
-- be many more queues that have none.
WITH RECURSIVE step AS (
    (SELECT queue_id FROM job.jobs WHERE state = 'Waiting' ORDER BY queue_id LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue_id FROM job.jobs j WHERE j.state = 'Waiting' AND j.queue_id > step.queue_id ORDER BY j.queue_id LIMIT 1)
    FROM step WHERE step.queue_id IS NOT NULL
)
SELECT q.queue_id, q.requirements FROM step JOIN match.queues q USING (queue_id);

-- name: needs
SELECT queue_id, requirements FROM match.queues WHERE queue_id = ANY(%(queue_ids)s::bigint[]);

-- name: sweep
-- So many of the queues that have a waiting job, after this one.
WITH RECURSIVE step AS (
    (SELECT queue_id FROM job.jobs WHERE state = 'Waiting' AND queue_id > %(after)s ORDER BY queue_id LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue_id FROM job.jobs j WHERE j.state = 'Waiting' AND j.queue_id > step.queue_id ORDER BY j.queue_id LIMIT 1)
    FROM step WHERE step.queue_id IS NOT NULL
)
SELECT queue_id FROM step WHERE queue_id IS NOT NULL LIMIT %(most)s;

-- name: heads
-- For each queue its next waiting jobs after the last one that was read.
SELECT w.slot, next.job_id, next.priority, next.job_group
FROM json_to_recordset(%(wanted)s::json) AS w (slot integer, queue_id bigint, priority integer, job_id bigint, ahead integer)
CROSS JOIN LATERAL (
    (SELECT j.job_id, j.priority, j.job_group FROM job.jobs j
     WHERE j.queue_id = w.queue_id AND j.state = 'Waiting' AND j.priority = w.priority AND j.job_id > w.job_id
     ORDER BY j.job_id LIMIT w.ahead)
    UNION ALL
    (SELECT j.job_id, j.priority, j.job_group FROM job.jobs j
     WHERE j.queue_id = w.queue_id AND j.state = 'Waiting' AND j.priority < w.priority
     ORDER BY j.priority DESC, j.job_id LIMIT w.ahead)
    ORDER BY priority DESC, job_id LIMIT w.ahead
) next;

-- name: pilots
SELECT account, banned, site, ce, vo, tags, owner, owner_group FROM trust.standing(%(accounts)s::text[]);

-- name: vos
SELECT vo, least_isolation FROM registry.vos ORDER BY vo;

-- name: shares
SELECT "group" AS owner_group, job_share AS share, 'JobSharing' = ANY(properties) AS sharing FROM registry.groups ORDER BY 1;

-- name: usage
SELECT owner_group, owner, processors, core_s FROM (
    SELECT owner_group, owner, processors, share.accrued(core_s, processors, at, clock_timestamp(), share.half_life_s()) AS core_s
    FROM share.usage
) now;

-- name: banned_owners
SELECT name FROM trust.bans WHERE kind = 'user' AND (until IS NULL OR until > now());

-- name: masked_sites
SELECT site FROM site.sites WHERE status = 'banned';

-- name: settled
-- Requests that were taken back, or have had a job: again, while they still have it.
SELECT a.event_id, j.job_id, j.attempt, j.owner, j.vo, j.description, j.template_id, j.place, j.cells
FROM json_to_recordset(%(asks)s::json) AS a (event_id uuid, pilot_id text, request_id uuid)
LEFT JOIN match.withdrawals w USING (pilot_id, request_id)
LEFT JOIN match.claims c USING (pilot_id, request_id)
LEFT JOIN job.jobs j ON j.job_id = c.job_id AND j.attempt = c.attempt AND j.state = 'Matched'
WHERE w.pilot_id IS NOT NULL OR c.pilot_id IS NOT NULL;

-- name: templates
SELECT template_id, body FROM job.templates WHERE template_id = ANY(%(template_ids)s::bigint[]);

-- name: claim
SELECT * FROM match.claim_all(%(picks)s::json, %(within_s)s);

-- name: use
SELECT share.use(%(changes)s::json);

-- name: limits
SELECT * FROM match.locked_limits(%(sites)s::text[]);

-- name: write_limits
SELECT match.write_limits(%(changed)s::json);

-- name: keep_empties
SELECT match.keep_empties(%(rows)s::json);

-- name: keep_offers
SELECT match.keep_offers(%(rows)s::json);
