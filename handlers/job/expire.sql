-- name: job
-- Locked: a beat that is just renewing the lease is over when this returns, and the look after it sees what it has done.
SELECT job_id, owner, vo, state, attempt, version, reschedules, pilot_id, EXISTS (
    SELECT FROM pilot.orders o WHERE o.job_id = j.job_id AND o.attempt = j.attempt AND o."order" = 'kill'
) AS kill_ordered, (SELECT when_lost FROM site.policy(j.site)) AS when_lost
FROM job.jobs j WHERE job_id = %(job_id)s FOR NO KEY UPDATE;

-- name: leased
SELECT due_at FROM bus.timers WHERE timer = 'lease/' || %(job_id)s::bigint;

-- name: order
SELECT pilot.give_order(%(pilot_id)s, 'kill', %(job_id)s, %(attempt)s, NULL, 'pilotbus', %(valid_s)s);

-- name: take_back
UPDATE job.jobs SET attempt = %(attempt)s, reschedules = %(reschedules)s, pilot_id = NULL, site = NULL WHERE job_id = %(job_id)s;

-- name: move
SELECT job.move(%(job_id)s, %(version)s, %(state)s, %(minor_status)s, %(application_status)s, %(at)s, 'job.expire', %(event_id)s);
