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
