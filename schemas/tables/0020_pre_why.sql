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

-- What was said to requests that got no job: thousands that are told the same on one day are one row here.
CREATE TABLE match.reasons (
    day timestamptz NOT NULL,
    digest text NOT NULL,
    resource jsonb NOT NULL,
    reasons jsonb NOT NULL,
    PRIMARY KEY (day, digest)
) PARTITION BY RANGE (day);
CREATE TABLE match.reasons_default PARTITION OF match.reasons DEFAULT;

-- Each request whose time was up without a job.
CREATE TABLE match.empties (
    pilot_id text NOT NULL,
    at timestamptz NOT NULL,
    request_id uuid NOT NULL,
    site text NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (pilot_id, at, request_id)
) PARTITION BY RANGE (at);
CREATE TABLE match.empties_default PARTITION OF match.empties DEFAULT;

CREATE FUNCTION match.day_of(at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT date_trunc('day', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

CREATE FUNCTION match.hour_of(at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT date_trunc('hour', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
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

-- Rows of {pilot_id, request_id, at, site, resource, reasons}; one that is kept already changes nothing.
CREATE FUNCTION match.keep_empties(rows json) RETURNS void LANGUAGE sql AS $$
    INSERT INTO match.reasons (day, digest, resource, reasons)
    SELECT DISTINCT match.day_of(at), md5(resource::text || reasons::text), resource, reasons
    FROM json_to_recordset(rows) AS r (at timestamptz, resource jsonb, reasons jsonb)
    ORDER BY 1, 2
    ON CONFLICT (day, digest) DO NOTHING;
    INSERT INTO match.empties (pilot_id, at, request_id, site, digest)
    SELECT pilot_id, at, request_id, site, md5(resource::text || reasons::text)
    FROM json_to_recordset(rows) AS r (pilot_id text, request_id uuid, at timestamptz, site text, resource jsonb, reasons jsonb)
    ON CONFLICT (pilot_id, at, request_id) DO NOTHING
$$;
