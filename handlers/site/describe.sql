-- name: alone
-- First of all: two processes that describe sites in another order would else wait for each other.
SELECT match.stop_claims();

-- name: keep
INSERT INTO site.sites AS known (site, description, status, max_processors, max_ram_mb, max_cpu_time_s, tags,
                               storage_elements, beat_s, lease_s, when_lost, pilot, described_at)
VALUES (%(site)s, %(description)s, %(status)s, %(max_processors)s, %(max_ram_mb)s, %(max_cpu_time_s)s, %(tags)s,
        %(storage_elements)s, %(beat_s)s, %(lease_s)s, %(when_lost)s, %(pilot)s, %(at)s)
ON CONFLICT (site) DO UPDATE
SET description = excluded.description, status = excluded.status, max_processors = excluded.max_processors,
    max_ram_mb = excluded.max_ram_mb, max_cpu_time_s = excluded.max_cpu_time_s, tags = excluded.tags,
    storage_elements = excluded.storage_elements, beat_s = excluded.beat_s, lease_s = excluded.lease_s,
    when_lost = excluded.when_lost, pilot = excluded.pilot, described_at = excluded.described_at
WHERE known.described_at <= excluded.described_at;

-- name: limits
SELECT match.describe_limits(%(site)s, %(at)s, %(limits)s);
