-- What somebody says who claims a number that is another one's, sealed under the applicant's key.
ALTER TABLE identity.enrolment ADD COLUMN claim_statement bytea;

-- Claims on a number that an account holds: enrolments in REVIEW that two administrators decide
-- about. A claim holds nothing. Kept as long as the limits look back.
CREATE TABLE identity.claim (
    -- The enrolment's.
    claim_id        uuid        PRIMARY KEY,
    partition       smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    -- Whose number it is.
    holder_id       uuid        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('OPEN', 'ACCEPTED', 'CARRIED_OUT',
                                                          'REJECTED', 'EXPIRED', 'ENDED')),
    -- What the limits count by.
    index_version   smallint    NOT NULL,
    number_index    bytea       NOT NULL,
    phone_index     bytea       NOT NULL,
    -- What the holder says, sealed under the holder's key.
    answer          bytea,
    -- Accounts of administrators.
    first_by        uuid,
    second_by       uuid,
    opened_at       timestamptz NOT NULL,
    accepted_at     timestamptz,
    carry_out_after timestamptz,
    ended_at        timestamptz,
    FOREIGN KEY (partition, holder_id) REFERENCES identity.account,
    CHECK (first_by <> second_by AND first_by <> holder_id AND second_by <> holder_id),
    CHECK ((state IN ('OPEN', 'ACCEPTED')) = (ended_at IS NULL)),
    CHECK (state NOT IN ('ACCEPTED', 'CARRIED_OUT')
           OR (first_by IS NOT NULL AND second_by IS NOT NULL AND carry_out_after IS NOT NULL))
);
-- A number has one at a time.
CREATE UNIQUE INDEX claim_open ON identity.claim (partition, holder_id) WHERE ended_at IS NULL;
CREATE INDEX claim_holder ON identity.claim (partition, holder_id, claim_id);
CREATE INDEX claim_number ON identity.claim (index_version, number_index);
CREATE INDEX claim_phone ON identity.claim (index_version, phone_index);
CREATE INDEX claim_ended ON identity.claim (opened_at) WHERE ended_at IS NOT NULL;
