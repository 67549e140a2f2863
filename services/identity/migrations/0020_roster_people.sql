-- People on rosters of organizations who have not registered: level 0. What is known of them is
-- what the roster says, sealed under a data key of their own, whose subject is the person; the
-- id becomes that of the account when they register.
CREATE TABLE identity.roster_person (
    partition     smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    person_id     uuid        NOT NULL,
    name          bytea       NOT NULL,
    id_number     bytea       NOT NULL,
    -- Absent where the roster has none.
    phone         bytea,
    index_version smallint,
    phone_index   bytea,
    -- The enrolment whose account has this id, from its claim until it is active or undone.
    adopted_by    uuid,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (partition, person_id),
    CHECK ((phone IS NULL) = (phone_index IS NULL) AND (phone IS NULL) = (index_version IS NULL))
);
CREATE INDEX roster_person_phone ON identity.roster_person (index_version, phone_index)
    WHERE phone_index IS NOT NULL;
CREATE INDEX roster_person_adopted ON identity.roster_person (updated_at)
    WHERE adopted_by IS NOT NULL;

-- A number is held by an account, or by somebody on a roster: `account_id` is whose it is, either
-- way, so that the binaries of before, which know of accounts alone, find an owner who is no
-- account, and wait.
ALTER TABLE identity.number
    ADD COLUMN pre_registered boolean NOT NULL DEFAULT false,
    ADD COLUMN of_account uuid
        GENERATED ALWAYS AS (CASE WHEN NOT pre_registered THEN account_id END) STORED,
    ADD COLUMN of_person uuid
        GENERATED ALWAYS AS (CASE WHEN pre_registered THEN account_id END) STORED,
    DROP CONSTRAINT number_partition_account_id_fkey,
    ADD CONSTRAINT number_of_account FOREIGN KEY (partition, of_account)
        REFERENCES identity.account ON DELETE CASCADE,
    ADD CONSTRAINT number_of_person FOREIGN KEY (partition, of_person)
        REFERENCES identity.roster_person ON DELETE CASCADE;
CREATE INDEX number_of_account ON identity.number (partition, of_account)
    WHERE of_account IS NOT NULL;
CREATE INDEX number_of_person ON identity.number (partition, of_person)
    WHERE of_person IS NOT NULL;
