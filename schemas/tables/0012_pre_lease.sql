-- Beats of pilots, leases of attempts, and orders that are acknowledged or end.
ALTER TABLE site.sites
    ADD COLUMN beat_s integer, ADD COLUMN lease_s integer,
    ADD COLUMN when_lost text CHECK (when_lost IN ('reschedule', 'fail'));

-- A lease ends at the pilot grace_s before it ends here: so long a payload may take to die.
CREATE FUNCTION site.policy(the_site text)
RETURNS TABLE (beat_s integer, silent_s integer, lease_s integer, grace_s integer, when_lost text) LANGUAGE sql STABLE AS $$
    SELECT beat_s, ceil(beat_s * 3.3)::integer, lease_s, greatest(2, least(30, lease_s / 4)), when_lost
    -- at least four beats to a lease: one that is lost must not end it
    FROM (SELECT greatest(1, least(coalesce(min(s.beat_s), 60), coalesce(min(s.lease_s), 1800) / 4)) AS beat_s,
                 coalesce(min(s.lease_s), 1800) AS lease_s, coalesce(min(s.when_lost), 'reschedule') AS when_lost
          FROM site.sites s WHERE s.site = the_site) known
$$;

-- One row per living pilot, written at each beat.
CREATE TABLE pilot.beats (
    pilot_id text PRIMARY KEY,
    at timestamptz NOT NULL,
    measures jsonb NOT NULL
) WITH (fillfactor = 50);

-- What an attempt was last heard to use.
CREATE TABLE job.usage (
    job_id bigint PRIMARY KEY REFERENCES job.jobs ON DELETE CASCADE,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    measures jsonb NOT NULL
) WITH (fillfactor = 50);

