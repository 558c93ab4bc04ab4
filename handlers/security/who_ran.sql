-- name: ran
-- A pilot lives for days at most: what is older than a fortnight before the moment can not have been on the node.
WITH pilots AS (
    SELECT body->'data'->>'pilot_id' AS pilot_id FROM bus.events
    WHERE recorded_at BETWEEN %(at)s::timestamptz - interval '14 days' AND %(at)s::timestamptz + interval '1 hour'
      AND type = 'pilot.reported.v1' AND body->'data'->'details'->>'host' = %(host)s
    UNION
    SELECT body->'data'->>'pilot_id' FROM bus.events
    WHERE recorded_at BETWEEN %(at)s::timestamptz - interval '14 days' AND %(at)s::timestamptz + interval '1 hour'
      AND type = 'pilot.enrolled.v1' AND body->'data'->>'peer' = %(host)s
), matched AS (
    -- pilot by pilot, with OFFSET 0: all matches of a fortnight are too many to read
    SELECT m.* FROM pilots p, LATERAL (
        SELECT e.recorded_at AS began, e.body->>'owner' AS owner, e.body->>'vo' AS vo, e.body->'data' AS told FROM bus.events e
        WHERE e.type = 'job.matched.v1' AND e.body->'data'->>'pilot_id' = p.pilot_id
          AND e.recorded_at BETWEEN %(at)s::timestamptz - interval '14 days' AND %(at)s::timestamptz
        OFFSET 0
    ) m
), lives AS (
    SELECT m.*, o.recorded_at AS ended, o.state, r.isolation FROM matched m
    LEFT JOIN LATERAL (
        SELECT e.recorded_at, initcap(split_part(e.type, '.', 2)) AS state FROM bus.events e
        WHERE e.subject = m.told->>'job_id' AND e.recorded_at >= m.began
          AND e.type IN ('job.done.v1', 'job.failed.v1', 'job.killed.v1', 'job.rescheduled.v1')
        ORDER BY e.recorded_at, e.position LIMIT 1
    ) o ON true
    LEFT JOIN LATERAL (
        SELECT e.body->'data'->>'isolation' AS isolation FROM bus.events e
        WHERE e.subject = m.told->>'job_id' AND e.recorded_at >= m.began AND e.type = 'job.running.v1'
          AND e.body->'data'->>'attempt' = m.told->>'attempt' AND e.body->'data'->>'isolation' IS NOT NULL
        ORDER BY e.recorded_at LIMIT 1
    ) r ON true
)
SELECT (told->>'job_id')::bigint AS job_id, (told->>'attempt')::int AS attempt, coalesce(owner, '') AS owner,
       coalesce(vo, '') AS vo, told->>'site' AS site, told->>'pilot_id' AS pilot_id,
       to_char(began AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS began,
       to_char(ended AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ended, state, isolation
FROM lives WHERE ended IS NULL OR ended >= %(at)s ORDER BY job_id, attempt LIMIT %(limit)s;
