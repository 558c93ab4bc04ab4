-- Sites as their operators describe them.
CREATE SCHEMA site;

CREATE TABLE site.sites (
    site text PRIMARY KEY,
    description text NOT NULL DEFAULT '',
    status text NOT NULL CHECK (status IN ('active', 'banned')),
    max_processors integer,
    max_ram_mb integer,
    max_cpu_time_s integer,
    tags text[] NOT NULL DEFAULT '{}',
    described_at timestamptz NOT NULL
);
