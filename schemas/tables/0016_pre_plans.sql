-- How an operator has the pilots of a community and of a site work: settings and changes of plans, handed over at enrolment.
ALTER TABLE registry.vos ADD COLUMN pilot jsonb NOT NULL DEFAULT '{}';
ALTER TABLE site.sites ADD COLUMN pilot jsonb NOT NULL DEFAULT '{}';
