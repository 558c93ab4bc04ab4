-- Lines in compressed chunks, the phases of pilots, and days as partitions that go when they are old.

-- Partitions by day: today's and the next two are there, and what is older than so many days is gone.
CREATE FUNCTION bus.keep_days(parent text, moment text, today date, days integer) RETURNS void LANGUAGE plpgsql AS $$
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
END $$;

-- A row is a batch as a pilot sent it. Its lines are [[number, at, level, text], …] as JSON, deflated unless they begin with [.
CREATE TABLE log.chunks (
    subject text NOT NULL,
    attempt integer NOT NULL,
    stream text NOT NULL,
    first_number bigint NOT NULL,
    said_at timestamptz NOT NULL,
    last_number bigint NOT NULL,
    count integer NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    lines bytea NOT NULL,
    PRIMARY KEY (subject, attempt, stream, first_number, said_at)
) PARTITION BY RANGE (said_at);
ALTER TABLE log.chunks ALTER COLUMN lines SET STORAGE EXTERNAL;
CREATE TABLE log.chunks_default PARTITION OF log.chunks DEFAULT;

INSERT INTO log.chunks
SELECT subject, attempt, stream, min(number), max(at), max(number), count(*), min(at), max(at), convert_to(json_agg(json_build_array(
           number, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'info', text) ORDER BY number)::text, 'UTF8')
FROM (SELECT *, (row_number() OVER (PARTITION BY subject, attempt, stream ORDER BY number) - 1) / 200 AS part FROM log.lines) l
GROUP BY subject, attempt, stream, part;
DROP TABLE log.lines;

-- Every step that a pilot has told of its life.
CREATE TABLE pilot.phases (
    pilot_id text NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    site text NOT NULL,
    ce text NOT NULL,
    phase text NOT NULL,
    seconds double precision,
    job_id bigint,
    attempt integer,
    reason text,
    failed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (pilot_id, number, at)
) PARTITION BY RANGE (at);
CREATE TABLE pilot.phases_default PARTITION OF pilot.phases DEFAULT;
CREATE INDEX phases_site ON pilot.phases (site, at);
