-- name: withdraw
SELECT match.withdraw(%(pilot_id)s, %(request_id)s) AS withdrawn;
