-- Task queues (jobs with equal requirements share one) and the claims that pilots hold.
CREATE SCHEMA match;

CREATE TABLE match.queues (
    queue_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text NOT NULL UNIQUE,
    requirements jsonb NOT NULL
);

-- Unique per request: a lost reply and a retry give the same job.
CREATE TABLE match.claims (
    pilot_id text NOT NULL,
    request_id uuid NOT NULL,
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    claimed_at timestamptz NOT NULL,
    PRIMARY KEY (pilot_id, request_id)
);

-- The next job of a queue is this pilot's, or no row when there is none: state, claim and start deadline in one step.
CREATE FUNCTION match.claim(
    the_queue bigint, the_pilot text, the_request uuid, the_site text, cause uuid, start_within_s integer
) RETURNS TABLE (job_id bigint, attempt integer, owner text, vo text, description json) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    chosen job.jobs%ROWTYPE;
BEGIN
    RETURN QUERY SELECT j.job_id, j.attempt, j.owner, j.vo, j.description
    FROM match.claims c JOIN job.jobs j ON j.job_id = c.job_id AND j.attempt = c.attempt AND j.state = 'Matched'
    WHERE c.pilot_id = the_pilot AND c.request_id = the_request;
    IF FOUND THEN
        RETURN; -- the answer to the commit was lost: the same request never gets a second job
    END IF;
    SELECT * INTO chosen FROM job.jobs j WHERE j.queue_id = the_queue AND j.state = 'Waiting'
    ORDER BY j.priority DESC, j.job_id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE job.jobs j SET pilot_id = the_pilot, site = the_site WHERE j.job_id = chosen.job_id;
    PERFORM job.move(chosen.job_id, chosen.version, 'Matched', 'Assigned', NULL, clock_timestamp(), 'match.request', cause);
    INSERT INTO match.claims VALUES (the_pilot, the_request, chosen.job_id, chosen.attempt, clock_timestamp())
    ON CONFLICT (pilot_id, request_id) DO UPDATE
    SET job_id = excluded.job_id, attempt = excluded.attempt, claimed_at = excluded.claimed_at;
    INSERT INTO bus.timers VALUES (
        'match/' || chosen.job_id, now() + make_interval(secs => start_within_s), 'job.match_expired.v1', chosen.job_id::text,
        jsonb_build_object('job_id', chosen.job_id, 'attempt', chosen.attempt))
    ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at, data = excluded.data;
    RETURN QUERY SELECT chosen.job_id, chosen.attempt, chosen.owner, chosen.vo, chosen.description;
END $$;
