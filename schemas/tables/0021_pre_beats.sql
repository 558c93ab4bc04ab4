-- Many beats in one statement: what pilots say, and the attempts that are theirs.
CREATE TYPE pilot.said AS (
    place integer, pilot_id text, site text, number bigint, measures jsonb, attempts jsonb, gone boolean, lost boolean,
    beat_s integer, silent_s integer, lease_s integer, grace_s integer
);
CREATE TYPE pilot.held AS (
    place integer, job_id bigint, attempt integer, owner text, vo text, state text, version integer, measures jsonb,
    lease_s integer, grace_s integer
);

-- For each beat what pilot.beat did for one: its pilot lives, and each attempt that it names and has, has a lease.
-- The beats are of different pilots: one row each, with the attempts held. Rows are locked in the order of their ids,
-- pilots before beats before jobs before their timers, so that two that hear the same pilots wait and never stand still.
CREATE FUNCTION pilot.beat_all(beats json)
RETURNS TABLE (place integer, site text, beat_s integer, lost boolean, held json) LANGUAGE plpgsql
-- few rows of large tables, each by its key: whatever the planner guesses, and planned once
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    said pilot.said[];
    mine pilot.held[];
BEGIN
    -- a pilot's leaving, being kept right now, comes first
    PERFORM FROM pilot.pilots p
    WHERE p.pilot_id IN (SELECT b.pilot_id FROM json_to_recordset(beats) AS b (pilot_id text)) ORDER BY p.pilot_id FOR SHARE;
    SELECT array_agg(ROW(
        b.place, b.pilot_id, coalesce(e.site, ''), (b.measures->>'number')::bigint, b.measures, b.attempts,
        coalesce(p.state IN ('Done', 'Failed', 'Aborted', 'Deleted'), false), coalesce(p.state = 'Unknown', false),
        policy.beat_s, policy.silent_s, policy.lease_s, policy.grace_s)::pilot.said) INTO said
    FROM json_to_recordset(beats) AS b (place integer, pilot_id text, measures jsonb, attempts jsonb)
    LEFT JOIN trust.enrolments e ON e.pilot_id = b.pilot_id
    LEFT JOIN pilot.pilots p ON p.pilot_id = b.pilot_id
    CROSS JOIN LATERAL site.policy(coalesce(e.site, '')) policy;
    -- an older one that comes late changes nothing: what it names may be over by now, and whoever sent it waits no more
    INSERT INTO pilot.beats AS known
    SELECT s.pilot_id, clock_timestamp(), s.measures FROM unnest(said) s WHERE NOT s.gone ORDER BY s.pilot_id
    ON CONFLICT (pilot_id) DO UPDATE SET at = excluded.at, measures = excluded.measures
    WHERE ((known.measures->>'number')::bigint > (excluded.measures->>'number')::bigint) IS NOT TRUE;
    INSERT INTO bus.timers
    SELECT 'beat/' || s.pilot_id, clock_timestamp() + make_interval(secs => s.silent_s), 'pilot.silent.v1', s.pilot_id,
           jsonb_build_object('pilot_id', s.pilot_id)
    FROM unnest(said) s JOIN pilot.beats b ON b.pilot_id = s.pilot_id AND (b.measures->>'number')::bigint = s.number
    WHERE NOT s.gone ORDER BY s.pilot_id
    ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at;
    -- locked, so that nobody takes a job back between the look at it and the renewal
    SELECT array_agg(ROW(
        l.place, l.job_id, l.attempt, l.owner, l.vo, l.state, l.version, l.measures, l.lease_s, l.grace_s)::pilot.held) INTO mine
    FROM (
        SELECT a.place, j.*, a.measures, a.lease_s, a.grace_s
        FROM (
            SELECT s.place, s.pilot_id, s.lease_s, s.grace_s, said_of.*
            FROM unnest(said) s
            CROSS JOIN LATERAL jsonb_to_recordset(s.attempts) AS said_of (job_id bigint, attempt integer, measures jsonb)
            WHERE NOT EXISTS (
                SELECT FROM pilot.beats b WHERE b.pilot_id = s.pilot_id AND (b.measures->>'number')::bigint > s.number)
            ORDER BY said_of.job_id
        ) a
        CROSS JOIN LATERAL (
            SELECT j.job_id, j.attempt, j.owner, j.vo, j.state, j.version FROM job.jobs j
            WHERE j.job_id = a.job_id AND j.attempt = a.attempt AND j.pilot_id = a.pilot_id
              AND j.state IN ('Matched', 'Running', 'Completing', 'Stalled') FOR SHARE
        ) j
    ) l;
    DELETE FROM bus.timers WHERE timer IN (SELECT 'match/' || m.job_id FROM unnest(mine) m WHERE m.state = 'Matched');
    INSERT INTO bus.timers
    SELECT 'lease/' || m.job_id, clock_timestamp() + make_interval(secs => m.lease_s + m.grace_s), 'job.lease_expired.v1',
           m.job_id::text, jsonb_build_object('job_id', m.job_id, 'attempt', m.attempt)
    FROM unnest(mine) m LEFT JOIN bus.timers t ON t.timer = 'lease/' || m.job_id
    -- not at each beat: most of a lease is still to come
    WHERE t.timer IS NULL OR (t.data->>'attempt')::integer <> m.attempt
       OR t.due_at < clock_timestamp() + make_interval(secs => 0.75 * m.lease_s + m.grace_s)
    ORDER BY m.job_id
    ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at, data = excluded.data;
    INSERT INTO job.usage
    SELECT m.job_id, m.attempt, clock_timestamp(), m.measures FROM unnest(mine) m WHERE m.measures IS NOT NULL ORDER BY m.job_id
    ON CONFLICT (job_id) DO UPDATE SET attempt = excluded.attempt, at = excluded.at, measures = excluded.measures;
    RETURN QUERY
    SELECT every.place, max(every.site), max(every.beat_s), bool_or(every.lost),
           coalesce(json_agg(every.attempt ORDER BY every.job_id) FILTER (WHERE every.job_id IS NOT NULL), '[]')
    FROM (
        SELECT s.place, s.site, s.beat_s, s.lost, NULL::bigint AS job_id, NULL::json AS attempt FROM unnest(said) s
        UNION ALL
        SELECT m.place, NULL, NULL, NULL, m.job_id, json_build_object(
            'job_id', m.job_id, 'attempt', m.attempt, 'owner', m.owner, 'vo', m.vo, 'state', m.state, 'version', m.version,
            'lease_s', greatest(0, floor(extract(epoch FROM t.due_at - clock_timestamp())) - m.grace_s)::integer)
        FROM unnest(mine) m JOIN bus.timers t ON t.timer = 'lease/' || m.job_id
    ) every GROUP BY every.place ORDER BY every.place;
