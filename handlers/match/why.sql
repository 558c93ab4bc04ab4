-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: job
SELECT j.job_id, j.owner, j.owner_group, j.vo, j.state, j.attempt, j.priority, j.queue_id, j.pilot_id, j.site,
       left(j.application_status, 300) AS application_status, q.requirements, v.least_isolation
FROM job.jobs j
LEFT JOIN match.queues q ON q.queue_id = j.queue_id
LEFT JOIN registry.vos v ON v.vo = j.vo
WHERE j.job_id = %(job_id)s;

-- name: step
-- How the job was then; how it is when no moment is said.
SELECT state, minor_status, attempt, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS since
FROM job.steps(ARRAY[%(job_id)s::bigint])
WHERE (%(at)s::timestamptz IS NULL OR at <= %(at)s::timestamptz)
ORDER BY number DESC LIMIT 1;

-- name: ban
SELECT reason FROM trust.bans
WHERE kind = 'user' AND name = %(owner)s AND banned_at <= coalesce(%(at)s::timestamptz, now())
  AND (until IS NULL OR until > coalesce(%(at)s::timestamptz, now()));

-- name: sites
SELECT site, status, max_processors, max_ram_mb, max_cpu_time_s, tags FROM site.sites;

-- name: ahead
-- Waiting jobs of the same task queue that come before it, counted as far as one look may go.
SELECT count(*) AS jobs FROM (
    SELECT FROM job.jobs
    WHERE queue_id = %(queue_id)s AND state = 'Waiting'
      AND (priority > %(priority)s OR (priority = %(priority)s AND job_id < %(job_id)s))
    LIMIT %(most)s
) before;

-- name: limits
-- The limits about the job that are reached now.
SELECT l.site, l.ce, l.attribute, l.value, l.most, l.running
FROM match.limits l JOIN job.jobs j ON j.job_id = %(job_id)s
WHERE l.running >= l.most AND l.value = CASE l.attribute
    WHEN 'Owner' THEN j.owner
    WHEN 'OwnerGroup' THEN j.owner_group
    WHEN 'VO' THEN j.vo
    WHEN 'JobType' THEN j.job_type
    WHEN 'JobGroup' THEN j.job_group
    ELSE '*'
END;

-- name: offers
-- What asked within the hour before: a pilot that asked in both hours of the clock is counted once.
SELECT resource, max(pilots) AS pilots FROM match.offers
WHERE hour IN (match.hour_of(coalesce(%(at)s::timestamptz, now())), match.hour_of(coalesce(%(at)s::timestamptz, now()) - interval '1 hour'))
  AND last_at > coalesce(%(at)s::timestamptz, now()) - interval '1 hour' AND first_at <= coalesce(%(at)s::timestamptz, now())
GROUP BY resource ORDER BY 2 DESC LIMIT %(most)s;

-- name: pilot
SELECT coalesce(e.pilot_id, p.pilot_id) AS pilot_id, coalesce(e.site, p.site) AS site, p.state,
       CASE WHEN p.state IN ('Done', 'Failed', 'Aborted') THEN left(coalesce(p.details ->> 'reason', ''), 500) END AS reason,
       to_char(p.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS last_seen_at,
       to_char(e.invited_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS invited_at,
       (SELECT s.banned FROM trust.standing(ARRAY['pilot-' || %(pilot_id)s::text]) s) AS banned
FROM (SELECT * FROM trust.enrolments WHERE pilot_id = %(pilot_id)s::text) e
FULL JOIN (SELECT * FROM pilot.pilots WHERE pilot_id = %(pilot_id)s::text) p ON p.pilot_id = e.pilot_id;

-- name: phase
SELECT phase, reason, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS since
FROM pilot.phases
WHERE pilot_id = %(pilot_id)s AND (%(at)s::timestamptz IS NULL OR at <= %(at)s::timestamptz)
ORDER BY number DESC LIMIT 1;

-- name: runs
SELECT job_id FROM job.jobs
WHERE pilot_id = %(pilot_id)s AND state IN ('Matched', 'Running', 'Completing')
ORDER BY job_id LIMIT 200;

-- name: ran
-- The jobs that the pilot had then, by what it has told itself.
SELECT m.job_id FROM (
    SELECT DISTINCT job_id, attempt FROM pilot.phases
    WHERE pilot_id = %(pilot_id)s AND phase = 'matched' AND at <= %(at)s::timestamptz AND job_id IS NOT NULL
) m
CROSS JOIN LATERAL (
    SELECT state, attempt FROM job.steps(ARRAY[m.job_id]) h
    WHERE h.at <= %(at)s::timestamptz ORDER BY number DESC LIMIT 1
) then_
WHERE then_.attempt = m.attempt AND then_.state IN ('Matched', 'Running', 'Completing', 'Stalled')
ORDER BY m.job_id LIMIT 200;

-- name: empty
SELECT to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, e.request_id::text AS request_id, r.resource,
       e.counts - 'queue' || CASE WHEN r.nearest = '{}' THEN '{}'
           ELSE jsonb_build_object('nearest', r.nearest || coalesce(e.counts->'queue', '{}')) END AS reasons
FROM match.empties e
JOIN match.reasons r ON r.day = match.day_of(e.at) AND r.digest = e.digest
WHERE e.pilot_id = %(pilot_id)s AND (%(at)s::timestamptz IS NULL OR e.at <= %(at)s::timestamptz)
ORDER BY e.at DESC LIMIT 1;
