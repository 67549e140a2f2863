-- What became of a notice; null while it is queued, and for those from before.
ALTER TABLE identity.notice
    ADD COLUMN outcome text
        CHECK (outcome IN ('TAKEN', 'UNKNOWN', 'REFUSED', 'NOT_REACHED', 'NOBODY', 'OVER_BUDGET')),
    ADD CONSTRAINT notice_outcome CHECK (state <> 'QUEUED' OR outcome IS NULL);
CREATE INDEX notice_account ON identity.notice (partition, account_id, notice_id)
    WHERE account_id IS NOT NULL;

-- When phones were sent notices: a budget of their own, so that codes don't use it up nor
-- the other way round.
CREATE TABLE identity.notice_phone (
    phone_index bytea         PRIMARY KEY,
    sent_at     timestamptz[] NOT NULL,
    updated_at  timestamptz   NOT NULL
);
CREATE INDEX notice_phone_updated_at ON identity.notice_phone (updated_at);
CREATE TABLE identity.notice_minute (
    minute timestamptz PRIMARY KEY,
    sent   integer     NOT NULL CHECK (sent >= 0)
);
