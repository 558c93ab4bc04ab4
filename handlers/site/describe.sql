-- name: keep
INSERT INTO site.sites AS known (site, description, status, max_processors, max_ram_mb, max_cpu_time_s, tags, pilot, described_at)
VALUES (%(site)s, %(description)s, %(status)s, %(max_processors)s, %(max_ram_mb)s, %(max_cpu_time_s)s, %(tags)s, %(pilot)s,
        %(at)s)
ON CONFLICT (site) DO UPDATE
SET description = excluded.description, status = excluded.status, max_processors = excluded.max_processors,
    max_ram_mb = excluded.max_ram_mb, max_cpu_time_s = excluded.max_cpu_time_s, tags = excluded.tags, pilot = excluded.pilot,
    described_at = excluded.described_at
WHERE known.described_at <= excluded.described_at;
