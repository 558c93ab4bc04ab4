-- name: jobs
SELECT job_id, owner, owner_group, vo, state, attempt, version, pilot_id FROM job.jobs WHERE job_id = ANY(%(job_ids)s) ORDER BY job_id;

-- name: standing
SELECT "group", vo, properties FROM registry.standing(%(account)s);

-- name: move
SELECT job.move(%(job_id)s, %(version)s, 'Killed', 'Marked for termination', NULL, %(at)s, 'job.kill', %(event_id)s);

-- name: order
SELECT pilot.give_order(%(pilot_id)s, 'kill', %(job_id)s, %(attempt)s, NULL, %(by)s, %(valid_s)s);
