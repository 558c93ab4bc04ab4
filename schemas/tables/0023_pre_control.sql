-- Commands over many jobs, counts by group, retention, and what sandboxes are still needed for.
CREATE INDEX jobs_job_group ON job.jobs (job_group, job_id) WHERE job_group <> 'NoGroup';
CREATE INDEX jobs_over ON job.jobs (state, changed_at) WHERE state IN ('Done', 'Failed', 'Killed', 'Deleted');
CREATE INDEX jobs_output ON job.jobs (output_digest) WHERE output_digest IS NOT NULL;

-- What is written with each move need not look for its job again: while the planner took job.jobs for empty, each of these looks
-- went through all of it. Rows go with their jobs by job.purge.
ALTER TABLE job.history DROP CONSTRAINT history_job_id_fkey;

-- The condition on job.jobs j that holds for the jobs that a right reaches: {own, groups: [[group, vo]…], vos}.
CREATE FUNCTION job.reached(far jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '(' || concat_ws(' OR ',
        format('j.owner = %L', far->>'own'),
        CASE WHEN jsonb_array_length(far->'vos') > 0
             THEN format('j.vo = ANY (%L::text[])', ARRAY(SELECT jsonb_array_elements_text(far->'vos'))) END,
        (SELECT string_agg(format('(j.owner_group = %L AND j.vo = %L)', one->>0, one->>1), ' OR ')
         FROM jsonb_array_elements(far->'groups') one),
        'false') || ')'
$$;

-- The next jobs of a selection beyond `after`, of those that a right reaches. Without ids and states, no Deleted one.
-- The statement is made for what is asked: one for everything would be planned for nothing in particular.
CREATE FUNCTION job.chosen(asked jsonb, seen jsonb, after bigint, most integer, newest boolean)
RETURNS TABLE (job_id bigint, owner text, owner_group text, vo text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted text := job.reached(seen);
    name text;
    ids bigint[];
    few boolean;
    lowest bigint;
    highest bigint;
BEGIN
    FOREACH name IN ARRAY ARRAY['owner', 'owner_group', 'job_group', 'site'] LOOP
        IF asked ? name THEN
            wanted := wanted || format(' AND j.%I = %L', name, asked->>name);
        END IF;
    END LOOP;
    IF asked ? 'states' THEN
        wanted := wanted || format(' AND j.state = ANY (%L::text[])', ARRAY(SELECT jsonb_array_elements_text(asked->'states')));
    ELSIF NOT asked ? 'ranges' THEN
        wanted := wanted || ' AND j.state <> ''Deleted''';
    END IF;
    IF asked ? 'submission' THEN
        wanted := wanted || format(' AND j.submission = %1$L AND j.job_id >= (SELECT first_job_id FROM job.submissions WHERE '
            'submission = %1$L) AND j.job_id < (SELECT first_job_id + count FROM job.submissions WHERE submission = %1$L)',
            asked->>'submission');
    END IF;
    IF asked ? 'submitted_after' THEN
        wanted := wanted || format(' AND j.submitted_at >= %L::timestamptz', asked->>'submitted_after');
    END IF;
    IF asked ? 'submitted_before' THEN
        wanted := wanted || format(' AND j.submitted_at < %L::timestamptz', asked->>'submitted_before');
    END IF;
    IF asked ? 'ranges' THEN
        SELECT coalesce(sum((one->>1)::bigint - (one->>0)::bigint + 1), 0) <= 5000, coalesce(min((one->>0)::bigint), 0),
               coalesce(max((one->>1)::bigint), 0), coalesce(string_agg(format('j.job_id BETWEEN %s AND %s', one->>0, one->>1), ' OR '), 'false')
        INTO few, lowest, highest, name FROM jsonb_array_elements(asked->'ranges') one;
        IF few THEN -- each by its key, however far apart they are
            ids := ARRAY(SELECT generate_series((one->>0)::bigint, (one->>1)::bigint) FROM jsonb_array_elements(asked->'ranges') one);
            wanted := wanted || ' AND j.job_id = ANY ($1)';
        ELSE
            wanted := wanted || format(' AND j.job_id BETWEEN %s AND %s AND (%s)', lowest, highest, name);
        END IF;
    END IF;
    IF after > 0 THEN
        wanted := wanted || CASE WHEN newest THEN ' AND j.job_id < $2' ELSE ' AND j.job_id > $2' END;
    END IF;
    RETURN QUERY EXECUTE format('SELECT j.job_id, j.owner, j.owner_group, j.vo FROM job.jobs j WHERE %s ORDER BY j.job_id %s LIMIT $3',
                                wanted, CASE WHEN newest THEN 'DESC' ELSE 'ASC' END) USING ids, after, most;
END $$;

-- A job as it was when a command came to it, locked until the transaction ends.
CREATE TYPE job.held AS (
    job_id bigint, state text, attempt integer, reschedules integer, owner text, owner_group text, vo text, pilot_id text
);

-- Locked in the order of their ids, as beats and other commands lock them.
CREATE FUNCTION job.hold_all(picked bigint[]) RETURNS job.held[] LANGUAGE plpgsql SET plan_cache_mode TO force_custom_plan AS $$
DECLARE
    held job.held[];
BEGIN
    SELECT array_agg(ROW(j.job_id, j.state, j.attempt, j.reschedules, j.owner, j.owner_group, j.vo, j.pilot_id)::job.held)
    INTO held FROM (SELECT * FROM job.jobs WHERE job_id = ANY (picked) ORDER BY job_id FOR NO KEY UPDATE) j;
    RETURN held;
END $$;

-- What came of a command: rows of neighbours alike, each with the state that they were in before.
CREATE TYPE job.outcome AS (
    outcome text, state text, attempt integer, owner text, owner_group text, vo text, pilot_id text, fresh boolean,
    delay_s integer, first_job_id bigint, last_job_id bigint
);

-- Neighbours in one row.
CREATE FUNCTION job.neighbours(alike job.outcome[]) RETURNS SETOF job.outcome LANGUAGE sql AS $$
    SELECT outcome, state, attempt, owner, owner_group, vo, pilot_id, fresh, delay_s, lower(island), upper(island) - 1
    FROM (SELECT outcome, state, attempt, owner, owner_group, vo, pilot_id, fresh, delay_s,
                 range_agg(int8range(first_job_id, last_job_id, '[]')) AS islands
          FROM unnest(alike) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) same, unnest(islands) island
$$;

-- As job.move, for many that are locked. Planned for these ids: a planner that took the table for empty, because it was looked at
-- while a submission was just being stored, held every job against each of them.
CREATE FUNCTION job.move_all(
    ids bigint[], new_state text, new_minor text, new_application text, happened_at timestamptz, told_by text, cause uuid
) RETURNS void LANGUAGE plpgsql SET plan_cache_mode TO force_custom_plan AS $$
BEGIN
    WITH moved AS (
        UPDATE job.jobs
        SET state = new_state, minor_status = new_minor, version = version + 1, changed_at = happened_at,
            application_status = coalesce(new_application, application_status)
        WHERE job_id = ANY (ids) RETURNING job_id, version, attempt, application_status
    )
    INSERT INTO job.history (job_id, number, at, state, minor_status, application_status, attempt, source, event_id)
    SELECT job_id, version, happened_at, new_state, new_minor, application_status, attempt, told_by, cause FROM moved;
END $$;

-- Those that are on no pilot are Killed; the pilots of the others have an order each. One that a pilot has taken is not given
-- again: its job ends by it, or by its lease.
CREATE FUNCTION job.kill_all(
    picked bigint[], at_once text[], on_pilot text[], by_whom text, at timestamptz, cause uuid, valid_s integer
) RETURNS SETOF job.outcome LANGUAGE plpgsql AS $$
DECLARE
    held job.held[] := job.hold_all(picked);
    one job.held;
    given record;
    taken boolean;
    told job.outcome[];
BEGIN
    PERFORM job.move_all(ARRAY(SELECT h.job_id FROM unnest(held) h WHERE h.state = ANY (at_once)),
                         'Killed', 'Marked for termination', NULL, at, 'job.kill', cause);
    SELECT array_agg(ROW(CASE WHEN h.state = ANY (at_once) THEN 'killed' WHEN h.state = 'Killed' THEN 'already' ELSE 'refused' END,
                         h.state, h.attempt, h.owner, h.owner_group, h.vo, NULL, NULL, NULL, h.job_id, h.job_id)::job.outcome)
    INTO told FROM unnest(held) h WHERE NOT h.state = ANY (on_pilot);
    RETURN QUERY SELECT * FROM job.neighbours(told);
    FOR one IN SELECT * FROM unnest(held) h WHERE h.state = ANY (on_pilot) ORDER BY h.pilot_id, h.job_id LOOP
        taken := EXISTS (SELECT FROM pilot.orders o WHERE o.job_id = one.job_id AND o.attempt = one.attempt
                         AND o.pilot_id = one.pilot_id AND o."order" = 'kill' AND o.outcome = 'taken');
        IF NOT taken THEN
            SELECT * INTO given FROM pilot.give_order(one.pilot_id, 'kill', one.job_id, one.attempt, NULL, by_whom, valid_s);
        END IF;
        RETURN NEXT ROW(CASE WHEN taken THEN 'acknowledged' ELSE 'requested' END, one.state, one.attempt, one.owner,
                        one.owner_group, one.vo, one.pilot_id, NOT taken AND given.fresh, NULL, one.job_id, one.job_id)::job.outcome;
    END LOOP;
END $$;

-- Those that may are Deleted.
CREATE FUNCTION job.delete_all(picked bigint[], legal text[], at timestamptz, told_by text, cause uuid)
RETURNS SETOF job.outcome LANGUAGE plpgsql AS $$
DECLARE
    held job.held[] := job.hold_all(picked);
    told job.outcome[];
BEGIN
    PERFORM job.move_all(ARRAY(SELECT h.job_id FROM unnest(held) h WHERE h.state = ANY (legal)),
                         'Deleted', 'Checking accounting', NULL, at, told_by, cause);
    SELECT array_agg(ROW(CASE WHEN h.state = ANY (legal) THEN 'deleted' WHEN h.state = 'Deleted' THEN 'already' ELSE 'refused' END,
                         h.state, h.attempt, h.owner, h.owner_group, h.vo, NULL, NULL, NULL, h.job_id, h.job_id)::job.outcome)
    INTO told FROM unnest(held) h;
    RETURN QUERY SELECT * FROM job.neighbours(told);
END $$;

-- Those that may begin their next attempt: Rescheduled until a timer, one for all that are held as long, lets them wait again.
-- What the attempt before has left is not the job's any more, and its pilot is told to end it. delays_s is by the number of
-- the rescheduling, from none on, its last entry for all that follow.
CREATE FUNCTION job.reschedule_all(
    picked bigint[], legal text[], on_pilot text[], most integer, delays_s integer[], by_whom text, at timestamptz, cause uuid,
    valid_s integer
) RETURNS SETOF job.outcome LANGUAGE plpgsql SET plan_cache_mode TO force_custom_plan AS $$
DECLARE
    held job.held[] := job.hold_all(picked);
    again bigint[];
    told job.outcome[];
BEGIN
    again := ARRAY(SELECT h.job_id FROM unnest(held) h WHERE h.state = ANY (legal) AND h.reschedules < most);
    PERFORM pilot.give_order(h.pilot_id, 'kill', h.job_id, h.attempt, NULL, by_whom, valid_s)
    FROM (SELECT * FROM unnest(held) h WHERE h.job_id = ANY (again) AND h.state = ANY (on_pilot) AND h.pilot_id IS NOT NULL
          ORDER BY h.pilot_id, h.job_id) h;
    DELETE FROM bus.timers t WHERE t.timer IN (
        SELECT kind || h.job_id FROM unnest(held) h, unnest(ARRAY['match/', 'lease/']) kind
        WHERE h.job_id = ANY (again) AND h.state = ANY (on_pilot));
    UPDATE file.sandboxes s SET in_use_at = now()
    WHERE s.digest IN (SELECT j.output_digest FROM job.jobs j WHERE j.job_id = ANY (again));
    WITH moved AS (
        UPDATE job.jobs j
        SET state = 'Rescheduled', minor_status = 'Job Rescheduled', version = version + 1, changed_at = at,
            application_status = 'On Hold: after rescheduling ' || reschedules + 1,
            attempt = attempt + 1, reschedules = reschedules + 1, pilot_id = NULL, site = NULL, exit_code = NULL,
            output_digest = NULL, output_bytes = NULL, isolation = NULL
        WHERE j.job_id = ANY (again) RETURNING j.job_id, j.version, j.attempt, j.reschedules, j.application_status
    ), kept AS (
        INSERT INTO job.history (job_id, number, at, state, minor_status, application_status, attempt, source, event_id)
        SELECT m.job_id, m.version, reschedule_all.at, 'Rescheduled', 'Job Rescheduled', m.application_status, m.attempt,
               'job.reschedule', cause
        FROM moved m
    ), holds AS (
        SELECT delays_s[least(m.reschedules + 1, cardinality(delays_s))] AS delay_s,
               range_agg(int8range(m.job_id, m.job_id, '[]')) AS islands
        FROM moved m GROUP BY 1
    )
    INSERT INTO bus.timers
    SELECT 'hold/' || gen_random_uuid(), clock_timestamp() + make_interval(secs => delay_s), 'job.hold_ended.v1',
           lower(islands)::text, jsonb_build_object('ranges', (
               SELECT jsonb_agg(jsonb_build_array(lower(island), upper(island) - 1)) FROM unnest(islands) island))
    FROM holds;
    SELECT array_agg(ROW(
        CASE WHEN h.job_id = ANY (again) THEN 'rescheduled' WHEN h.state = 'Rescheduled' THEN 'already'
             WHEN h.state = ANY (legal) THEN 'worn' ELSE 'refused' END,
        h.state, h.attempt, h.owner, h.owner_group, h.vo,
        CASE WHEN h.job_id = ANY (again) AND h.state = ANY (on_pilot) THEN h.pilot_id END, NULL,
        CASE WHEN h.job_id = ANY (again) THEN delays_s[least(h.reschedules + 2, cardinality(delays_s))] END,
        h.job_id, h.job_id)::job.outcome)
    INTO told FROM unnest(held) h;
    RETURN QUERY SELECT * FROM job.neighbours(told);
END $$;

-- Jobs of these ranges whose hold is over wait again, in the task queue that they were in; queue_id is null for one that was in
-- none yet, which is left to be scheduled.
CREATE FUNCTION job.resume_all(ranges jsonb, at timestamptz, cause uuid)
RETURNS TABLE (job_id bigint, attempt integer, queue_id bigint, priority integer, job_group text, owner text, vo text)
LANGUAGE plpgsql SET plan_cache_mode TO force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    ids bigint[];
BEGIN
    ids := ARRAY(
        SELECT j.job_id FROM job.jobs j WHERE j.state = 'Rescheduled' AND j.job_id = ANY (ARRAY(
            SELECT generate_series((one->>0)::bigint, (one->>1)::bigint) FROM jsonb_array_elements(ranges) one))
        ORDER BY j.job_id FOR NO KEY UPDATE);
    PERFORM job.move_all(ARRAY(SELECT j.job_id FROM job.jobs j WHERE j.job_id = ANY (ids) AND j.queue_id IS NOT NULL),
                         'Waiting', 'Pilot Agent Submission', '', at, 'job.resume', cause);
    RETURN QUERY SELECT j.job_id, j.attempt, j.queue_id, j.priority, j.job_group, j.owner, j.vo
    FROM job.jobs j WHERE j.job_id = ANY (ids) ORDER BY j.queue_id, j.priority DESC, j.job_id;
END $$;

-- How many jobs of whose group are in which state: what was counted, and what has changed since, so that no row is hot.
CREATE TABLE job.group_counts (
    vo text NOT NULL, owner_group text NOT NULL, owner text NOT NULL, job_group text NOT NULL, state text NOT NULL,
    jobs bigint NOT NULL,
    PRIMARY KEY (vo, owner_group, owner, job_group, state)
);
CREATE TABLE job.group_deltas (LIKE job.group_counts);
CREATE VIEW job.groups AS
SELECT vo, owner_group, owner, job_group, state, sum(jobs)::bigint AS jobs
FROM (SELECT * FROM job.group_counts UNION ALL SELECT * FROM job.group_deltas) told
GROUP BY 1, 2, 3, 4, 5 HAVING sum(jobs) <> 0;

CREATE FUNCTION job.note_groups() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO job.group_deltas
        SELECT vo, owner_group, owner, job_group, state, count(*) FROM fresh GROUP BY 1, 2, 3, 4, 5;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO job.group_deltas
        SELECT vo, owner_group, owner, job_group, state, -count(*) FROM stale GROUP BY 1, 2, 3, 4, 5;
    ELSE
        INSERT INTO job.group_deltas
        SELECT vo, owner_group, owner, job_group, state, sum(change) FROM (
            SELECT vo, owner_group, owner, job_group, state, 1 AS change FROM fresh
            UNION ALL SELECT vo, owner_group, owner, job_group, state, -1 FROM stale
        ) both_sides GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER groups_of_inserted AFTER INSERT ON job.jobs REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION job.note_groups();
CREATE TRIGGER groups_of_updated AFTER UPDATE ON job.jobs REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION job.note_groups();
CREATE TRIGGER groups_of_deleted AFTER DELETE ON job.jobs REFERENCING OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION job.note_groups();
INSERT INTO job.group_counts
SELECT vo, owner_group, owner, job_group, state, count(*) FROM job.jobs GROUP BY 1, 2, 3, 4, 5;

-- What has changed is counted; the view is as it was.
CREATE FUNCTION job.fold_groups() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('job.groups', 0));
    WITH gone AS (DELETE FROM job.group_deltas RETURNING *)
    INSERT INTO job.group_counts AS known
    SELECT vo, owner_group, owner, job_group, state, sum(jobs) FROM gone GROUP BY 1, 2, 3, 4, 5 HAVING sum(jobs) <> 0
    ON CONFLICT (vo, owner_group, owner, job_group, state) DO UPDATE SET jobs = known.jobs + excluded.jobs;
    DELETE FROM job.group_counts WHERE jobs = 0;
END $$;

-- The sandboxes that may be in the store, when each was last put or known to be needed, and which submissions need it as input.
-- An output is needed as long as its job's row names it.
CREATE SCHEMA file;
CREATE TABLE file.sandboxes (
    digest text PRIMARY KEY,
    size_bytes bigint,
    in_use_at timestamptz NOT NULL,
    removing_at timestamptz
);
CREATE INDEX sandboxes_in_use_at ON file.sandboxes (in_use_at);
CREATE TABLE file.uses (
    holder text NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (holder, digest)
);
CREATE INDEX uses_digest ON file.uses (digest);

INSERT INTO file.uses (holder, digest)
SELECT DISTINCT 'submission/' || j.submission, substr(entry, 4)
FROM job.jobs j CROSS JOIN LATERAL json_array_elements_text(
    CASE WHEN json_typeof(j.description->'InputSandbox') = 'array' THEN j.description->'InputSandbox' ELSE '[]' END) entry
WHERE entry ~ '^SB:[0-9a-f]{64}$';
INSERT INTO file.sandboxes (digest, in_use_at)
SELECT digest, now() FROM file.uses UNION SELECT output_digest, now() FROM job.jobs WHERE output_digest IS NOT NULL;

-- Those of these sandboxes that are not in the store, or are just being removed; the others stay there until the transaction ends.
CREATE FUNCTION file.missing(digests json) RETURNS SETOF text LANGUAGE sql AS $$
    WITH kept AS MATERIALIZED (
        SELECT s.digest FROM file.sandboxes s
        WHERE s.digest IN (SELECT json_array_elements_text(digests)) AND s.removing_at IS NULL ORDER BY s.digest FOR KEY SHARE
    )
    SELECT digest FROM json_array_elements_text(digests) digest EXCEPT SELECT digest FROM kept
$$;

-- Those of these submissions that have no jobs any more, and which were theirs.
CREATE FUNCTION job.emptied(submissions uuid[]) RETURNS TABLE (submission uuid, jobs int8range) LANGUAGE sql STABLE AS $$
    SELECT s.submission, int8range(s.first_job_id, s.first_job_id + s.count) FROM job.submissions s
    WHERE s.submission = ANY (submissions) AND NOT EXISTS (
        SELECT FROM job.jobs j WHERE j.job_id >= s.first_job_id AND j.job_id < s.first_job_id + s.count)
$$;

-- What only jobs that are gone needed is needed no more, from now on: outputs, and inputs when none of a submission is left.
CREATE FUNCTION file.let_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH inputs AS (
        DELETE FROM file.uses u USING job.emptied(ARRAY(SELECT DISTINCT submission FROM stale)) e
        WHERE u.holder = 'submission/' || e.submission RETURNING u.digest
    )
    UPDATE file.sandboxes s SET in_use_at = now()
    WHERE s.digest IN (SELECT digest FROM inputs UNION ALL SELECT output_digest FROM stale);
    RETURN NULL;
END $$;
CREATE TRIGGER sandboxes_of_deleted AFTER DELETE ON job.jobs REFERENCING OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION file.let_go();

-- A sandbox is about to be put: it is needed now. False while it is just being removed, as long as whoever does that may live.
CREATE FUNCTION file.expect(the_digest text, the_size bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO file.sandboxes AS known VALUES (the_digest, the_size, clock_timestamp())
    ON CONFLICT (digest) DO UPDATE SET in_use_at = excluded.in_use_at, size_bytes = excluded.size_bytes, removing_at = NULL
    WHERE known.removing_at IS NULL OR known.removing_at < clock_timestamp() - interval '1 minute';
    RETURN FOUND;
END $$;

-- The sandboxes, so many at most, that are to be removed now: nobody has needed them since then. One that is needed was looked at.
CREATE FUNCTION file.begin_removals(until timestamptz, most integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    old text[];
    used text[];
BEGIN
    old := ARRAY(
        SELECT s.digest FROM file.sandboxes s
        WHERE s.in_use_at < until AND (s.removing_at IS NULL OR s.removing_at < clock_timestamp() - interval '1 minute')
        ORDER BY s.in_use_at LIMIT most FOR UPDATE SKIP LOCKED);
    used := ARRAY(
        SELECT one FROM unnest(old) one
        WHERE EXISTS (SELECT FROM file.uses u WHERE u.digest = one) OR EXISTS (SELECT FROM job.jobs j WHERE j.output_digest = one));
    UPDATE file.sandboxes s SET in_use_at = now(), removing_at = NULL WHERE s.digest = ANY (used);
    RETURN QUERY UPDATE file.sandboxes s SET removing_at = clock_timestamp()
    WHERE s.digest = ANY (old) AND s.digest <> ALL (used) RETURNING s.digest;
END $$;

-- So many jobs at most that were over so long ago, of one state, oldest first.
CREATE FUNCTION job.outdated(the_state text, until timestamptz, most integer) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT j.job_id FROM (
        SELECT job_id FROM job.jobs WHERE state = the_state AND changed_at < until ORDER BY changed_at LIMIT most
    ) j ORDER BY j.job_id)
$$;

-- Deleted jobs that are so old are gone, with their history and what they needed of the store; how many.
CREATE FUNCTION job.purge(until timestamptz, most integer) RETURNS integer LANGUAGE plpgsql
SET plan_cache_mode TO force_custom_plan AS $$
DECLARE
    ids bigint[];
    came_with uuid[];
BEGIN
    -- one at a time: two would each take the other's jobs for the last of a submission
    PERFORM pg_advisory_xact_lock(hashtextextended('job.purge', 0));
    ids := job.outdated('Deleted', until, most);
    ids := ARRAY(SELECT j.job_id FROM job.jobs j WHERE j.job_id = ANY (ids) ORDER BY j.job_id FOR UPDATE SKIP LOCKED);
    came_with := ARRAY(SELECT DISTINCT j.submission FROM job.jobs j WHERE j.job_id = ANY (ids));
    DELETE FROM job.history h WHERE h.job_id = ANY (ids);
    DELETE FROM job.jobs j WHERE j.job_id = ANY (ids);
    -- what jobs of a submission had in common goes with the last of them
    DELETE FROM job.history_ranges r USING job.emptied(came_with) e WHERE r.jobs <@ e.jobs;
    DELETE FROM job.templates t USING job.emptied(came_with) e WHERE t.submission = e.submission;
    DELETE FROM job.shapes s USING job.emptied(came_with) e WHERE s.submission = e.submission;
    RETURN cardinality(ids);
END $$;
