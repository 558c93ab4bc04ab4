-- name: empties
SELECT bus.keep_days('match.empties', 'at', %(today)s, %(days)s);

-- name: reasons
SELECT bus.keep_days('match.reasons', 'day', %(today)s, %(days)s);

-- name: offers
SELECT bus.keep_days('match.offers', 'hour', %(today)s, %(days)s);
