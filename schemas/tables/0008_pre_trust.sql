-- Who was let in, who was shut out, and which connections are open.
CREATE SCHEMA trust;

-- One row per pilot that may come. The secret itself is nowhere: only its SHA-256, and that of the key of the first use,
-- by which a lost answer is told from a second use.
CREATE TABLE trust.enrolments (
    pilot_id text PRIMARY KEY,
    secret_sha256 text NOT NULL,
    site text NOT NULL,
    ce text NOT NULL DEFAULT '',
    vo text NOT NULL DEFAULT '',
    tags text[] NOT NULL DEFAULT '{}',
    invited_by text NOT NULL,
    invited_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    use_sha256 text,
    enrolled_at timestamptz,
    peer text,
    revoked_at timestamptz,
    revoked_because text
);
CREATE INDEX enrolments_site ON trust.enrolments (site);

-- Who is shut out now. Who was, and why, is told by security.banned and security.ban_lifted in the event store.
CREATE TABLE trust.bans (
    kind text NOT NULL CHECK (kind IN ('user', 'pilot', 'site')),
    name text NOT NULL,
    reason text NOT NULL,
    banned_by text NOT NULL,
    banned_at timestamptz NOT NULL,
    until timestamptz,
    PRIMARY KEY (kind, name)
);

CREATE FUNCTION trust.is_banned(the_kind text, the_name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM trust.bans WHERE kind = the_kind AND name = the_name AND (until IS NULL OR until > now()))
$$;

-- The one use of a secret, judged and marked in one step. The outcome: enrolled, again (its answer was lost), unknown,
-- wrong, revoked, expired, or reused, which revokes the pilot that it let in.
CREATE FUNCTION trust.enrol(the_pilot text, secret text, use text, came_from text, happened_at timestamptz)
RETURNS TABLE (outcome text, site text, ce text, vo text, tags text[]) LANGUAGE plpgsql AS $$
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

-- As before, but the jobs of who is banned wait on.
CREATE OR REPLACE FUNCTION match.claim(
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
    SELECT * INTO chosen FROM job.jobs j WHERE j.queue_id = the_queue AND j.state = 'Waiting' AND NOT trust.is_banned('user', j.owner)
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

-- What the gate knows of an account: whether it may speak at all, and, for a pilot, where it was enrolled.
CREATE FUNCTION trust.standing(the_accounts text[])
RETURNS TABLE (account text, banned text, pilot_id text, site text, ce text, vo text, tags text[], operates boolean)
LANGUAGE sql STABLE AS $$
    SELECT a, CASE
            WHEN b.name IS NOT NULL THEN b.kind || ' ' || b.name || ' is banned: ' || b.reason
            WHEN p.pilot_id IS NULL AND a LIKE 'pilot-%' THEN 'no such pilot was ever enrolled'
            WHEN p.revoked_at IS NOT NULL THEN 'pilot ' || p.pilot_id || ' is revoked: ' || p.revoked_because
            WHEN a LIKE 'pilot-%' AND p.enrolled_at IS NULL THEN 'pilot ' || p.pilot_id || ' has not enrolled'
        END,
        p.pilot_id, p.site, p.ce, p.vo, p.tags,
        EXISTS (SELECT FROM registry.standing(a) s WHERE a NOT LIKE 'pilot-%' AND 'Operator' = ANY(s.properties))
    FROM unnest(the_accounts) a
    LEFT JOIN trust.enrolments p ON a = 'pilot-' || p.pilot_id
    LEFT JOIN LATERAL (
        SELECT * FROM trust.bans b
        WHERE (b.until IS NULL OR b.until > now())
          AND ((b.kind = 'user' AND b.name = a) OR (b.kind = 'pilot' AND b.name = p.pilot_id) OR (b.kind = 'site' AND b.name = p.site))
        ORDER BY b.kind LIMIT 1
    ) b ON true
$$;
