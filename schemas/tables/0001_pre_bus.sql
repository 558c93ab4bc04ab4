-- The event store, what has yet to be sent, what has been handled, what could not be, and what is due.
CREATE SCHEMA bus;

CREATE SEQUENCE bus.event_position;

-- Never updated: a row is an event exactly as it travels. `json`, not `jsonb`, keeps its bytes.
CREATE TABLE bus.events (
    position bigint NOT NULL DEFAULT nextval('bus.event_position'),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event_id uuid NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    body json NOT NULL,
    PRIMARY KEY (recorded_at, position)
) PARTITION BY RANGE (recorded_at);
CREATE TABLE bus.events_default PARTITION OF bus.events DEFAULT;
CREATE INDEX events_event_id ON bus.events (event_id);
CREATE INDEX events_subject ON bus.events (subject, type);

CREATE TABLE bus.parked (
    parked_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parked_at timestamptz NOT NULL DEFAULT now(),
    queue text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('invalid', 'failed')),
    detail text NOT NULL,
    account text,
    event_id text,
    type text,
    body bytea NOT NULL,
    settled text CHECK (settled IN ('replayed', 'dropped')),
    settled_at timestamptz,
    settled_by text
);

-- Dead-lettering is at least once: a message that comes to the parking twice is one row, until it is settled.
CREATE UNIQUE INDEX parked_once ON bus.parked (queue, event_id) WHERE reason = 'failed' AND settled IS NULL;

-- One row per message on its way out; deleted when the broker has confirmed it.
CREATE TABLE bus.unsent (
    unsent_id uuid PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    queue text,
    parked_id bigint REFERENCES bus.parked
);
CREATE INDEX unsent_recorded_at ON bus.unsent (recorded_at);

CREATE TABLE bus.inbox (
    handler text NOT NULL,
    event_id uuid NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, handler)
);
CREATE INDEX inbox_seen_at ON bus.inbox USING brin (seen_at);

-- The last traceback of an event that a handler could not apply; parking takes it along.
CREATE TABLE bus.failures (
    handler text NOT NULL,
    event_id uuid NOT NULL,
    failed_at timestamptz NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (handler, event_id)
);

-- Armed per entity; when due, the row becomes an event in the same transaction that removes it.
CREATE TABLE bus.timers (
    timer text PRIMARY KEY,
    due_at timestamptz NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    data jsonb NOT NULL
);
CREATE INDEX timers_due_at ON bus.timers (due_at);

-- Tomorrow's partition exists; what no replay can need any more is gone.
CREATE FUNCTION bus.tidy(today date, inbox_days integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day date;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bus.tidy'));
    FOREACH day IN ARRAY ARRAY[today + 1, today + 2] LOOP
        name := 'events_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('bus.' || name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE bus.%I PARTITION OF bus.events FOR VALUES FROM (%L) TO (%L)',
                               name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            EXCEPTION WHEN check_violation THEN
                NULL; -- the default partition has events of that day already: they stay there
            END;
        END IF;
    END LOOP;
    DELETE FROM bus.inbox WHERE seen_at < today - inbox_days;
    DELETE FROM bus.failures WHERE failed_at < today - inbox_days;
END $$;
