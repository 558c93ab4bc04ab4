-- name: note
SELECT match.note_over(%(job_id)s, %(last_attempt)s);

-- name: release
SELECT site, ce FROM match.release();
