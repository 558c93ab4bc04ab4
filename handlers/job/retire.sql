-- name: retire
SELECT * FROM job.delete_all(job.outdated(%(state)s, %(until)s, %(most)s), %(legal)s::text[], %(at)s, 'job.retire', %(event_id)s);

-- name: purge
SELECT job.purge(%(until)s, %(most)s) AS purged;

-- name: fold
SELECT job.fold_groups();
