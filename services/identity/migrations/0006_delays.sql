-- Failed attempts to prove an identity, by the blind index of the identifier as it was
-- typed: whether anybody has it makes no difference. One row, locked while an attempt is
-- reserved, so that no number of attempts at once is evaluated together.
CREATE TABLE identity.delay (
    subject_index   bytea       NOT NULL,
    -- 1: password, 2: name and end of the ID number after a code.
    way             smallint    NOT NULL CHECK (way IN (1, 2)),
    -- A known device of the account; the nil id stands for all strangers together.
    device_id       uuid        NOT NULL,
    failures        integer     NOT NULL CHECK (failures >= 0),
    last_failure_at timestamptz NOT NULL,
    next_try_at     timestamptz NOT NULL,
    PRIMARY KEY (subject_index, way, device_id)
) WITH (fillfactor = 70);
CREATE INDEX delay_last_failure_at ON identity.delay (last_failure_at);

-- Devices that proved an account. The token is known here by its hash alone.
CREATE TABLE identity.device (
    partition     smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    account_id    uuid        NOT NULL,
    device_id     uuid        NOT NULL,
    token_hash    bytea       NOT NULL CHECK (length(token_hash) = 32),
    -- The phone that was proved from it last, if one was.
    index_version smallint,
    phone_index   bytea,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz NOT NULL,
    PRIMARY KEY (partition, account_id, device_id),
    FOREIGN KEY (partition, account_id) REFERENCES identity.account ON DELETE CASCADE,
    CHECK ((index_version IS NULL) = (phone_index IS NULL))
);
CREATE INDEX device_phone ON identity.device (index_version, phone_index);
CREATE INDEX device_last_used_at ON identity.device (last_used_at);

-- Challenges whose solution was used. One that was never solved has no row: it is known
-- by its authentication code.
CREATE TABLE identity.spent_challenge (
    challenge_id uuid        PRIMARY KEY,
    expire_at    timestamptz NOT NULL
);
CREATE INDEX spent_challenge_expire_at ON identity.spent_challenge (expire_at);

-- Attempts to sign in that failed, of all identifiers together.
CREATE TABLE identity.sign_in_minute (
    minute timestamptz PRIMARY KEY,
    failed integer     NOT NULL CHECK (failed >= 0)
);
