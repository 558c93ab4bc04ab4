-- Jobs, their history, and the submissions they came with.
CREATE SCHEMA job;

-- One row, locked by each submission: so that the ids of a submission are consecutive.
CREATE TABLE job.counter (last_job_id bigint NOT NULL);
INSERT INTO job.counter VALUES (0);

CREATE TABLE job.submissions (
    submission uuid PRIMARY KEY,
    owner text NOT NULL,
    digest text NOT NULL,
    first_job_id bigint NOT NULL,
    count integer NOT NULL,
    submitted_at timestamptz NOT NULL
);

CREATE TABLE job.jobs (
    job_id bigint PRIMARY KEY,
    submission uuid NOT NULL REFERENCES job.submissions,
    owner text NOT NULL,
    owner_group text NOT NULL,
    vo text NOT NULL,
    job_name text NOT NULL,
    job_group text NOT NULL,
    state text NOT NULL,
    minor_status text NOT NULL,
    application_status text NOT NULL DEFAULT '',
    attempt integer NOT NULL DEFAULT 1,
    reschedules integer NOT NULL DEFAULT 0,
    version integer NOT NULL DEFAULT 1,
    priority integer NOT NULL,
    description json NOT NULL,
    queue_id bigint,
    site text,
    pilot_id text,
    exit_code integer,
    output_digest text,
    output_bytes bigint,
    submitted_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX jobs_waiting ON job.jobs (queue_id, priority DESC, job_id) WHERE state = 'Waiting';
CREATE INDEX jobs_owner ON job.jobs (owner, job_id);
CREATE INDEX jobs_pilot ON job.jobs (pilot_id) WHERE state IN ('Matched', 'Running', 'Completing');

CREATE TABLE job.history (
    job_id bigint NOT NULL REFERENCES job.jobs ON DELETE CASCADE,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    state text NOT NULL,
    minor_status text NOT NULL,
    application_status text NOT NULL,
    attempt integer NOT NULL,
    source text NOT NULL,
    event_id uuid,
    PRIMARY KEY (job_id, number)
);

-- The one way a job's state changes: the row that was read moves, and its history says so, or nothing happens at all.
-- Raises serialization_failure when the row has changed since it was read; the runner then reads and decides again.
CREATE FUNCTION job.move(
    the_job bigint, read_version integer, new_state text, new_minor text, new_application text,
    happened_at timestamptz, told_by text, cause uuid
) RETURNS void LANGUAGE plpgsql AS $$
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