-- The pilot lives, and each of these attempts that is its own has a lease: as timers, which whoever is heard of again moves on.
-- The jobs are locked, so that nobody takes one back between the look at it and the renewal.
CREATE FUNCTION pilot.beat(the_pilot text, the_site text, measures jsonb, attempts jsonb)
RETURNS TABLE (job_id bigint, attempt integer, owner text, vo text, state text, version integer, lease_s integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    policy record;
    held bigint[];
BEGIN
    SELECT * INTO policy FROM site.policy(the_site);
    IF EXISTS (SELECT FROM pilot.beats b WHERE b.pilot_id = the_pilot
               AND (b.measures->>'number')::bigint > (beat.measures->>'number')::bigint) THEN
        RETURN; -- an older one that comes late: what it names may be over by now, and whoever sent it waits no more
    END IF;
    PERFORM FROM pilot.pilots p WHERE p.pilot_id = the_pilot FOR SHARE; -- its leaving, being kept right now, comes first
    IF NOT EXISTS (SELECT FROM pilot.pilots p WHERE p.pilot_id = the_pilot AND p.state IN ('Done', 'Failed', 'Aborted', 'Deleted')) THEN
        INSERT INTO pilot.beats AS known VALUES (the_pilot, clock_timestamp(), measures)
        ON CONFLICT (pilot_id) DO UPDATE SET at = excluded.at, measures = excluded.measures;
        INSERT INTO bus.timers VALUES (
            'beat/' || the_pilot, clock_timestamp() + make_interval(secs => policy.silent_s), 'pilot.silent.v1', the_pilot,
            jsonb_build_object('pilot_id', the_pilot))
        ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at;
    END IF;
    SELECT array_agg(mine.job_id) INTO held FROM (
        SELECT j.job_id FROM job.jobs j
        JOIN jsonb_to_recordset(attempts) AS a (job_id bigint, attempt integer) ON a.job_id = j.job_id AND a.attempt = j.attempt
        WHERE j.pilot_id = the_pilot AND j.state IN ('Matched', 'Running', 'Completing', 'Stalled')
        ORDER BY j.job_id FOR SHARE OF j
    ) mine;
    DELETE FROM bus.timers WHERE timer IN (SELECT 'match/' || h FROM unnest(held) h);
    INSERT INTO bus.timers AS known
    SELECT 'lease/' || j.job_id, clock_timestamp() + make_interval(secs => policy.lease_s + policy.grace_s),
           'job.lease_expired.v1', j.job_id::text, jsonb_build_object('job_id', j.job_id, 'attempt', j.attempt)
    FROM job.jobs j WHERE j.job_id = ANY(held) ORDER BY j.job_id
    ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at, data = excluded.data
    -- not at each beat: most of a lease is still to come
    WHERE known.data <> excluded.data OR known.due_at < clock_timestamp() + make_interval(secs => 0.75 * policy.lease_s + policy.grace_s);
    INSERT INTO job.usage AS known
    SELECT a.job_id, a.attempt, clock_timestamp(), a.measures
    FROM jsonb_to_recordset(attempts) AS a (job_id bigint, attempt integer, measures jsonb)
    WHERE a.job_id = ANY(held) AND a.measures IS NOT NULL ORDER BY a.job_id
    ON CONFLICT (job_id) DO UPDATE SET attempt = excluded.attempt, at = excluded.at, measures = excluded.measures;
    RETURN QUERY
    SELECT j.job_id, j.attempt, j.owner, j.vo, j.state, j.version,
           greatest(0, floor(extract(epoch FROM t.due_at - clock_timestamp())) - policy.grace_s)::integer
    FROM job.jobs j JOIN bus.timers t ON t.timer = 'lease/' || j.job_id
    WHERE j.job_id = ANY(held) ORDER BY j.job_id;
END $$;

-- Whose connection it is: the broker names the user only when a connection opens. It does not outlive the broker.
CREATE UNLOGGED TABLE bus.connections (
    pid text PRIMARY KEY,
    pilot_id text NOT NULL,
    opened_at timestamptz NOT NULL
);

ALTER TABLE pilot.orders
    DROP CONSTRAINT orders_order_check,
    DROP CONSTRAINT orders_pilot_id_order_job_id_attempt_key,
    ADD COLUMN level text,
    ADD COLUMN requested_by text NOT NULL DEFAULT 'pilotbus',
    ADD COLUMN expires_at timestamptz NOT NULL DEFAULT now() + interval '1 day',
    ADD COLUMN outcome text CHECK (outcome IN ('taken', 'refused', 'expired')),
    ADD COLUMN reason text,
    ADD COLUMN ended_at timestamptz,
    ADD CHECK ("order" IN ('drain', 'stop', 'kill', 'peek', 'log_level'));
CREATE INDEX orders_open ON pilot.orders (pilot_id, number) WHERE outcome IS NULL;
CREATE INDEX orders_of_job ON pilot.orders (job_id, attempt) WHERE job_id IS NOT NULL;

-- The pilot will hear this order; one that is given already and not acknowledged is given once.
CREATE FUNCTION pilot.give_order(
    the_pilot text, the_order text, the_job bigint, the_attempt integer, the_level text, by_whom text, valid_s integer
) RETURNS TABLE (number bigint, fresh boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    given bigint;
BEGIN
    -- the numbers of a pilot's orders are seen in their order: it asks for those after the last one that it knows
    PERFORM pg_advisory_xact_lock(hashtextextended('pilot.order/' || the_pilot, 0));
    SELECT o.number INTO given FROM pilot.orders o
    WHERE o.pilot_id = the_pilot AND o."order" = the_order AND o.outcome IS NULL AND o.expires_at > clock_timestamp()
      AND o.job_id IS NOT DISTINCT FROM the_job AND o.attempt IS NOT DISTINCT FROM the_attempt
      AND o.level IS NOT DISTINCT FROM the_level;
    IF given IS NOT NULL THEN
        RETURN QUERY SELECT given, false;
        RETURN;
    END IF;
    INSERT INTO pilot.orders (pilot_id, "order", job_id, attempt, level, requested_by, given_at, expires_at)
    VALUES (the_pilot, the_order, the_job, the_attempt, the_level, by_whom, clock_timestamp(),
            clock_timestamp() + make_interval(secs => valid_s))
    RETURNING pilot.orders.number INTO given;
    INSERT INTO bus.timers VALUES (
        'order/' || given, clock_timestamp() + make_interval(secs => valid_s), 'pilot.order_due.v1', the_pilot,
        jsonb_build_object('pilot_id', the_pilot, 'number', given));
    RETURN QUERY SELECT given, true;
END $$;
