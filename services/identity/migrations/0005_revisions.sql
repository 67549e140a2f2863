-- Enrolments and accounts are told of by the feed: each change that is told raises the
-- revision by one. An account is not told of before it is active.
ALTER TABLE identity.enrolment ADD COLUMN revision bigint NOT NULL DEFAULT 0;
ALTER TABLE identity.account ALTER COLUMN revision SET DEFAULT 0;
UPDATE identity.account SET revision = 0 WHERE state = 'INACTIVE';
