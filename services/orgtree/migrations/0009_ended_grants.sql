-- A grant also ends by nobody's hand: when its account is closed; and by the operator of the
-- suite, who has no account. The audit tells which it was.
ALTER TABLE orgtree.authority_grant
    DROP CONSTRAINT authority_grant_check2,
    ADD CONSTRAINT authority_grant_revoked_by CHECK (revoked_by IS NULL OR revoked_at IS NOT NULL);

-- Accounts that were closed: nobody is given a role as one of them any more.
CREATE TABLE orgtree.closed_account (
    account_id uuid        PRIMARY KEY,
    closed_at  timestamptz NOT NULL
);

-- How many changes of grants were refused to somebody within an hour. The first of them are
-- in the audit one by one, the others there by their number. Kept for 30 days.
CREATE TABLE orgtree.refusal (
    caller  uuid        NOT NULL,
    -- When it began.
    hour    timestamptz NOT NULL,
    refused bigint      NOT NULL CHECK (refused > 0),
    PRIMARY KEY (caller, hour)
);
CREATE INDEX refusal_hour ON orgtree.refusal (hour);
