-- Accounts whose phone is lost, and that two administrators give another one.
CREATE TABLE identity.phone_recovery (
    recovery_id    uuid        PRIMARY KEY,
    -- Absent where it was cancelled before it was ever begun.
    partition      smallint,
    account_id     uuid,
    state          text        NOT NULL CHECK (state IN ('STARTED', 'APPROVED', 'COMPLETED',
                                                         'CANCELLED', 'OBJECTED', 'EXPIRED')),
    -- Accounts of administrators.
    started_by     uuid,
    approved_by    uuid,
    -- Sealed under the data key of the account, and gone once it is over.
    new_phone      bytea,
    index_version  smallint,
    phone_index    bytea,
    started_at     timestamptz NOT NULL,
    approved_at    timestamptz,
    complete_after timestamptz,
    expire_at      timestamptz NOT NULL,
    ended_at       timestamptz,
    FOREIGN KEY (partition, account_id) REFERENCES identity.account ON DELETE CASCADE,
    CHECK ((partition IS NULL) = (account_id IS NULL)),
    CHECK (account_id IS NOT NULL OR state = 'CANCELLED'),
    CHECK (started_by <> account_id AND approved_by <> account_id AND approved_by <> started_by),
    CHECK ((state IN ('STARTED', 'APPROVED')) = (ended_at IS NULL)),
    CHECK ((ended_at IS NULL) = (new_phone IS NOT NULL)),
    CHECK ((new_phone IS NULL) = (phone_index IS NULL)
           AND (new_phone IS NULL) = (index_version IS NULL)),
    CHECK (state NOT IN ('APPROVED', 'COMPLETED')
           OR (approved_by IS NOT NULL AND complete_after IS NOT NULL))
);
-- An account has one at a time.
CREATE UNIQUE INDEX phone_recovery_open ON identity.phone_recovery (partition, account_id)
    WHERE ended_at IS NULL;
CREATE INDEX phone_recovery_account
    ON identity.phone_recovery (partition, account_id, recovery_id);
CREATE INDEX phone_recovery_phone ON identity.phone_recovery (index_version, phone_index)
    WHERE state = 'APPROVED';
CREATE INDEX phone_recovery_expire ON identity.phone_recovery (expire_at) WHERE ended_at IS NULL;
CREATE INDEX phone_recovery_ended ON identity.phone_recovery (ended_at)
    WHERE ended_at IS NOT NULL;
