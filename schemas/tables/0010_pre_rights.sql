-- Who is who, in its order and without the system's own accounts; what a job shows of itself; the registry's edition.

-- One row, moved by each description that counts: what was decided on an older edition is decided again, so that a subject
-- has one account, and a community described just before its group is seen, however the two travelled.
CREATE TABLE registry.edition (number bigint NOT NULL);
INSERT INTO registry.edition VALUES (0);

-- The registry is still as it was read, or nothing happens at all. Raises serialization_failure.
CREATE FUNCTION registry.still(read_number bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM registry.edition WHERE number = read_number FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the registry is no longer at edition %', read_number USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

CREATE FUNCTION registry.turn(read_number bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM registry.still(read_number);
    UPDATE registry.edition SET number = number + 1;
END $$;

CREATE FUNCTION registry.keep_user(
    read_number bigint, the_account text, the_groups text[], the_dns text[], the_email text, at timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM registry.turn(read_number);
    INSERT INTO registry.users (account, dns, email, described_at) VALUES (the_account, the_dns, the_email, at)
    ON CONFLICT (account) DO UPDATE SET dns = excluded.dns, email = excluded.email, described_at = excluded.described_at;
    DELETE FROM registry.members WHERE account = the_account;
    INSERT INTO registry.members (account, number, "group")
    SELECT the_account, number, name FROM unnest(the_groups) WITH ORDINALITY AS named (name, number);
END $$;

-- What an account is: its groups with their communities and properties, its default first. Pilots and the system's own
-- accounts are nobody's, and in no group.
CREATE OR REPLACE FUNCTION registry.standing(the_account text)
RETURNS TABLE ("group" text, vo text, properties text[]) LANGUAGE sql STABLE AS $$
    SELECT g."group", g.vo, g.properties FROM (
        SELECT m."group", m.number FROM registry.members m WHERE m.account = the_account
        UNION ALL
        SELECT 'local_user', 1
        WHERE NOT EXISTS (SELECT FROM registry.users u WHERE u.account = the_account)
          AND the_account NOT LIKE 'pilot-%' AND the_account NOT IN ('pilotbus', 'guest', '')
    ) s JOIN registry.groups g ON g."group" = s."group"
    ORDER BY s.number
$$;

CREATE INDEX jobs_group ON job.jobs (owner_group, job_id);

-- A job as its owner sees it.
CREATE VIEW job.shown AS
SELECT job_id, attempt, state, minor_status, left(application_status, 300) AS application_status, job_name, job_group, owner,
       owner_group, vo, site, pilot_id, exit_code, output_digest, output_bytes,
       to_char(submitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS submitted_at,
       to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS changed_at
FROM job.jobs;
