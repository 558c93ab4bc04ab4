-- Submissions in two steps; jobs that share a template; history that tells of ranges of jobs at once.

-- Ids come from a sequence, so that a submission of a million jobs keeps no other one waiting for its own.
CREATE SEQUENCE job.ids AS bigint;
SELECT setval('job.ids', greatest(last_job_id, 1), last_job_id > 0) FROM job.counter;
DROP TABLE job.counter;

-- So many consecutive ids are the caller's, for ever, whatever becomes of its transaction; gives the first of them.
CREATE FUNCTION job.allot(how_many integer) RETURNS bigint LANGUAGE plpgsql AS $$
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

-- Submitting: stored and not confirmed. Received: confirmed, or handed in at once. Removed: never confirmed, its jobs are gone.
ALTER TABLE job.submissions
    ADD COLUMN state text NOT NULL DEFAULT 'Received' CHECK (state IN ('Submitting', 'Received', 'Removed')),
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN confirmed_at timestamptz,
    ADD COLUMN owner_group text NOT NULL DEFAULT '',
    ADD COLUMN vo text NOT NULL DEFAULT '',
    ADD COLUMN event uuid;
UPDATE job.submissions s SET owner_group = j.owner_group, vo = j.vo FROM job.jobs j WHERE j.job_id = s.first_job_id;

-- Whether this transaction, and no other, has to do with the submission until it ends; without waiting.
CREATE FUNCTION job.hold(the_submission uuid) RETURNS boolean LANGUAGE sql AS $$
    SELECT pg_try_advisory_xact_lock(hashtextextended('job.submission/' || the_submission, 0))
$$;

-- A description that many jobs fill, each with what follows from its place, or with cells of its own.
CREATE TABLE job.templates (
    template_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    submission uuid NOT NULL UNIQUE,
    body json NOT NULL
);

-- The different things that the jobs of one submission need, numbered.
CREATE TABLE job.shapes (
    submission uuid NOT NULL,
    shape integer NOT NULL,
    digest text NOT NULL,
    requirements jsonb NOT NULL,
    PRIMARY KEY (submission, shape)
);

ALTER TABLE job.jobs
    -- for each of a million rows it would lock the one row of their submission
    DROP CONSTRAINT jobs_submission_fkey,
    ALTER COLUMN description DROP NOT NULL,
    ADD COLUMN template_id bigint,
    ADD COLUMN place integer,
    ADD COLUMN cells json,
    ADD COLUMN shape integer,
    ADD COLUMN job_type text NOT NULL DEFAULT 'User',
    ADD CHECK (description IS NOT NULL OR template_id IS NOT NULL);
UPDATE job.jobs SET job_type = description ->> 'JobType' WHERE description ->> 'JobType' <> 'User';

-- A step that many jobs took at once, in one row; the version of each grew as if it had been written for it alone.
CREATE TABLE job.history_ranges (
    jobs int8range NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    state text NOT NULL,
    minor_status text NOT NULL,
    application_status text NOT NULL DEFAULT '',
    attempt integer NOT NULL,
    source text NOT NULL,
    event_id uuid
);
CREATE INDEX history_ranges_jobs ON job.history_ranges USING gist (jobs);

-- Every step of these jobs, told of each alone or of many at once.
CREATE FUNCTION job.steps(the_jobs bigint[]) RETURNS TABLE (
    job_id bigint, number integer, at timestamptz, state text, minor_status text, application_status text, attempt integer,
    source text, event_id uuid
) LANGUAGE sql STABLE AS $$
    SELECT h.job_id, h.number, h.at, h.state, h.minor_status, h.application_status, h.attempt, h.source, h.event_id
    FROM job.history h WHERE h.job_id = ANY (the_jobs)
    UNION ALL
    SELECT j, r.number, r.at, r.state, r.minor_status, r.application_status, r.attempt, r.source, r.event_id
    FROM unnest(the_jobs) j JOIN job.history_ranges r ON r.jobs @> j
$$;

-- Each row is a job of the submission, at its place counted from the first: what it has of its own, and no history yet.
CREATE FUNCTION job.store(
    rows json, the_submission uuid, first_job_id bigint, the_owner text, the_group text, the_vo text, the_template bigint,
    the_state text, the_minor text, happened_at timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, job_type, state, minor_status,
                          priority, description, template_id, place, cells, shape, submitted_at, changed_at)
    SELECT first_job_id + r.place, the_submission, the_owner, the_group, the_vo, r.job_name, r.job_group, r.job_type, the_state,
           the_minor, r.priority, r.description, the_template, CASE WHEN the_template IS NOT NULL THEN r.place END, r.cells,
           r.shape, happened_at, happened_at
    FROM json_to_recordset(rows) AS r (place integer, job_name text, job_group text, job_type text, priority integer,
                                       description json, cells json, shape integer)
$$;

-- As before; a job of a template comes with its template's id, its place and its cells instead of a description.
DROP FUNCTION match.claim_all(json, integer);
CREATE FUNCTION match.claim_all(picks json, start_within_s integer)
RETURNS TABLE (number integer, outcome text, job_id bigint, attempt integer, owner text, vo text, description json,
               template_id bigint, place integer, cells json)
LANGUAGE plpgsql AS $$
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
