-- What groups and users have used lately, by which the matcher chooses; schemas/rules/shares.py has the formula and its reasons.
CREATE SCHEMA share;

-- Each match and each end of an attempt turns a row: room on the page keeps that within the page, and no index hinders it.
CREATE TABLE share.usage (
    owner_group text NOT NULL,
    owner text NOT NULL,
    processors integer NOT NULL,
    core_s double precision NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (owner_group, owner)
) WITH (fillfactor = 50);

-- One row, so that all processes forget equally fast; operators describe it.
CREATE TABLE share.settings (
    half_life_s double precision NOT NULL CHECK (half_life_s > 0),
    described_at timestamptz NOT NULL
);
INSERT INTO share.settings VALUES (86400, '2026-01-01T00:00:00Z');

CREATE FUNCTION share.half_life_s() RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT half_life_s FROM share.settings
$$;

-- accrued() of schemas/rules/shares.py, with what it comes to rest at in front: one expression, which PostgreSQL sets in
-- where it is called. Of what lies 64 half-lives back nothing is left, because numbers that are too small are refused.
CREATE FUNCTION share.accrued(
    core_s double precision, processors integer, since timestamptz, until timestamptz, half_life_s double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(0, processors * half_life_s / ln(2) + (core_s - processors * half_life_s / ln(2))
        * CASE WHEN date_part('epoch', until - since) > 64 * half_life_s THEN 0
               ELSE power(2, -greatest(0, date_part('epoch', until - since)) / half_life_s) END)
$$;

-- For each {owner_group, owner, processors} so many more processors are in use from now on, or so many fewer; never below
-- none, and of whom nothing is known nothing is taken. Rows are locked in the order of their names, and the last of a
-- transaction: limits, jobs, claims, usage.
CREATE FUNCTION share.use(changes json, half_life_s double precision DEFAULT share.half_life_s())
RETURNS void LANGUAGE plpgsql AS $$
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

-- What runs already is used already.
INSERT INTO share.usage (owner_group, owner, processors, core_s, at)
SELECT c.owner_group, c.owner, sum(c.processors), 0, now() FROM match.claims c WHERE c.released_at IS NULL GROUP BY 1, 2;
