-- Communities, groups and people, as DIRAC's registry has them; operators describe them.
CREATE SCHEMA registry;

CREATE TABLE registry.vos (
    vo text PRIMARY KEY,
    description text NOT NULL DEFAULT '',
    described_at timestamptz NOT NULL
);

CREATE TABLE registry.groups (
    "group" text PRIMARY KEY,
    vo text NOT NULL,
    properties text[] NOT NULL,
    job_share integer NOT NULL DEFAULT 1000,
    described_at timestamptz NOT NULL
);

CREATE TABLE registry.users (
    account text PRIMARY KEY,
    dns text[] NOT NULL DEFAULT '{}',
    email text NOT NULL DEFAULT '',
    described_at timestamptz NOT NULL
);
CREATE INDEX users_dns ON registry.users USING gin (dns);

-- The groups of a person in the order in which the operator named them: the first is the default.
CREATE TABLE registry.members (
    account text NOT NULL REFERENCES registry.users ON DELETE CASCADE,
    number integer NOT NULL,
    "group" text NOT NULL,
    PRIMARY KEY (account, number),
    UNIQUE (account, "group")
);

-- Whom the broker lets in and the registry does not know: the person at the keyboard of a local stack.
INSERT INTO registry.vos VALUES ('local', 'Whoever is at the keyboard', '2026-01-01T00:00:00Z');
INSERT INTO registry.groups VALUES ('local_user', 'local', '{NormalUser}', 1000, '2026-01-01T00:00:00Z');

-- What an account is: its groups with their communities and properties, its default first.
CREATE FUNCTION registry.standing(the_account text)
RETURNS TABLE ("group" text, vo text, properties text[]) LANGUAGE sql STABLE AS $$
    SELECT g."group", g.vo, g.properties
    FROM registry.members m JOIN registry.groups g ON g."group" = m."group"
    WHERE m.account = the_account
    UNION ALL
    SELECT g."group", g.vo, g.properties FROM registry.groups g
    WHERE g."group" = 'local_user' AND NOT EXISTS (SELECT FROM registry.users u WHERE u.account = the_account)
$$;
