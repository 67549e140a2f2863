-- A phone is known here by its blind index alone.

-- The active keys of the blind index. Read in every transaction that claims a
-- number, under a shared advisory lock: two replicas with different key sets must
-- never both claim one number.
CREATE TABLE identity.index_key (
    version    smallint    PRIMARY KEY,
    active     boolean     NOT NULL,
    created_at timestamptz NOT NULL
);

-- When a phone was sent codes within the last 24 hours. One row, locked while a
-- code is sent, so that the limits are exact under any concurrency.
CREATE TABLE identity.sms_phone (
    phone_index bytea         PRIMARY KEY,
    sent_at     timestamptz[] NOT NULL,
    updated_at  timestamptz   NOT NULL
);
CREATE INDEX sms_phone_updated_at ON identity.sms_phone (updated_at);

-- The budget of all phones together.
CREATE TABLE identity.sms_minute (
    minute timestamptz PRIMARY KEY,
    sent   integer     NOT NULL
);

CREATE TABLE identity.sms_challenge (
    challenge_id  uuid        PRIMARY KEY,
    index_version smallint    NOT NULL,
    phone_index   bytea       NOT NULL,
    purpose       smallint    NOT NULL,
    mac_version   smallint    NOT NULL,
    code_mac      bytea       NOT NULL,
    created_at    timestamptz NOT NULL,
    expire_at     timestamptz NOT NULL,
    -- Evaluated before the code was right, and after.
    tries         smallint    NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    proof_tries   smallint    NOT NULL DEFAULT 0 CHECK (proof_tries BETWEEN 0 AND 5),
    proven_at     timestamptz,
    used_at       timestamptz
);
CREATE INDEX sms_challenge_created_at ON identity.sms_challenge (created_at);
