-- Pilots as they report themselves, and the orders they are to carry out.
CREATE SCHEMA pilot;

CREATE TABLE pilot.pilots (
    pilot_id text PRIMARY KEY,
    account text NOT NULL,
    site text NOT NULL,
    state text NOT NULL CHECK (state IN ('Submitted', 'Waiting', 'Running', 'Done', 'Failed', 'Aborted', 'Deleted', 'Unknown')),
    phase text NOT NULL,
    number integer NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);

CREATE TABLE pilot.orders (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pilot_id text NOT NULL,
    "order" text NOT NULL CHECK ("order" IN ('kill', 'drain')),
    job_id bigint,
    attempt integer,
    given_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (pilot_id, "order", job_id, attempt)
);
