-- The whole database of today, as the numbered files make it. Written by `make generate`; do not edit.

SET check_function_bodies = false;

CREATE SCHEMA bus;

CREATE SCHEMA file;

CREATE SCHEMA job;

CREATE SCHEMA log;

CREATE SCHEMA match;

CREATE SCHEMA pilot;

CREATE SCHEMA proxy;

CREATE SCHEMA registry;

CREATE SCHEMA share;

CREATE SCHEMA site;

CREATE SCHEMA trust;

CREATE TYPE job.held AS (
	job_id bigint,
	state text,
	attempt integer,
	reschedules integer,
	owner text,
	owner_group text,
	vo text,
	pilot_id text
);

CREATE TYPE job.outcome AS (
	outcome text,
	state text,
	attempt integer,
	owner text,
	owner_group text,
	vo text,
	pilot_id text,
	fresh boolean,
	delay_s integer,
	first_job_id bigint,
	last_job_id bigint
);

CREATE TYPE pilot.held AS (
	place integer,
	job_id bigint,
	attempt integer,
	owner text,
	vo text,
	state text,
	version integer,
	measures jsonb,
	lease_s integer,
	grace_s integer
);

CREATE TYPE pilot.said AS (
	place integer,
	pilot_id text,
	site text,
	number bigint,
	measures jsonb,
	attempts jsonb,
	gone boolean,
	lost boolean,
	beat_s integer,
	silent_s integer,
	lease_s integer,
	grace_s integer
);

CREATE FUNCTION bus.keep_days(parent text, moment text, today date, days integer) RETURNS void
    LANGUAGE plpgsql
    AS $_$
DECLARE
    room text := split_part(parent, '.', 1);
    base text := split_part(parent, '.', 2);
    day date;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bus.keep_days'));
    FOREACH day IN ARRAY ARRAY[today, today + 1, today + 2] LOOP
        name := base || '_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(format('%I.%I', room, name)) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I.%I PARTITION OF %I.%I FOR VALUES FROM (%L) TO (%L)', room, name, room, base,
                               day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            EXCEPTION WHEN check_violation THEN
                NULL; -- the default partition has rows of that day already: they stay there
            END;
        END IF;
    END LOOP;
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent::regclass AND c.relname ~ '_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - days
    LOOP
        BEGIN
            SET LOCAL lock_timeout = '500ms'; -- who waits for a long reader holds up everybody behind: the next minute will do
            EXECUTE format('DROP TABLE %I.%I', room, name);
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    EXECUTE format('DELETE FROM %I.%I WHERE %I < %L', room, base || '_default', moment, (today - days)::timestamp AT TIME ZONE 'UTC');
END $_$;

