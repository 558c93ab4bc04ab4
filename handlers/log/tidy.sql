-- name: tidy
SELECT bus.keep_days('log.chunks', 'said_at', %(today)s, %(days)s), bus.keep_days('pilot.phases', 'at', %(today)s, %(days)s);
