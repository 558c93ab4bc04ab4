-- Where output data may be put.
ALTER TABLE site.sites ADD COLUMN storage_elements text[] NOT NULL DEFAULT '{}';
