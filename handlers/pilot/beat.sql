-- name: beat_all
SELECT place, site, beat_s, lost, held FROM pilot.beat_all(%(beats)s::json);

-- name: found
UPDATE pilot.pilots SET state = 'Running' WHERE pilot_id = %(pilot_id)s AND state = 'Unknown';

-- name: move
SELECT job.move(%(job_id)s, %(version)s, 'Running', %(minor_status)s, %(application_status)s, %(at)s, 'pilot.beat', %(event_id)s);
