-- Claims that know what their attempt uses and until when; and many claims in one step.
DELETE FROM match.claims c USING match.claims newer
WHERE newer.job_id = c.job_id AND newer.attempt = c.attempt AND (newer.claimed_at, newer.request_id) > (c.claimed_at, c.request_id);
ALTER TABLE match.claims
    ADD COLUMN site text NOT NULL DEFAULT '',
    ADD COLUMN ce text NOT NULL DEFAULT '',
    ADD COLUMN owner text NOT NULL DEFAULT '',
    ADD COLUMN owner_group text NOT NULL DEFAULT '',
    ADD COLUMN vo text NOT NULL DEFAULT '',
    ADD COLUMN job_type text NOT NULL DEFAULT '',
    ADD COLUMN job_group text NOT NULL DEFAULT '',
    ADD COLUMN processors integer NOT NULL DEFAULT 1,
    ADD COLUMN released_at timestamptz;
UPDATE match.claims c SET released_at = now() WHERE NOT EXISTS (SELECT FROM job.jobs j WHERE j.job_id = c.job_id);
UPDATE match.claims c
SET site = coalesce(j.site, ''), owner = j.owner, owner_group = j.owner_group, vo = j.vo, job_group = j.job_group,
    job_type = coalesce(j.description->>'JobType', 'User'),
    released_at = CASE WHEN j.attempt <> c.attempt OR j.state NOT IN ('Matched', 'Running', 'Completing', 'Stalled') THEN now() END
FROM job.jobs j WHERE j.job_id = c.job_id;
CREATE UNIQUE INDEX claims_attempt ON match.claims (job_id, attempt);
CREATE INDEX claims_held ON match.claims (site) WHERE released_at IS NULL;
CREATE INDEX claims_released ON match.claims (released_at) WHERE released_at IS NOT NULL;

-- Each pick is a job that a matcher means to give to a request, numbered; of each that comes to something there is a row.
-- claimed: the job is the request's from now on: state, history, claim and start deadline in one step.
-- again: the request has a job already, this one. withdrawn, spent: it gets none any more, for it was taken back, or had one.
-- No row: the job is not to be had.
CREATE FUNCTION match.claim_all(picks json, start_within_s integer)
RETURNS TABLE (number integer, outcome text, job_id bigint, attempt integer, owner text, vo text, description json)
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
               coalesce(description->>'JobType', 'User'), job_group, processors
        FROM moved
    ), armed AS (
        INSERT INTO bus.timers
        SELECT 'match/' || job_id, changed_at + make_interval(secs => start_within_s), 'job.match_expired.v1', job_id::text,
               jsonb_build_object('job_id', job_id, 'attempt', attempt)
        FROM moved ON CONFLICT (timer) DO UPDATE SET due_at = excluded.due_at, data = excluded.data
    )
    SELECT m.number, 'claimed', m.job_id, m.attempt, m.owner, m.vo, m.description FROM moved m
    UNION ALL
    SELECT s.number, s.outcome, j.job_id, j.attempt, j.owner, j.vo, j.description
    FROM settled s LEFT JOIN job.jobs j ON j.job_id = s.job_id;
END $$;

DROP FUNCTION match.claim_unless_withdrawn(bigint, text, uuid, text, uuid, integer);
DROP FUNCTION match.claim(bigint, text, uuid, text, uuid, integer);
