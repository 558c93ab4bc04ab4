-- What operators and sites ask of the event store.
CREATE INDEX events_security ON bus.events (recorded_at) WHERE type LIKE 'security.%' OR type = 'pilot.revoked.v1';
CREATE INDEX events_matched ON bus.events ((body->'data'->>'pilot_id')) WHERE type = 'job.matched.v1';
CREATE INDEX events_hosts ON bus.events ((body->'data'->'details'->>'host')) WHERE type = 'pilot.reported.v1';
CREATE INDEX events_peers ON bus.events ((body->'data'->>'peer')) WHERE type = 'pilot.enrolled.v1';
