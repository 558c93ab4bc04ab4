-- What may run or be matched at a site at most, as counters and token buckets that every match and every end of a job keeps.
CREATE TABLE match.limits (
    limit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    ce text NOT NULL, -- empty: the whole site
    attribute text NOT NULL CHECK (attribute IN ('Owner', 'OwnerGroup', 'VO', 'JobType', 'JobGroup', '*')),
    value text NOT NULL,
    most integer,
    running integer NOT NULL,
    delay_s double precision,
    burst integer NOT NULL,
    tokens double precision NOT NULL,
    at timestamptz NOT NULL,
    UNIQUE (site, ce, attribute, value)
) WITH (fillfactor = 50); -- rows are few and change with every match: they need room beside them

-- Whether a limit is about a claim: the counter of a limit is the number of live claims that it is about.
CREATE FUNCTION match.concerns(the_limit match.limits, claim match.claims) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT the_limit.site = claim.site AND the_limit.ce IN ('', claim.ce) AND the_limit.value = CASE the_limit.attribute
        WHEN 'Owner' THEN claim.owner
        WHEN 'OwnerGroup' THEN claim.owner_group
        WHEN 'VO' THEN claim.vo
        WHEN 'JobType' THEN claim.job_type
        WHEN 'JobGroup' THEN claim.job_group
        ELSE '*'
    END
$$;

-- Until the transaction ends, no limit comes, goes or is counted anew: whoever makes or releases claims holds this,
-- from before it reads limits.
CREATE FUNCTION match.hold_limits() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared(hashtextextended('match.limits', 0))
$$;

-- Until the transaction ends, no claim is made or released.
CREATE FUNCTION match.stop_claims() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('match.limits', 0))
$$;

-- The limits of the sites, locked until the transaction ends, and the moment, by the clock that all matchers share.
CREATE FUNCTION match.locked_limits(sites text[]) RETURNS TABLE (
    limit_id bigint, site text, ce text, attribute text, value text, most integer, running integer,
    delay_s double precision, burst integer, tokens double precision, at_s double precision, now_s double precision
) LANGUAGE plpgsql AS $$
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

-- The rows of locked_limits, as the rule has changed them.
CREATE FUNCTION match.write_limits(changed json) RETURNS void LANGUAGE sql AS $$
    UPDATE match.limits l SET running = row.running, tokens = row.tokens, at = to_timestamp(row.at_s)
    FROM json_to_recordset(changed) AS row(limit_id bigint, running integer, tokens double precision, at_s double precision)
    WHERE l.limit_id = row.limit_id
$$;

-- The limits of a site are those of its description, unless that is not the one that counts. What was limited before keeps
-- its counter and its bucket; what is limited for the first time begins with the claims that there are, and a full bucket.
-- Whoever calls this has stopped claims.
CREATE FUNCTION match.describe_limits(the_site text, the_time timestamptz, wanted json) RETURNS void LANGUAGE plpgsql AS $$
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

-- This attempt of the job and those before it are over: match.release, in the same transaction, lets their claims go.
CREATE FUNCTION match.note_over(the_job bigint, last_attempt integer) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('match.over', concat_ws(',', nullif(current_setting('match.over', true), ''),
                                              the_job || '/' || last_attempt), true)
$$;

-- The claims of all attempts that this transaction has noted are released, and with each, once, what it counted; the sites and
-- CEs at which a limit was reached and is no more. All at once, because limits, claims and usage are locked in that order.
CREATE FUNCTION match.release() RETURNS TABLE (site text, ce text) LANGUAGE plpgsql AS $$
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
