-- A closed account keeps its row, so that its id is never somebody else's, and nothing
-- that tells who it was.
ALTER TABLE identity.account
    DROP CONSTRAINT account_state_check,
    ADD CONSTRAINT account_state_check
        CHECK (state IN ('INACTIVE', 'ACTIVE', 'DISABLED', 'CLOSED')),
    -- When a code to the phone was right last; null: when the account was claimed.
    ADD COLUMN phone_proven_at timestamptz,
    -- Not, once somebody else has proved the phone who is its owner by now.
    ADD COLUMN phone_attached boolean NOT NULL DEFAULT true,
    ADD COLUMN closed_at timestamptz,
    ALTER COLUMN name DROP NOT NULL,
    ALTER COLUMN phone DROP NOT NULL,
    ALTER COLUMN phone_index DROP NOT NULL,
    ALTER COLUMN password_hash DROP NOT NULL,
    ADD CONSTRAINT account_personal CHECK (
        CASE WHEN state = 'CLOSED'
            THEN name IS NULL AND id_number IS NULL AND phone IS NULL AND phone_index IS NULL
                 AND password_hash IS NULL AND closed_at IS NOT NULL
            ELSE name IS NOT NULL AND phone IS NOT NULL AND phone_index IS NOT NULL
                 AND password_hash IS NOT NULL AND closed_at IS NULL
        END);

-- Who can be signed in by a phone.
CREATE INDEX account_phone ON identity.account (index_version, phone_index)
    WHERE phone_attached AND state IN ('ACTIVE', 'DISABLED');

-- Sessions that go on; one that is over has no row.
CREATE TABLE identity.session (
    partition     smallint    NOT NULL,
    account_id    uuid        NOT NULL,
    session_id    uuid        NOT NULL,
    second_factor boolean     NOT NULL,
    client_name   text        NOT NULL CHECK (length(client_name) <= 32),
    -- Of the refresh token that is good now; an older one was copied.
    generation    bigint      NOT NULL DEFAULT 1,
    -- Part of what refresh tokens are signed over: without it none can be made.
    nonce         bytea       NOT NULL,
    created_at    timestamptz NOT NULL,
    refreshed_at  timestamptz NOT NULL,
    expire_at     timestamptz NOT NULL,
    -- However often it is renewed.
    end_at        timestamptz NOT NULL,
    PRIMARY KEY (partition, account_id, session_id),
    FOREIGN KEY (partition, account_id) REFERENCES identity.account ON DELETE CASCADE
);
CREATE INDEX session_expired ON identity.session (expire_at);

-- Sessions that ended before their access tokens do; a row is kept for longer than a
-- token lives. Read by transaction number: one that commits late is not passed over.
CREATE TABLE identity.session_end (
    session_id uuid        PRIMARY KEY,
    ended_at   timestamptz NOT NULL,
    xid        bigint      NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)
);
CREATE INDEX session_end_xid ON identity.session_end (xid);
CREATE INDEX session_end_ended_at ON identity.session_end (ended_at);

-- Keys that sign access tokens. The seed is sealed under a data key of the row.
CREATE TABLE identity.signing_key (
    signing_key_id uuid        PRIMARY KEY,
    public_key     bytea       NOT NULL UNIQUE CHECK (length(public_key) = 32),
    seed           bytea       NOT NULL,
    created_at     timestamptz NOT NULL,
    -- Signs from then on, until the next one does.
    use_at         timestamptz NOT NULL,
    retire_at      timestamptz NOT NULL CHECK (retire_at > use_at),
    -- Its tokens count until then.
    expire_at      timestamptz NOT NULL CHECK (expire_at > retire_at)
);
