-- Why a request got no job, and what was offered when: by day, and gone when it is old.

-- What asked for a job within an hour. Pilots are one row that do not differ in anything that matters to a match.
CREATE TABLE match.offers (
    hour timestamptz NOT NULL,
    digest text NOT NULL,
    resource jsonb NOT NULL,
    requests bigint NOT NULL,
    pilots integer NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (hour, digest)
) PARTITION BY RANGE (hour);
CREATE TABLE match.offers_default PARTITION OF match.offers DEFAULT;

-- Why requests got no job, without what is counted anew for each: the thousands of one day that miss the same are one row here.
CREATE TABLE match.reasons (
    day timestamptz NOT NULL,
    digest text NOT NULL,
    resource jsonb NOT NULL,
    nearest jsonb NOT NULL, -- {fields, reasons}, or {} when nothing was missed
    PRIMARY KEY (day, digest)
) PARTITION BY RANGE (day);
CREATE TABLE match.reasons_default PARTITION OF match.reasons DEFAULT;

-- Each request whose time was up without a job, with how many task queues there were, and failed what, at that moment.
CREATE TABLE match.empties (
    pilot_id text NOT NULL,
    at timestamptz NOT NULL,
    request_id uuid NOT NULL,
    site text NOT NULL,
    digest text NOT NULL,
    counts jsonb NOT NULL,
    PRIMARY KEY (pilot_id, at, request_id)
) PARTITION BY RANGE (at);
CREATE TABLE match.empties_default PARTITION OF match.empties DEFAULT;

CREATE FUNCTION match.day_of(at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT date_trunc('day', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

CREATE FUNCTION match.hour_of(at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT date_trunc('hour', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

-- Of why there was no job, what stays the same however many task queues there are, and whichever of them is the nearest.
CREATE FUNCTION match.lasting(reasons jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((reasons->'nearest') - 'queue_id' - 'waiting', '{}')
$$;

CREATE FUNCTION match.digest_of(resource jsonb, reasons jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT md5(resource::text || match.lasting(reasons)::text)
$$;

-- Rows of {at, resource, requests, pilots}: so many more requests of this resource, by so many pilots more than were told before.
CREATE FUNCTION match.keep_offers(rows json) RETURNS void LANGUAGE sql AS $$
    INSERT INTO match.offers AS known (hour, digest, resource, requests, pilots, first_at, last_at)
    SELECT match.hour_of(at), md5(resource::text), resource, sum(requests), sum(pilots), min(at), max(at)
    FROM json_to_recordset(rows) AS r (at timestamptz, resource jsonb, requests bigint, pilots integer)
    GROUP BY 1, 2, 3 ORDER BY 1, 2 -- several matchers keep at once, and all lock in this order
    ON CONFLICT (hour, digest) DO UPDATE
    SET requests = known.requests + excluded.requests, pilots = known.pilots + excluded.pilots,
        first_at = least(known.first_at, excluded.first_at), last_at = greatest(known.last_at, excluded.last_at)
$$;

-- Rows of {pilot_id, request_id, at, site, resource, reasons}; one that is kept already changes nothing. Several matchers
-- keep at once: rows are locked in the order of their keys, and tables in the order in which match.tidy locks them.
CREATE FUNCTION match.keep_empties(rows json) RETURNS void LANGUAGE sql AS $$
    INSERT INTO match.empties (pilot_id, at, request_id, site, digest, counts)
    SELECT pilot_id, at, request_id, site, match.digest_of(resource, reasons), reasons - 'headline' - 'nearest'
        || jsonb_strip_nulls(jsonb_build_object('queue', (reasons->'nearest') - 'fields' - 'reasons'))
    FROM json_to_recordset(rows) AS r (pilot_id text, request_id uuid, at timestamptz, site text, resource jsonb, reasons jsonb)
    ORDER BY 1, 2, 3
    ON CONFLICT (pilot_id, at, request_id) DO NOTHING;
    INSERT INTO match.reasons (day, digest, resource, nearest)
    SELECT DISTINCT match.day_of(at), match.digest_of(resource, reasons), resource, match.lasting(reasons)
    FROM json_to_recordset(rows) AS r (at timestamptz, resource jsonb, reasons jsonb)
    ORDER BY 1, 2
    ON CONFLICT (day, digest) DO NOTHING
$$;
