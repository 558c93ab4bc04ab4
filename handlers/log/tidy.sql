-- name: lines
SELECT bus.keep_days('log.chunks', 'said_at', %(today)s, %(days)s);

-- name: phases
SELECT bus.keep_days('pilot.phases', 'at', %(today)s, %(days)s);