CREATE FUNCTION bus.tidy(today date, inbox_days integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    day date;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bus.tidy'));
    FOREACH day IN ARRAY ARRAY[today + 1, today + 2] LOOP
        name := 'events_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('bus.' || name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE bus.%I PARTITION OF bus.events FOR VALUES FROM (%L) TO (%L)',
                               name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            EXCEPTION WHEN check_violation THEN
                NULL; -- the default partition has events of that day already: they stay there
            END;
        END IF;
    END LOOP;
    DELETE FROM bus.inbox WHERE seen_at < today - inbox_days;
    DELETE FROM bus.failures WHERE failed_at < today - inbox_days;
END $$;

CREATE FUNCTION file.begin_removals(until timestamp with time zone, most integer) RETURNS SETOF text
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION file.expect(the_digest text, the_size bigint) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO file.sandboxes AS known VALUES (the_digest, the_size, clock_timestamp())
    ON CONFLICT (digest) DO UPDATE SET in_use_at = excluded.in_use_at, size_bytes = excluded.size_bytes, removing_at = NULL
    WHERE known.removing_at IS NULL OR known.removing_at < clock_timestamp() - interval '1 minute';
    RETURN FOUND;
END $$;

CREATE FUNCTION file.let_go() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    WITH inputs AS (
        DELETE FROM file.uses u USING job.emptied(ARRAY(SELECT DISTINCT submission FROM stale)) e
        WHERE u.holder = 'submission/' || e.submission RETURNING u.digest
    )
    UPDATE file.sandboxes s SET in_use_at = now()
    WHERE s.digest IN (SELECT digest FROM inputs UNION ALL SELECT output_digest FROM stale);
    RETURN NULL;
END $$;

CREATE FUNCTION file.missing(digests json) RETURNS SETOF text
    LANGUAGE sql
    AS $$
    WITH kept AS MATERIALIZED (
        SELECT s.digest FROM file.sandboxes s
        WHERE s.digest IN (SELECT json_array_elements_text(digests)) AND s.removing_at IS NULL ORDER BY s.digest FOR KEY SHARE
    )
    SELECT digest FROM json_array_elements_text(digests) digest EXCEPT SELECT digest FROM kept
$$;

CREATE FUNCTION job.allot(how_many integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    ours CONSTANT bigint := hashtextextended('job.allot', 0);
    first bigint;
BEGIN
    PERFORM pg_advisory_lock(ours); -- of the session and let go at once: a transaction's would last as long as that one
    BEGIN
        first := nextval('job.ids');
        PERFORM setval('job.ids', first + how_many - 1);
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM pg_advisory_unlock(ours);
        RAISE;
    END;
    PERFORM pg_advisory_unlock(ours);
    RETURN first;
END $$;

CREATE FUNCTION job.chosen(asked jsonb, seen jsonb, after bigint, most integer, newest boolean) RETURNS TABLE(job_id bigint, owner text, owner_group text, vo text)
    LANGUAGE plpgsql STABLE
    AS $_$
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
END $_$;

CREATE FUNCTION job.delete_all(picked bigint[], legal text[], at timestamp with time zone, told_by text, cause uuid) RETURNS SETOF job.outcome
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION job.emptied(submissions uuid[]) RETURNS TABLE(submission uuid, jobs int8range)
    LANGUAGE sql STABLE
    AS $$
    SELECT s.submission, int8range(s.first_job_id, s.first_job_id + s.count) FROM job.submissions s
    WHERE s.submission = ANY (submissions) AND NOT EXISTS (
        SELECT FROM job.jobs j WHERE j.job_id >= s.first_job_id AND j.job_id < s.first_job_id + s.count)
$$;

CREATE FUNCTION job.fold_groups() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('job.groups', 0));
    WITH gone AS (DELETE FROM job.group_deltas RETURNING *)
    INSERT INTO job.group_counts AS known
    SELECT vo, owner_group, owner, job_group, state, sum(jobs) FROM gone GROUP BY 1, 2, 3, 4, 5 HAVING sum(jobs) <> 0
    ON CONFLICT (vo, owner_group, owner, job_group, state) DO UPDATE SET jobs = known.jobs + excluded.jobs;
    DELETE FROM job.group_counts WHERE jobs = 0;
END $$;

CREATE FUNCTION job.hold(the_submission uuid) RETURNS boolean
    LANGUAGE sql
    AS $$
    SELECT pg_try_advisory_xact_lock(hashtextextended('job.submission/' || the_submission, 0))
$$;

CREATE FUNCTION job.hold_all(picked bigint[]) RETURNS job.held[]
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
DECLARE
    held job.held[];
BEGIN
    SELECT array_agg(ROW(j.job_id, j.state, j.attempt, j.reschedules, j.owner, j.owner_group, j.vo, j.pilot_id)::job.held)
    INTO held FROM (SELECT * FROM job.jobs WHERE job_id = ANY (picked) ORDER BY job_id FOR NO KEY UPDATE) j;
    RETURN held;
END $$;

CREATE FUNCTION job.kill_all(picked bigint[], at_once text[], on_pilot text[], by_whom text, at timestamp with time zone, cause uuid, valid_s integer) RETURNS SETOF job.outcome
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION job.move(the_job bigint, read_version integer, new_state text, new_minor text, new_application text, happened_at timestamp with time zone, told_by text, cause uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    now_attempt integer;
    now_application text;
BEGIN
    UPDATE job.jobs
    SET state = new_state, minor_status = new_minor, version = version + 1, changed_at = happened_at,
        application_status = coalesce(new_application, application_status)
    WHERE job_id = the_job AND version = read_version
    RETURNING attempt, application_status INTO now_attempt, now_application;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job % is no longer at version %', the_job, read_version USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO job.history (job_id, number, at, state, minor_status, application_status, attempt, source, event_id)
    VALUES (the_job, read_version + 1, happened_at, new_state, new_minor, now_application, now_attempt, told_by, cause);
END $$;

CREATE FUNCTION job.move_all(ids bigint[], new_state text, new_minor text, new_application text, happened_at timestamp with time zone, told_by text, cause uuid) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
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

CREATE FUNCTION job.neighbours(alike job.outcome[]) RETURNS SETOF job.outcome
    LANGUAGE sql
    AS $$
    SELECT outcome, state, attempt, owner, owner_group, vo, pilot_id, fresh, delay_s, lower(island), upper(island) - 1
    FROM (SELECT outcome, state, attempt, owner, owner_group, vo, pilot_id, fresh, delay_s,
                 range_agg(int8range(first_job_id, last_job_id, '[]')) AS islands
          FROM unnest(alike) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) same, unnest(islands) island
$$;

CREATE FUNCTION job.note_groups() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION job.outdated(the_state text, until timestamp with time zone, most integer) RETURNS bigint[]
    LANGUAGE sql STABLE
    AS $$
    SELECT ARRAY(SELECT j.job_id FROM (
        SELECT job_id FROM job.jobs WHERE state = the_state AND changed_at < until ORDER BY changed_at LIMIT most
    ) j ORDER BY j.job_id)
$$;

CREATE FUNCTION job.purge(until timestamp with time zone, most integer) RETURNS integer
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
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

CREATE FUNCTION job.reached(far jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT '(' || concat_ws(' OR ',
        format('j.owner = %L', far->>'own'),
        CASE WHEN jsonb_array_length(far->'vos') > 0
             THEN format('j.vo = ANY (%L::text[])', ARRAY(SELECT jsonb_array_elements_text(far->'vos'))) END,
        (SELECT string_agg(format('(j.owner_group = %L AND j.vo = %L)', one->>0, one->>1), ' OR ')
         FROM jsonb_array_elements(far->'groups') one),
        'false') || ')'
$$;

CREATE FUNCTION job.reschedule_all(picked bigint[], legal text[], on_pilot text[], most integer, delays_s integer[], by_whom text, at timestamp with time zone, cause uuid, valid_s integer) RETURNS SETOF job.outcome
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
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

CREATE FUNCTION job.resume_all(ranges jsonb, at timestamp with time zone, cause uuid) RETURNS TABLE(job_id bigint, attempt integer, queue_id bigint, priority integer, job_group text, owner text, vo text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
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

CREATE FUNCTION job.steps(the_jobs bigint[]) RETURNS TABLE(job_id bigint, number integer, at timestamp with time zone, state text, minor_status text, application_status text, attempt integer, source text, event_id uuid)
    LANGUAGE sql STABLE
    AS $$
    SELECT h.job_id, h.number, h.at, h.state, h.minor_status, h.application_status, h.attempt, h.source, h.event_id
    FROM job.history h WHERE h.job_id = ANY (the_jobs)
    UNION ALL
    SELECT j, r.number, r.at, r.state, r.minor_status, r.application_status, r.attempt, r.source, r.event_id
    FROM unnest(the_jobs) j JOIN job.history_ranges r ON r.jobs @> j
$$;

CREATE FUNCTION job.store(rows json, the_submission uuid, first_job_id bigint, the_owner text, the_group text, the_vo text, the_template bigint, the_state text, the_minor text, happened_at timestamp with time zone) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, job_type, state, minor_status,
                          priority, description, template_id, place, cells, shape, submitted_at, changed_at)
    SELECT first_job_id + r.place, the_submission, the_owner, the_group, the_vo, r.job_name, r.job_group, r.job_type, the_state,
           the_minor, r.priority, r.description, the_template, CASE WHEN the_template IS NOT NULL THEN r.place END, r.cells,
           r.shape, happened_at, happened_at
    FROM json_to_recordset(rows) AS r (place integer, job_name text, job_group text, job_type text, priority integer,
                                       description json, cells json, shape integer)
$$;

CREATE FUNCTION match.claim_all(picks json, start_within_s integer) RETURNS TABLE(number integer, outcome text, job_id bigint, attempt integer, owner text, vo text, description json, template_id bigint, place integer, cells json)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM match.hold_limits();
    PERFORM match.lock_request(p.pilot_id, p.request_id) FROM (
        SELECT * FROM json_to_recordset(picks) AS p (pilot_id text, request_id uuid) ORDER BY pilot_id, request_id) p;
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT DISTINCT ON (p.pilot_id, p.request_id) * FROM json_to_recordset(picks) AS p (
            number integer, queue_id bigint, job_id bigint, pilot_id text, request_id uuid, event_id uuid,
            site text, ce text, processors integer)
    ), settled AS MATERIALIZED (
        SELECT a.number, j.job_id,
               CASE WHEN j.job_id IS NOT NULL THEN 'again' WHEN w.pilot_id IS NOT NULL THEN 'withdrawn' ELSE 'spent' END AS outcome
        FROM asked a
        LEFT JOIN match.withdrawals w ON w.pilot_id = a.pilot_id AND w.request_id = a.request_id
        LEFT JOIN match.claims c ON c.pilot_id = a.pilot_id AND c.request_id = a.request_id
        LEFT JOIN job.jobs j ON j.job_id = c.job_id AND j.attempt = c.attempt AND j.state = 'Matched'
        WHERE w.pilot_id IS NOT NULL OR c.pilot_id IS NOT NULL
    ), mine AS MATERIALIZED (
        SELECT j.job_id, a.number, a.pilot_id, a.request_id, a.event_id, a.site, a.ce, a.processors
        FROM asked a JOIN job.jobs j ON j.job_id = a.job_id AND j.queue_id = a.queue_id
        WHERE j.state = 'Waiting' AND NOT trust.is_banned('user', j.owner)
          AND NOT EXISTS (SELECT FROM settled s WHERE s.number = a.number)
        ORDER BY j.job_id FOR NO KEY UPDATE OF j SKIP LOCKED
    ), moved AS (
        UPDATE job.jobs j
        SET state = 'Matched', minor_status = 'Assigned', version = version + 1, changed_at = clock_timestamp(),
            pilot_id = m.pilot_id, site = m.site
        FROM mine m WHERE j.job_id = m.job_id AND j.state = 'Waiting'
        RETURNING m.number, m.request_id, m.event_id, m.ce, m.processors, j.*
    ), told AS (
        INSERT INTO job.history (job_id, number, at, state, minor_status, application_status, attempt, source, event_id)
        SELECT job_id, version, changed_at, state, minor_status, application_status, attempt, 'match.request', event_id FROM moved
    ), kept AS (
        INSERT INTO match.claims (pilot_id, request_id, job_id, attempt, claimed_at, site, ce, owner, owner_group, vo, job_type,
                                  job_group, processors)
        SELECT pilot_id, request_id, job_id, attempt, changed_at, site, ce, owner, owner_group, vo,
               job_type, job_group, processors
        FROM moved
    ), armed AS (
        INSERT INTO bus.timers
        SELECT 'match/' || job_id, changed_at + make_interval(secs => start_within_s), 'job.match_expired.v1', job_id::text,
               jsonb_build_object('job_id', job_id, 'attempt', attempt)
        FROM moved ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at, data = excluded.data
    )
    SELECT m.number, 'claimed', m.job_id, m.attempt, m.owner, m.vo, m.description, m.template_id, m.place, m.cells FROM moved m
    UNION ALL
    SELECT s.number, s.outcome, j.job_id, j.attempt, j.owner, j.vo, j.description, j.template_id, j.place, j.cells
    FROM settled s LEFT JOIN job.jobs j ON j.job_id = s.job_id;
END $$;

CREATE TABLE match.claims (
    pilot_id text NOT NULL,
    request_id uuid NOT NULL,
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    site text DEFAULT ''::text NOT NULL,
    ce text DEFAULT ''::text NOT NULL,
    owner text DEFAULT ''::text NOT NULL,
    owner_group text DEFAULT ''::text NOT NULL,
    vo text DEFAULT ''::text NOT NULL,
    job_type text DEFAULT ''::text NOT NULL,
    job_group text DEFAULT ''::text NOT NULL,
    processors integer DEFAULT 1 NOT NULL,
    released_at timestamp with time zone
);

CREATE TABLE match.limits (
    limit_id bigint NOT NULL,
    site text NOT NULL,
    ce text NOT NULL,
    attribute text NOT NULL,
    value text NOT NULL,
    most integer,
    running integer NOT NULL,
    delay_s double precision,
    burst integer NOT NULL,
    tokens double precision NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT limits_attribute_check CHECK ((attribute = ANY (ARRAY['Owner'::text, 'OwnerGroup'::text, 'VO'::text, 'JobType'::text, 'JobGroup'::text, '*'::text])))
)
WITH (fillfactor='50');

CREATE FUNCTION match.concerns(the_limit match.limits, claim match.claims) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT the_limit.site = claim.site AND the_limit.ce IN ('', claim.ce) AND the_limit.value = CASE the_limit.attribute
        WHEN 'Owner' THEN claim.owner
        WHEN 'OwnerGroup' THEN claim.owner_group
        WHEN 'VO' THEN claim.vo
        WHEN 'JobType' THEN claim.job_type
        WHEN 'JobGroup' THEN claim.job_group
        ELSE '*'
    END
$$;

CREATE FUNCTION match.day_of(at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT date_trunc('day', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

CREATE FUNCTION match.describe_limits(the_site text, the_time timestamp with time zone, wanted json) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    fresh bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM site.sites s WHERE s.site = the_site AND s.described_at = the_time) THEN
        RETURN;
    END IF;
    DELETE FROM match.limits l WHERE l.site = the_site AND NOT EXISTS (
        SELECT FROM json_to_recordset(wanted) AS one(ce text, attribute text, value text)
        WHERE (one.ce, one.attribute, one.value) = (l.ce, l.attribute, l.value));
    UPDATE match.limits l
    SET most = one.most, delay_s = one.delay_s, burst = one.burst,
        tokens = CASE WHEN l.delay_s IS NULL AND one.delay_s IS NOT NULL THEN one.burst ELSE least(l.tokens, one.burst) END,
        at = CASE WHEN l.delay_s IS NULL AND one.delay_s IS NOT NULL THEN clock_timestamp() ELSE l.at END
    FROM json_to_recordset(wanted)
        AS one(ce text, attribute text, value text, most integer, delay_s double precision, burst integer)
    WHERE l.site = the_site AND (one.ce, one.attribute, one.value) = (l.ce, l.attribute, l.value);
    WITH made AS (
        INSERT INTO match.limits (site, ce, attribute, value, most, running, delay_s, burst, tokens, at)
        SELECT the_site, one.ce, one.attribute, one.value, one.most, 0, one.delay_s, one.burst, one.burst, clock_timestamp()
        FROM json_to_recordset(wanted)
            AS one(ce text, attribute text, value text, most integer, delay_s double precision, burst integer)
        ON CONFLICT (site, ce, attribute, value) DO NOTHING RETURNING limit_id
    )
    SELECT array_agg(made.limit_id) INTO fresh FROM made;
    UPDATE match.limits l SET running = now.running
    FROM (
        SELECT one.limit_id, count(*) AS running
        FROM match.limits one JOIN match.claims c ON match.concerns(one, c)
        WHERE c.site = the_site AND one.limit_id = ANY (fresh) AND c.released_at IS NULL GROUP BY 1
    ) now
    WHERE l.limit_id = now.limit_id;
END $$;

CREATE FUNCTION match.digest_of(resource jsonb, reasons jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT md5(resource::text || match.lasting(reasons)::text)
$$;

CREATE FUNCTION match.hold_limits() RETURNS void
    LANGUAGE sql
    AS $$
    SELECT pg_advisory_xact_lock_shared(hashtextextended('match.limits', 0))
$$;

CREATE FUNCTION match.hour_of(at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT date_trunc('hour', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

CREATE FUNCTION match.keep_empties(rows json) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO match.empties (pilot_id, at, request_id, site, digest, counts)
    SELECT pilot_id, at, request_id, site, match.digest_of(resource, reasons), reasons - 'headline' - 'nearest'
        || jsonb_strip_nulls(jsonb_build_object('queue', (reasons->'nearest') - 'fields' - 'reasons'))
    FROM json_to_recordset(rows) AS r (pilot_id text, request_id uuid, at timestamptz, site text, resource jsonb, reasons jsonb)
    ORDER BY 1, 2, 3
    ON CONFLICT (pilot_id, at, request_id) DO NOTHING;
    INSERT INTO match.reasons (day, digest, resource, nearest)
    SELECT DISTINCT match.day_of(at), match.digest_of(resource, reasons), resource, match.lasting(reasons)
    FROM json_to_recordset(rows) AS r (at timestamptz, resource jsonb, reasons jsonb)
    ORDER BY 1, 2
    ON CONFLICT (day, digest) DO NOTHING
$$;

CREATE FUNCTION match.keep_offers(rows json) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO match.offers AS known (hour, digest, resource, requests, pilots, first_at, last_at)
    SELECT match.hour_of(at), md5(resource::text), resource, sum(requests), sum(pilots), min(at), max(at)
    FROM json_to_recordset(rows) AS r (at timestamptz, resource jsonb, requests bigint, pilots integer)
    GROUP BY 1, 2, 3 ORDER BY 1, 2 -- several matchers keep at once, and all lock in this order
    ON CONFLICT (hour, digest) DO UPDATE
    SET requests = known.requests + excluded.requests, pilots = known.pilots + excluded.pilots,
        first_at = least(known.first_at, excluded.first_at), last_at = greatest(known.last_at, excluded.last_at)
$$;

CREATE FUNCTION match.lasting(reasons jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT coalesce((reasons->'nearest') - 'queue_id' - 'waiting', '{}')
$$;

CREATE FUNCTION match.lock_request(the_pilot text, the_request uuid) RETURNS void
    LANGUAGE sql
    AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('match.request/' || the_pilot || '/' || the_request, 0))
$$;

CREATE FUNCTION match.locked_limits(sites text[]) RETURNS TABLE(limit_id bigint, site text, ce text, attribute text, value text, most integer, running integer, delay_s double precision, burst integer, tokens double precision, at_s double precision, now_s double precision)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM match.hold_limits();
    PERFORM FROM match.limits l WHERE l.site = ANY (sites) ORDER BY l.limit_id FOR UPDATE;
    IF FOUND THEN -- read after the wait for the locks: the moment is that of the decision
        RETURN QUERY SELECT l.limit_id, l.site, l.ce, l.attribute, l.value, l.most, l.running, l.delay_s, l.burst, l.tokens,
                            extract(epoch FROM l.at)::double precision, extract(epoch FROM clock_timestamp())::double precision
        FROM match.limits l WHERE l.site = ANY (sites) ORDER BY l.limit_id;
    END IF;
END $$;

CREATE FUNCTION match.note_over(the_job bigint, last_attempt integer) RETURNS void
    LANGUAGE sql
    AS $$
    SELECT set_config('match.over', concat_ws(',', nullif(current_setting('match.over', true), ''),
                                              the_job || '/' || last_attempt), true)
$$;

CREATE FUNCTION match.release() RETURNS TABLE(site text, ce text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    noted text := nullif(current_setting('match.over', true), '');
    jobs bigint[];
    attempts integer[];
    gone match.claims[];
    used json;
BEGIN
    IF noted IS NULL THEN
        RETURN;
    END IF;
    PERFORM set_config('match.over', '', true);
    SELECT array_agg(split_part(one, '/', 1)::bigint), array_agg(split_part(one, '/', 2)::integer) INTO jobs, attempts
    FROM string_to_table(noted, ',') one;
    PERFORM match.hold_limits();
    PERFORM FROM match.limits l WHERE l.site IN (
        SELECT c.site FROM unnest(jobs, attempts) AS over(job_id, last) JOIN match.claims c
        ON c.job_id = over.job_id AND c.attempt <= over.last AND c.released_at IS NULL
    ) ORDER BY l.limit_id FOR UPDATE;
    WITH ended AS (
        SELECT c.pilot_id, c.request_id FROM unnest(jobs, attempts) AS over(job_id, last) JOIN match.claims c
        ON c.job_id = over.job_id AND c.attempt <= over.last AND c.released_at IS NULL
        ORDER BY c.job_id, c.attempt FOR UPDATE OF c
    ), released AS (
        UPDATE match.claims c SET released_at = clock_timestamp() FROM ended
        WHERE (c.pilot_id, c.request_id) = (ended.pilot_id, ended.request_id) AND c.released_at IS NULL RETURNING c AS claim
    )
    SELECT array_agg(released.claim) INTO gone FROM released;
    RETURN QUERY WITH ended AS (
        SELECT l.limit_id, count(*)::integer AS claims
        FROM match.limits l JOIN unnest(gone) c ON match.concerns(l, c) GROUP BY 1
    ), counted AS (
        UPDATE match.limits l SET running = l.running - ended.claims FROM ended WHERE l.limit_id = ended.limit_id
        RETURNING l.site, l.ce, l.running < l.most AND l.running + ended.claims >= l.most AS opened
    )
    SELECT DISTINCT counted.site, counted.ce FROM counted WHERE counted.opened ORDER BY 1, 2;
    SELECT json_agg(change) INTO used FROM (
        SELECT c.owner_group, c.owner, -sum(c.processors) AS processors
        FROM unnest(gone) c WHERE c.processors IS NOT NULL GROUP BY 1, 2
    ) change;
    IF used IS NOT NULL THEN
        PERFORM share.use(used);
    END IF;
    -- a claim is known for a month, so that a request never gets a second job, nor a pilot's last words are refused;
    -- more are forgotten than end, so that none are left over however many come
    DELETE FROM match.claims c WHERE c.ctid = ANY (ARRAY(
        SELECT old.ctid FROM match.claims old WHERE old.released_at < now() - interval '30 days'
        ORDER BY old.released_at LIMIT 20 + 2 * cardinality(jobs) FOR UPDATE SKIP LOCKED));
END $$;

CREATE FUNCTION match.stop_claims() RETURNS void
    LANGUAGE sql
    AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('match.limits', 0))
$$;

CREATE FUNCTION match.withdraw(the_pilot text, the_request uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM match.lock_request(the_pilot, the_request);
    DELETE FROM match.withdrawals w WHERE w.ctid = ANY (ARRAY(
        SELECT old.ctid FROM match.withdrawals old WHERE old.withdrawn_at < now() - interval '1 day'
        ORDER BY old.withdrawn_at LIMIT 10 FOR UPDATE SKIP LOCKED));
    INSERT INTO match.withdrawals VALUES (the_pilot, the_request, clock_timestamp()) ON CONFLICT DO NOTHING;
    RETURN NOT EXISTS (
        SELECT FROM match.claims c JOIN job.jobs j ON j.job_id = c.job_id AND j.attempt = c.attempt AND j.state = 'Matched'
        WHERE c.pilot_id = the_pilot AND c.request_id = the_request
    );
END $$;

CREATE FUNCTION match.write_limits(changed json) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE match.limits l SET running = row.running, tokens = row.tokens, at = to_timestamp(row.at_s)
    FROM json_to_recordset(changed) AS row(limit_id bigint, running integer, tokens double precision, at_s double precision)
    WHERE l.limit_id = row.limit_id
$$;

CREATE FUNCTION pilot.beat(the_pilot text, the_site text, measures jsonb, attempts jsonb) RETURNS TABLE(job_id bigint, attempt integer, owner text, vo text, state text, version integer, lease_s integer)
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION pilot.beat_all(beats json) RETURNS TABLE(place integer, site text, beat_s integer, lost boolean, held json)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

CREATE FUNCTION pilot.give_order(the_pilot text, the_order text, the_job bigint, the_attempt integer, the_level text, by_whom text, valid_s integer) RETURNS TABLE(number bigint, fresh boolean)
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION proxy.deposit(the_owner text, the_delegation uuid, the_dn text, the_registered text, the_proxy bytea, the_fingerprint text, ends_at timestamp with time zone, the_moment timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    replaced text;
BEGIN
    UPDATE proxy.delegations SET used_for = the_fingerprint, sealed_key = NULL
    WHERE owner = the_owner AND delegation_id = the_delegation AND used_for IS NULL AND expires_at > now();
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM proxy.proxies WHERE owner = the_owner AND dn = the_dn RETURNING fingerprint INTO replaced;
    DELETE FROM bus.timers WHERE timer = 'proxy/' || replaced;
    INSERT INTO proxy.proxies (owner, dn, registered_as, sealed, fingerprint, not_after, deposited_at)
    VALUES (the_owner, the_dn, the_registered, the_proxy, the_fingerprint, ends_at, the_moment);
    INSERT INTO bus.timers VALUES (
        'proxy/' || the_fingerprint, ends_at, 'proxy.expired.v1', the_owner,
        jsonb_build_object('account', the_owner, 'dn', the_dn, 'fingerprint', the_fingerprint));
    RETURN true;
END $$;

CREATE FUNCTION proxy.open_delegation(the_owner text, the_delegation uuid, the_key bytea, the_csr text, opened_at timestamp with time zone, within_s integer) RETURNS void
    LANGUAGE sql
    AS $$
    WITH opened AS (
        INSERT INTO proxy.delegations (owner, delegation_id, sealed_key, csr_pem, created_at, expires_at)
        VALUES (the_owner, the_delegation, the_key, the_csr, opened_at, now() + make_interval(secs => within_s))
        ON CONFLICT DO NOTHING RETURNING expires_at
    )
    INSERT INTO bus.timers
    SELECT 'delegation/' || the_owner || '/' || the_delegation, expires_at, 'proxy.delegation_expired.v1', the_delegation::text,
           jsonb_build_object('delegation_id', the_delegation, 'account', the_owner)
    FROM opened ON CONFLICT (timer) DO NOTHING
$$;

CREATE FUNCTION registry.keep_user(read_number bigint, the_account text, the_groups text[], the_dns text[], the_email text, at timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM registry.turn(read_number);
    INSERT INTO registry.users (account, dns, email, described_at) VALUES (the_account, the_dns, the_email, at)
    ON CONFLICT (account) DO UPDATE SET dns = excluded.dns, email = excluded.email, described_at = excluded.described_at;
    DELETE FROM registry.members WHERE account = the_account;
    INSERT INTO registry.members (account, number, "group")
    SELECT the_account, number, name FROM unnest(the_groups) WITH ORDINALITY AS named (name, number);
END $$;

CREATE FUNCTION registry.standing(the_account text) RETURNS TABLE("group" text, vo text, properties text[])
    LANGUAGE sql STABLE
    AS $$
    SELECT g."group", g.vo, g.properties FROM (
        SELECT m."group", m.number FROM registry.members m WHERE m.account = the_account
        UNION ALL
        SELECT 'local_user', 1
        WHERE NOT EXISTS (SELECT FROM registry.users u WHERE u.account = the_account)
          AND the_account NOT LIKE 'pilot-%' AND the_account NOT IN ('pilotbus', 'guest', '')
    ) s JOIN registry.groups g ON g."group" = s."group"
    ORDER BY s.number
$$;

CREATE FUNCTION registry.still(read_number bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM FROM registry.edition WHERE number = read_number FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the registry is no longer at edition %', read_number USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

CREATE FUNCTION registry.turn(read_number bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM registry.still(read_number);
    UPDATE registry.edition SET number = number + 1;
END $$;

CREATE FUNCTION share.accrued(core_s double precision, processors integer, since timestamp with time zone, until timestamp with time zone, half_life_s double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT greatest(0, processors * half_life_s / ln(2) + (core_s - processors * half_life_s / ln(2))
        * CASE WHEN date_part('epoch', until - since) > 64 * half_life_s THEN 0
               ELSE power(2, -greatest(0, date_part('epoch', until - since)) / half_life_s) END)
$$;

CREATE FUNCTION share.half_life_s() RETURNS double precision
    LANGUAGE sql STABLE
    AS $$
    SELECT half_life_s FROM share.settings
$$;

CREATE FUNCTION share.use(changes json, half_life_s double precision DEFAULT share.half_life_s()) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO share.usage AS known (owner_group, owner, processors, core_s, at)
    SELECT c.owner_group, c.owner, sum(c.processors), 0, clock_timestamp()
    FROM json_to_recordset(changes) AS c (owner_group text, owner text, processors integer)
    GROUP BY c.owner_group, c.owner
    HAVING sum(c.processors) > 0
        OR EXISTS (SELECT FROM share.usage u WHERE u.owner_group = c.owner_group AND u.owner = c.owner)
    ORDER BY c.owner_group, c.owner
    ON CONFLICT (owner_group, owner) DO UPDATE
    SET core_s = share.accrued(known.core_s, known.processors, known.at, excluded.at, half_life_s),
        processors = greatest(0, known.processors + excluded.processors),
        at = greatest(known.at, excluded.at);
END $$;

CREATE FUNCTION site.policy(the_site text) RETURNS TABLE(beat_s integer, silent_s integer, lease_s integer, grace_s integer, when_lost text)
    LANGUAGE sql STABLE
    AS $$
    SELECT beat_s, ceil(beat_s * 3.3)::integer, lease_s, greatest(2, least(30, lease_s / 4)), when_lost
    -- at least four beats to a lease: one that is lost must not end it
    FROM (SELECT greatest(1, least(coalesce(min(s.beat_s), 60), coalesce(min(s.lease_s), 1800) / 4)) AS beat_s,
                 coalesce(min(s.lease_s), 1800) AS lease_s, coalesce(min(s.when_lost), 'reschedule') AS when_lost
          FROM site.sites s WHERE s.site = the_site) known
$$;

CREATE FUNCTION trust.enrol(the_pilot text, secret text, use text, came_from text, happened_at timestamp with time zone) RETURNS TABLE(outcome text, site text, ce text, vo text, tags text[])
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    known trust.enrolments%ROWTYPE;
BEGIN
    SELECT * INTO known FROM trust.enrolments e WHERE e.pilot_id = the_pilot FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'unknown';
    ELSIF known.secret_sha256 <> secret THEN
        outcome := 'wrong';
    ELSIF known.revoked_at IS NOT NULL THEN
        outcome := 'revoked';
    ELSIF known.enrolled_at IS NOT NULL AND known.use_sha256 = use AND known.enrolled_at > now() - interval '10 minutes' THEN
        outcome := 'again';
    ELSIF known.enrolled_at IS NOT NULL THEN
        outcome := 'reused';
        UPDATE trust.enrolments e SET revoked_at = happened_at, revoked_because = 'its enrolment secret was used a second time'
        WHERE e.pilot_id = the_pilot;
    ELSIF known.expires_at < now() THEN
        outcome := 'expired';
    ELSE
        outcome := 'enrolled';
        UPDATE trust.enrolments e SET enrolled_at = happened_at, use_sha256 = use, peer = came_from WHERE e.pilot_id = the_pilot;
    END IF;
    RETURN QUERY SELECT outcome, known.site, known.ce, known.vo, known.tags;
END $$;

CREATE FUNCTION trust.is_banned(the_kind text, the_name text) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM trust.bans WHERE kind = the_kind AND name = the_name AND (until IS NULL OR until > now()))
$$;

CREATE FUNCTION trust.standing(the_accounts text[]) RETURNS TABLE(account text, banned text, pilot_id text, site text, ce text, vo text, tags text[], owner text, owner_group text, operates boolean)
    LANGUAGE sql STABLE
    AS $$
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

CREATE UNLOGGED TABLE bus.connections (
    pid text NOT NULL,
    pilot_id text NOT NULL,
    opened_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE bus.event_position
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE bus.events (
    "position" bigint DEFAULT nextval('bus.event_position'::regclass) NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    body json NOT NULL
)
PARTITION BY RANGE (recorded_at);

CREATE TABLE bus.events_default (
    "position" bigint DEFAULT nextval('bus.event_position'::regclass) NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    body json NOT NULL
);

CREATE TABLE bus.failures (
    handler text NOT NULL,
    event_id uuid NOT NULL,
    failed_at timestamp with time zone NOT NULL,
    detail text NOT NULL
);

CREATE TABLE bus.inbox (
    handler text NOT NULL,
    event_id uuid NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE bus.parked (
    parked_id bigint NOT NULL,
    parked_at timestamp with time zone DEFAULT now() NOT NULL,
    queue text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    account text,
    event_id text,
    type text,
    body bytea NOT NULL,
    settled text,
    settled_at timestamp with time zone,
    settled_by text,
    CONSTRAINT parked_reason_check CHECK ((reason = ANY (ARRAY['invalid'::text, 'failed'::text]))),
    CONSTRAINT parked_settled_check CHECK ((settled = ANY (ARRAY['replayed'::text, 'dropped'::text])))
);

ALTER TABLE bus.parked ALTER COLUMN parked_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME bus.parked_parked_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE bus.timers (
    timer text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    data jsonb NOT NULL
);

CREATE TABLE bus.unsent (
    unsent_id uuid NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    queue text,
    parked_id bigint
);

CREATE TABLE file.sandboxes (
    digest text NOT NULL,
    size_bytes bigint,
    in_use_at timestamp with time zone NOT NULL,
    removing_at timestamp with time zone
);

CREATE TABLE file.uses (
    holder text NOT NULL,
    digest text NOT NULL
);

CREATE TABLE job.group_counts (
    vo text NOT NULL,
    owner_group text NOT NULL,
    owner text NOT NULL,
    job_group text NOT NULL,
    state text NOT NULL,
    jobs bigint NOT NULL
);

CREATE TABLE job.group_deltas (
    vo text NOT NULL,
    owner_group text NOT NULL,
    owner text NOT NULL,
    job_group text NOT NULL,
    state text NOT NULL,
    jobs bigint NOT NULL
);

CREATE VIEW job.groups AS
 SELECT told.vo,
    told.owner_group,
    told.owner,
    told.job_group,
    told.state,
    (sum(told.jobs))::bigint AS jobs
   FROM ( SELECT group_counts.vo,
            group_counts.owner_group,
            group_counts.owner,
            group_counts.job_group,
            group_counts.state,
            group_counts.jobs
           FROM job.group_counts
        UNION ALL
         SELECT group_deltas.vo,
            group_deltas.owner_group,
            group_deltas.owner,
            group_deltas.job_group,
            group_deltas.state,
            group_deltas.jobs
           FROM job.group_deltas) told
  GROUP BY told.vo, told.owner_group, told.owner, told.job_group, told.state
 HAVING (sum(told.jobs) <> (0)::numeric);

CREATE TABLE job.history (
    job_id bigint NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    state text NOT NULL,
    minor_status text NOT NULL,
    application_status text NOT NULL,
    attempt integer NOT NULL,
    source text NOT NULL,
    event_id uuid
);

CREATE TABLE job.history_ranges (
    jobs int8range NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    state text NOT NULL,
    minor_status text NOT NULL,
    application_status text DEFAULT ''::text NOT NULL,
    attempt integer NOT NULL,
    source text NOT NULL,
    event_id uuid
);

CREATE SEQUENCE job.ids
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE job.jobs (
    job_id bigint NOT NULL,
    submission uuid NOT NULL,
    owner text NOT NULL,
    owner_group text NOT NULL,
    vo text NOT NULL,
    job_name text NOT NULL,
    job_group text NOT NULL,
    state text NOT NULL,
    minor_status text NOT NULL,
    application_status text DEFAULT ''::text NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    reschedules integer DEFAULT 0 NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    priority integer NOT NULL,
    description json,
    queue_id bigint,
    site text,
    pilot_id text,
    exit_code integer,
    output_digest text,
    output_bytes bigint,
    submitted_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    isolation text,
    template_id bigint,
    place integer,
    cells json,
    shape integer,
    job_type text DEFAULT 'User'::text NOT NULL,
    CONSTRAINT jobs_check CHECK (((description IS NOT NULL) OR (template_id IS NOT NULL)))
);

CREATE TABLE job.shapes (
    submission uuid NOT NULL,
    shape integer NOT NULL,
    digest text NOT NULL,
    requirements jsonb NOT NULL
);

CREATE VIEW job.shown AS
 SELECT jobs.job_id,
    jobs.attempt,
    jobs.state,
    jobs.minor_status,
    "left"(jobs.application_status, 300) AS application_status,
    jobs.job_name,
    jobs.job_group,
    jobs.owner,
    jobs.owner_group,
    jobs.vo,
    jobs.site,
    jobs.pilot_id,
    jobs.isolation,
    jobs.exit_code,
    jobs.output_digest,
    jobs.output_bytes,
    to_char((jobs.submitted_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS submitted_at,
    to_char((jobs.changed_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text) AS changed_at
   FROM job.jobs;

CREATE TABLE job.submissions (
    submission uuid NOT NULL,
    owner text NOT NULL,
    digest text NOT NULL,
    first_job_id bigint NOT NULL,
    count integer NOT NULL,
    submitted_at timestamp with time zone NOT NULL,
    state text DEFAULT 'Received'::text NOT NULL,
    expires_at timestamp with time zone,
    confirmed_at timestamp with time zone,
    owner_group text DEFAULT ''::text NOT NULL,
    vo text DEFAULT ''::text NOT NULL,
    event uuid,
    CONSTRAINT submissions_state_check CHECK ((state = ANY (ARRAY['Submitting'::text, 'Received'::text, 'Removed'::text])))
);

CREATE TABLE job.templates (
    template_id bigint NOT NULL,
    submission uuid NOT NULL,
    body json NOT NULL
);

ALTER TABLE job.templates ALTER COLUMN template_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME job.templates_template_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE job.usage (
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamp with time zone NOT NULL,
    measures jsonb NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE log.chunks (
    subject text NOT NULL,
    attempt integer NOT NULL,
    stream text NOT NULL,
    first_number bigint NOT NULL,
    said_at timestamp with time zone NOT NULL,
    last_number bigint NOT NULL,
    count integer NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    lines bytea NOT NULL
)
PARTITION BY RANGE (said_at);
ALTER TABLE ONLY log.chunks ALTER COLUMN lines SET STORAGE EXTERNAL;

CREATE TABLE log.chunks_default (
    subject text NOT NULL,
    attempt integer NOT NULL,
    stream text NOT NULL,
    first_number bigint NOT NULL,
    said_at timestamp with time zone NOT NULL,
    last_number bigint NOT NULL,
    count integer NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    lines bytea NOT NULL
);
ALTER TABLE ONLY log.chunks_default ALTER COLUMN lines SET STORAGE EXTERNAL;

CREATE TABLE match.empties (
    pilot_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    request_id uuid NOT NULL,
    site text NOT NULL,
    digest text NOT NULL,
    counts jsonb NOT NULL
)
PARTITION BY RANGE (at);

CREATE TABLE match.empties_default (
    pilot_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    request_id uuid NOT NULL,
    site text NOT NULL,
    digest text NOT NULL,
    counts jsonb NOT NULL
);

ALTER TABLE match.limits ALTER COLUMN limit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME match.limits_limit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE match.offers (
    hour timestamp with time zone NOT NULL,
    digest text NOT NULL,
    resource jsonb NOT NULL,
    requests bigint NOT NULL,
    pilots integer NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL
)
PARTITION BY RANGE (hour);

CREATE TABLE match.offers_default (
    hour timestamp with time zone NOT NULL,
    digest text NOT NULL,
    resource jsonb NOT NULL,
    requests bigint NOT NULL,
    pilots integer NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL
);

CREATE TABLE match.queues (
    queue_id bigint NOT NULL,
    digest text NOT NULL,
    requirements jsonb NOT NULL
);

ALTER TABLE match.queues ALTER COLUMN queue_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME match.queues_queue_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE match.reasons (
    day timestamp with time zone NOT NULL,
    digest text NOT NULL,
    resource jsonb NOT NULL,
    nearest jsonb NOT NULL
)
PARTITION BY RANGE (day);

CREATE TABLE match.reasons_default (
    day timestamp with time zone NOT NULL,
    digest text NOT NULL,
    resource jsonb NOT NULL,
    nearest jsonb NOT NULL
);

CREATE TABLE match.withdrawals (
    pilot_id text NOT NULL,
    request_id uuid NOT NULL,
    withdrawn_at timestamp with time zone NOT NULL
);

CREATE TABLE pilot.beats (
    pilot_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    measures jsonb NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE pilot.orders (
    number bigint NOT NULL,
    pilot_id text NOT NULL,
    "order" text NOT NULL,
    job_id bigint,
    attempt integer,
    given_at timestamp with time zone NOT NULL,
    level text,
    requested_by text DEFAULT 'pilotbus'::text NOT NULL,
    expires_at timestamp with time zone DEFAULT (now() + '1 day'::interval) NOT NULL,
    outcome text,
    reason text,
    ended_at timestamp with time zone,
    CONSTRAINT orders_order_check CHECK (("order" = ANY (ARRAY['drain'::text, 'stop'::text, 'kill'::text, 'peek'::text, 'log_level'::text]))),
    CONSTRAINT orders_outcome_check CHECK ((outcome = ANY (ARRAY['taken'::text, 'refused'::text, 'expired'::text])))
);

ALTER TABLE pilot.orders ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pilot.orders_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE pilot.phases (
    pilot_id text NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    site text NOT NULL,
    ce text NOT NULL,
    phase text NOT NULL,
    seconds double precision,
    job_id bigint,
    attempt integer,
    reason text,
    failed boolean DEFAULT false NOT NULL
)
PARTITION BY RANGE (at);

CREATE TABLE pilot.phases_default (
    pilot_id text NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    site text NOT NULL,
    ce text NOT NULL,
    phase text NOT NULL,
    seconds double precision,
    job_id bigint,
    attempt integer,
    reason text,
    failed boolean DEFAULT false NOT NULL
);

CREATE TABLE pilot.pilots (
    pilot_id text NOT NULL,
    account text NOT NULL,
    site text NOT NULL,
    state text NOT NULL,
    phase text NOT NULL,
    number integer NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    CONSTRAINT pilots_state_check CHECK ((state = ANY (ARRAY['Submitted'::text, 'Waiting'::text, 'Running'::text, 'Done'::text, 'Failed'::text, 'Aborted'::text, 'Deleted'::text, 'Unknown'::text])))
);

CREATE TABLE proxy.delegations (
    owner text NOT NULL,
    delegation_id uuid NOT NULL,
    sealed_key bytea,
    csr_pem text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_for text
);

CREATE TABLE proxy.proxies (
    owner text NOT NULL,
    dn text NOT NULL,
    registered_as text NOT NULL,
    sealed bytea NOT NULL,
    fingerprint text NOT NULL,
    not_after timestamp with time zone NOT NULL,
    deposited_at timestamp with time zone NOT NULL,
    last_handed_at timestamp with time zone
);

CREATE TABLE registry.edition (
    number bigint NOT NULL
);

CREATE TABLE registry.groups (
    "group" text NOT NULL,
    vo text NOT NULL,
    properties text[] NOT NULL,
    job_share integer DEFAULT 1000 NOT NULL,
    described_at timestamp with time zone NOT NULL
);

CREATE TABLE registry.members (
    account text NOT NULL,
    number integer NOT NULL,
    "group" text NOT NULL
);

CREATE TABLE registry.users (
    account text NOT NULL,
    dns text[] DEFAULT '{}'::text[] NOT NULL,
    email text DEFAULT ''::text NOT NULL,
    described_at timestamp with time zone NOT NULL
);

CREATE TABLE registry.vos (
    vo text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    described_at timestamp with time zone NOT NULL,
    least_isolation text DEFAULT 'none'::text NOT NULL,
    pilot jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE share.settings (
    half_life_s double precision NOT NULL,
    described_at timestamp with time zone NOT NULL,
    CONSTRAINT settings_half_life_s_check CHECK ((half_life_s > (0)::double precision))
);

CREATE TABLE share.usage (
    owner_group text NOT NULL,
    owner text NOT NULL,
    processors integer NOT NULL,
    core_s double precision NOT NULL,
    at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE site.sites (
    site text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    status text NOT NULL,
    max_processors integer,
    max_ram_mb integer,
    max_cpu_time_s integer,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    described_at timestamp with time zone NOT NULL,
    beat_s integer,
    lease_s integer,
    when_lost text,
    pilot jsonb DEFAULT '{}'::jsonb NOT NULL,
    storage_elements text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT sites_status_check CHECK ((status = ANY (ARRAY['active'::text, 'banned'::text]))),
    CONSTRAINT sites_when_lost_check CHECK ((when_lost = ANY (ARRAY['reschedule'::text, 'fail'::text])))
);

CREATE TABLE trust.bans (
    kind text NOT NULL,
    name text NOT NULL,
    reason text NOT NULL,
    banned_by text NOT NULL,
    banned_at timestamp with time zone NOT NULL,
    until timestamp with time zone,
    CONSTRAINT bans_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'pilot'::text, 'site'::text])))
);

CREATE TABLE trust.enrolments (
    pilot_id text NOT NULL,
    secret_sha256 text NOT NULL,
    site text NOT NULL,
    ce text DEFAULT ''::text NOT NULL,
    vo text DEFAULT ''::text NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    invited_by text NOT NULL,
    invited_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    use_sha256 text,
    enrolled_at timestamp with time zone,
    peer text,
    revoked_at timestamp with time zone,
    revoked_because text,
    owner text DEFAULT ''::text NOT NULL,
    owner_group text DEFAULT ''::text NOT NULL
);

ALTER TABLE ONLY bus.events ATTACH PARTITION bus.events_default DEFAULT;

ALTER TABLE ONLY log.chunks ATTACH PARTITION log.chunks_default DEFAULT;

ALTER TABLE ONLY match.empties ATTACH PARTITION match.empties_default DEFAULT;

ALTER TABLE ONLY match.offers ATTACH PARTITION match.offers_default DEFAULT;

ALTER TABLE ONLY match.reasons ATTACH PARTITION match.reasons_default DEFAULT;

ALTER TABLE ONLY pilot.phases ATTACH PARTITION pilot.phases_default DEFAULT;

ALTER TABLE ONLY bus.connections
    ADD CONSTRAINT connections_pkey PRIMARY KEY (pid);

ALTER TABLE ONLY bus.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (recorded_at, "position");

ALTER TABLE ONLY bus.events_default
    ADD CONSTRAINT events_default_pkey PRIMARY KEY (recorded_at, "position");

ALTER TABLE ONLY bus.failures
    ADD CONSTRAINT failures_pkey PRIMARY KEY (handler, event_id);

ALTER TABLE ONLY bus.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (event_id, handler);

ALTER TABLE ONLY bus.parked
    ADD CONSTRAINT parked_pkey PRIMARY KEY (parked_id);

ALTER TABLE ONLY bus.timers
    ADD CONSTRAINT timers_pkey PRIMARY KEY (timer);

ALTER TABLE ONLY bus.unsent
    ADD CONSTRAINT unsent_pkey PRIMARY KEY (unsent_id);

ALTER TABLE ONLY file.sandboxes
    ADD CONSTRAINT sandboxes_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY file.uses
    ADD CONSTRAINT uses_pkey PRIMARY KEY (holder, digest);

ALTER TABLE ONLY job.group_counts
    ADD CONSTRAINT group_counts_pkey PRIMARY KEY (vo, owner_group, owner, job_group, state);

ALTER TABLE ONLY job.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (job_id, number);

ALTER TABLE ONLY job.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY job.shapes
    ADD CONSTRAINT shapes_pkey PRIMARY KEY (submission, shape);

ALTER TABLE ONLY job.submissions
    ADD CONSTRAINT submissions_pkey PRIMARY KEY (submission);

ALTER TABLE ONLY job.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (template_id);

ALTER TABLE ONLY job.templates
    ADD CONSTRAINT templates_submission_key UNIQUE (submission);

ALTER TABLE ONLY job.usage
    ADD CONSTRAINT usage_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY log.chunks
    ADD CONSTRAINT chunks_pkey PRIMARY KEY (subject, attempt, stream, first_number, said_at);

ALTER TABLE ONLY log.chunks_default
    ADD CONSTRAINT chunks_default_pkey PRIMARY KEY (subject, attempt, stream, first_number, said_at);

ALTER TABLE ONLY match.claims
    ADD CONSTRAINT claims_pkey PRIMARY KEY (pilot_id, request_id);

ALTER TABLE ONLY match.empties
    ADD CONSTRAINT empties_pkey PRIMARY KEY (pilot_id, at, request_id);

ALTER TABLE ONLY match.empties_default
    ADD CONSTRAINT empties_default_pkey PRIMARY KEY (pilot_id, at, request_id);

ALTER TABLE ONLY match.limits
    ADD CONSTRAINT limits_pkey PRIMARY KEY (limit_id);

ALTER TABLE ONLY match.limits
    ADD CONSTRAINT limits_site_ce_attribute_value_key UNIQUE (site, ce, attribute, value);

ALTER TABLE ONLY match.offers
    ADD CONSTRAINT offers_pkey PRIMARY KEY (hour, digest);

ALTER TABLE ONLY match.offers_default
    ADD CONSTRAINT offers_default_pkey PRIMARY KEY (hour, digest);

ALTER TABLE ONLY match.queues
    ADD CONSTRAINT queues_digest_key UNIQUE (digest);

ALTER TABLE ONLY match.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (queue_id);

ALTER TABLE ONLY match.reasons
    ADD CONSTRAINT reasons_pkey PRIMARY KEY (day, digest);

ALTER TABLE ONLY match.reasons_default
    ADD CONSTRAINT reasons_default_pkey PRIMARY KEY (day, digest);

ALTER TABLE ONLY match.withdrawals
    ADD CONSTRAINT withdrawals_pkey PRIMARY KEY (pilot_id, request_id);

ALTER TABLE ONLY pilot.beats
    ADD CONSTRAINT beats_pkey PRIMARY KEY (pilot_id);

ALTER TABLE ONLY pilot.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (number);

ALTER TABLE ONLY pilot.phases
    ADD CONSTRAINT phases_pkey PRIMARY KEY (pilot_id, number, at);

ALTER TABLE ONLY pilot.phases_default
    ADD CONSTRAINT phases_default_pkey PRIMARY KEY (pilot_id, number, at);

ALTER TABLE ONLY pilot.pilots
    ADD CONSTRAINT pilots_pkey PRIMARY KEY (pilot_id);

ALTER TABLE ONLY proxy.delegations
    ADD CONSTRAINT delegations_pkey PRIMARY KEY (owner, delegation_id);

ALTER TABLE ONLY proxy.proxies
    ADD CONSTRAINT proxies_pkey PRIMARY KEY (owner, dn);

ALTER TABLE ONLY registry.groups
    ADD CONSTRAINT groups_pkey PRIMARY KEY ("group");

ALTER TABLE ONLY registry.members
    ADD CONSTRAINT members_account_group_key UNIQUE (account, "group");

ALTER TABLE ONLY registry.members
    ADD CONSTRAINT members_pkey PRIMARY KEY (account, number);

ALTER TABLE ONLY registry.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (account);

ALTER TABLE ONLY registry.vos
    ADD CONSTRAINT vos_pkey PRIMARY KEY (vo);

ALTER TABLE ONLY share.usage
    ADD CONSTRAINT usage_pkey PRIMARY KEY (owner_group, owner);

ALTER TABLE ONLY site.sites
    ADD CONSTRAINT sites_pkey PRIMARY KEY (site);

ALTER TABLE ONLY trust.bans
    ADD CONSTRAINT bans_pkey PRIMARY KEY (kind, name);

ALTER TABLE ONLY trust.enrolments
    ADD CONSTRAINT enrolments_pkey PRIMARY KEY (pilot_id);

CREATE INDEX events_event_id ON ONLY bus.events USING btree (event_id);

CREATE INDEX events_default_event_id_idx ON bus.events_default USING btree (event_id);

CREATE INDEX events_matched ON ONLY bus.events USING btree ((((body -> 'data'::text) ->> 'pilot_id'::text))) WHERE (type = 'job.matched.v1'::text);

CREATE INDEX events_default_expr_idx ON bus.events_default USING btree ((((body -> 'data'::text) ->> 'pilot_id'::text))) WHERE (type = 'job.matched.v1'::text);

CREATE INDEX events_hosts ON ONLY bus.events USING btree (((((body -> 'data'::text) -> 'details'::text) ->> 'host'::text))) WHERE (type = 'pilot.reported.v1'::text);

CREATE INDEX events_default_expr_idx1 ON bus.events_default USING btree (((((body -> 'data'::text) -> 'details'::text) ->> 'host'::text))) WHERE (type = 'pilot.reported.v1'::text);

CREATE INDEX events_peers ON ONLY bus.events USING btree ((((body -> 'data'::text) ->> 'peer'::text))) WHERE (type = 'pilot.enrolled.v1'::text);

CREATE INDEX events_default_expr_idx2 ON bus.events_default USING btree ((((body -> 'data'::text) ->> 'peer'::text))) WHERE (type = 'pilot.enrolled.v1'::text);

CREATE INDEX events_security ON ONLY bus.events USING btree (recorded_at) WHERE ((type ~~ 'security.%'::text) OR (type = 'pilot.revoked.v1'::text));

CREATE INDEX events_default_recorded_at_idx ON bus.events_default USING btree (recorded_at) WHERE ((type ~~ 'security.%'::text) OR (type = 'pilot.revoked.v1'::text));

CREATE INDEX events_subject ON ONLY bus.events USING btree (subject, type);

CREATE INDEX events_default_subject_type_idx ON bus.events_default USING btree (subject, type);

CREATE INDEX inbox_seen_at ON bus.inbox USING brin (seen_at);

CREATE UNIQUE INDEX parked_once ON bus.parked USING btree (queue, event_id) WHERE ((reason = 'failed'::text) AND (settled IS NULL));

CREATE INDEX timers_due_at ON bus.timers USING btree (due_at);

CREATE INDEX unsent_recorded_at ON bus.unsent USING btree (recorded_at);

CREATE INDEX sandboxes_in_use_at ON file.sandboxes USING btree (in_use_at);

CREATE INDEX uses_digest ON file.uses USING btree (digest);

CREATE INDEX history_ranges_jobs ON job.history_ranges USING gist (jobs);

CREATE INDEX jobs_group ON job.jobs USING btree (owner_group, job_id);

CREATE INDEX jobs_job_group ON job.jobs USING btree (job_group, job_id) WHERE (job_group <> 'NoGroup'::text);

CREATE INDEX jobs_output ON job.jobs USING btree (output_digest) WHERE (output_digest IS NOT NULL);

CREATE INDEX jobs_over ON job.jobs USING btree (state, changed_at) WHERE (state = ANY (ARRAY['Done'::text, 'Failed'::text, 'Killed'::text, 'Deleted'::text]));

CREATE INDEX jobs_owner ON job.jobs USING btree (owner, job_id);

CREATE INDEX jobs_pilot ON job.jobs USING btree (pilot_id) WHERE (state = ANY (ARRAY['Matched'::text, 'Running'::text, 'Completing'::text]));

CREATE INDEX jobs_waiting ON job.jobs USING btree (queue_id, priority DESC, job_id) WHERE (state = 'Waiting'::text);

CREATE UNIQUE INDEX claims_attempt ON match.claims USING btree (job_id, attempt);

CREATE INDEX claims_held ON match.claims USING btree (site) WHERE (released_at IS NULL);

CREATE INDEX claims_released ON match.claims USING btree (released_at) WHERE (released_at IS NOT NULL);

CREATE INDEX withdrawals_withdrawn_at ON match.withdrawals USING btree (withdrawn_at);

CREATE INDEX orders_of_job ON pilot.orders USING btree (job_id, attempt) WHERE (job_id IS NOT NULL);

CREATE INDEX orders_open ON pilot.orders USING btree (pilot_id, number) WHERE (outcome IS NULL);

CREATE INDEX phases_site ON ONLY pilot.phases USING btree (site, at);

CREATE INDEX phases_default_site_at_idx ON pilot.phases_default USING btree (site, at);

CREATE UNIQUE INDEX proxies_fingerprint ON proxy.proxies USING btree (fingerprint);

CREATE INDEX users_dns ON registry.users USING gin (dns);

CREATE INDEX enrolments_site ON trust.enrolments USING btree (site);

ALTER INDEX bus.events_event_id ATTACH PARTITION bus.events_default_event_id_idx;

ALTER INDEX bus.events_matched ATTACH PARTITION bus.events_default_expr_idx;

ALTER INDEX bus.events_hosts ATTACH PARTITION bus.events_default_expr_idx1;

ALTER INDEX bus.events_peers ATTACH PARTITION bus.events_default_expr_idx2;

ALTER INDEX bus.events_pkey ATTACH PARTITION bus.events_default_pkey;

ALTER INDEX bus.events_security ATTACH PARTITION bus.events_default_recorded_at_idx;

ALTER INDEX bus.events_subject ATTACH PARTITION bus.events_default_subject_type_idx;

ALTER INDEX log.chunks_pkey ATTACH PARTITION log.chunks_default_pkey;

ALTER INDEX match.empties_pkey ATTACH PARTITION match.empties_default_pkey;

ALTER INDEX match.offers_pkey ATTACH PARTITION match.offers_default_pkey;

ALTER INDEX match.reasons_pkey ATTACH PARTITION match.reasons_default_pkey;

ALTER INDEX pilot.phases_pkey ATTACH PARTITION pilot.phases_default_pkey;

ALTER INDEX pilot.phases_site ATTACH PARTITION pilot.phases_default_site_at_idx;

CREATE TRIGGER groups_of_deleted AFTER DELETE ON job.jobs REFERENCING OLD TABLE AS stale FOR EACH STATEMENT EXECUTE FUNCTION job.note_groups();

CREATE TRIGGER groups_of_inserted AFTER INSERT ON job.jobs REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION job.note_groups();

CREATE TRIGGER groups_of_updated AFTER UPDATE ON job.jobs REFERENCING OLD TABLE AS stale NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION job.note_groups();

CREATE TRIGGER sandboxes_of_deleted AFTER DELETE ON job.jobs REFERENCING OLD TABLE AS stale FOR EACH STATEMENT EXECUTE FUNCTION file.let_go();

ALTER TABLE ONLY bus.unsent
    ADD CONSTRAINT unsent_parked_id_fkey FOREIGN KEY (parked_id) REFERENCES bus.parked(parked_id);

ALTER TABLE ONLY job.usage
    ADD CONSTRAINT usage_job_id_fkey FOREIGN KEY (job_id) REFERENCES job.jobs(job_id) ON DELETE CASCADE;

ALTER TABLE ONLY registry.members
    ADD CONSTRAINT members_account_fkey FOREIGN KEY (account) REFERENCES registry.users(account) ON DELETE CASCADE;
