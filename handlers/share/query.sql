-- name: half_life
SELECT share.half_life_s() AS half_life_s;

-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: groups
-- Whether jobs wait is one look into an index per task queue; none is counted.
SELECT g."group", g.vo, g.job_share AS share, 'JobSharing' = ANY(g.properties) AS sharing,
       coalesce(u.processors, 0) AS processors, coalesce(u.core_s, 0) AS core_s, w.owner_group IS NOT NULL AS waiting
FROM registry.groups g
LEFT JOIN (
    SELECT owner_group, sum(processors)::bigint AS processors,
           sum(share.accrued(core_s, processors, at, now(), %(half_life_s)s::double precision)) AS core_s
    FROM share.usage GROUP BY owner_group
) u ON u.owner_group = g."group"
LEFT JOIN (
    SELECT DISTINCT q.requirements ->> 'OwnerGroup' AS owner_group FROM match.queues q
    WHERE EXISTS (SELECT FROM job.jobs j WHERE j.queue_id = q.queue_id AND j.state = 'Waiting')
) w ON w.owner_group = g."group"
WHERE 'NormalUser' = ANY(g.properties) OR u.owner_group IS NOT NULL OR w.owner_group IS NOT NULL
ORDER BY g."group" COLLATE "C";

-- name: users
SELECT coalesce(u.owner, w.owner) AS owner, coalesce(u.processors, 0) AS processors, w.owner IS NOT NULL AS waiting,
       coalesce(share.accrued(u.core_s, u.processors, u.at, now(), %(half_life_s)s::double precision), 0) AS core_s
FROM (SELECT owner, processors, core_s, at FROM share.usage WHERE owner_group = %(group)s) u
FULL JOIN (
    SELECT DISTINCT q.requirements ->> 'Owner' AS owner FROM match.queues q
    WHERE q.requirements ->> 'OwnerGroup' = %(group)s
      AND EXISTS (SELECT FROM job.jobs j WHERE j.queue_id = q.queue_id AND j.state = 'Waiting')
) w ON w.owner = u.owner
ORDER BY coalesce(u.owner, w.owner) COLLATE "C";
