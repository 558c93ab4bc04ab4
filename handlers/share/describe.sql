-- name: keep
UPDATE share.settings SET half_life_s = %(half_life_s)s::integer, described_at = %(at)s::timestamptz
WHERE described_at <= %(at)s::timestamptz;