END $$;

-- A private pilot takes the jobs of one user, of one group, or of one user in one group; empty: of anybody.
ALTER TABLE trust.enrolments ADD COLUMN owner text NOT NULL DEFAULT '', ADD COLUMN owner_group text NOT NULL DEFAULT '';

-- As before, with whose jobs a private pilot takes. Each account finds its pilot by the key, whatever the planner guesses: a
-- comparison with 'pilot-' || pilot_id looked at every pilot that was ever enrolled, for each batch of messages.
DROP FUNCTION trust.standing(text[]);
CREATE FUNCTION trust.standing(the_accounts text[]) RETURNS TABLE (
    account text, banned text, pilot_id text, site text, ce text, vo text, tags text[], owner text, owner_group text, operates boolean
)
LANGUAGE sql STABLE AS $$
    SELECT a, CASE
            WHEN b.name IS NOT NULL THEN b.kind || ' ' || b.name || ' is banned: ' || b.reason
            WHEN p.pilot_id IS NULL AND a LIKE 'pilot-%' THEN 'no such pilot was ever enrolled'
            WHEN p.revoked_at IS NOT NULL THEN 'pilot ' || p.pilot_id || ' is revoked: ' || p.revoked_because
            WHEN a LIKE 'pilot-%' AND p.enrolled_at IS NULL THEN 'pilot ' || p.pilot_id || ' has not enrolled'
        END,
        p.pilot_id, p.site, p.ce, p.vo, p.tags, p.owner, p.owner_group,
        EXISTS (SELECT FROM registry.standing(a) s WHERE a NOT LIKE 'pilot-%' AND 'Operator' = ANY(s.properties))
    FROM unnest(the_accounts) a
    LEFT JOIN LATERAL (
        SELECT * FROM trust.enrolments e WHERE a LIKE 'pilot-%' AND e.pilot_id = substr(a, 7) OFFSET 0
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT * FROM trust.bans b
        WHERE (b.until IS NULL OR b.until > now())
          AND ((b.kind = 'user' AND b.name = a) OR (b.kind = 'pilot' AND b.name = p.pilot_id) OR (b.kind = 'site' AND b.name = p.site))
        ORDER BY b.kind LIMIT 1
    ) b ON true
$$;
