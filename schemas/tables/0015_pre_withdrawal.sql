-- Requests that their pilots have withdrawn: from then on no job is given to them, however late a copy of one comes.
CREATE TABLE match.withdrawals (
    pilot_id text NOT NULL,
    request_id uuid NOT NULL,
    withdrawn_at timestamptz NOT NULL,
    PRIMARY KEY (pilot_id, request_id)
);
CREATE INDEX withdrawals_withdrawn_at ON match.withdrawals (withdrawn_at);

-- A claim and a withdrawal of the same request come one after the other, each to its end.
CREATE FUNCTION match.lock_request(the_pilot text, the_request uuid) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('match.request/' || the_pilot || '/' || the_request, 0))
$$;

-- As match.claim; a request that was withdrawn gets a row without a job.
CREATE FUNCTION match.claim_unless_withdrawn(
    the_queue bigint, the_pilot text, the_request uuid, the_site text, cause uuid, start_within_s integer
) RETURNS TABLE (job_id bigint, attempt integer, owner text, vo text, description json) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM match.lock_request(the_pilot, the_request);
    IF EXISTS (SELECT FROM match.withdrawals w WHERE w.pilot_id = the_pilot AND w.request_id = the_request) THEN
        RETURN QUERY SELECT NULL::bigint, NULL::integer, NULL::text, NULL::text, NULL::json;
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM match.claim(the_queue, the_pilot, the_request, the_site, cause, start_within_s);
END $$;

-- True when the request has no job and never gets one; false when it has got one, which its own reply brings.
CREATE FUNCTION match.withdraw(the_pilot text, the_request uuid) RETURNS boolean LANGUAGE plpgsql AS $$
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
