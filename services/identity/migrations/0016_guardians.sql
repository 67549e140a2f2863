-- On what ground somebody of 14 to 17 registers: a guardian consents, or the person is 16
-- or 17 and lives on own income. Adults have neither.

ALTER TABLE identity.enrolment
    -- Whose code was right for the person: the guardian's challenge and phone, from the
    -- verdict on the codes on.
    ADD COLUMN guardian_challenge_id uuid,
    ADD COLUMN guardian_phone_index  bytea,
    -- GuardianRelation of the contract.
    ADD COLUMN guardian_relation     smallint CHECK (guardian_relation BETWEEN 1 AND 3),
    -- Name, ID number and phone of the guardian, sealed under the applicant's data key;
    -- there as long as the applicant's.
    ADD COLUMN guardian              bytea,
    ADD COLUMN own_income            boolean NOT NULL DEFAULT false;

-- Kept with the account, and gone with it.
CREATE TABLE identity.guardian_consent (
    partition       smallint    NOT NULL,
    account_id      uuid        NOT NULL,
    -- The person lives on own income, and nobody had to consent.
    own_income      boolean     NOT NULL,
    relation        smallint    CHECK (relation BETWEEN 1 AND 3),
    -- Name, ID number and phone of the guardian, sealed under the account's data key.
    guardian        bytea,
    -- Whose code the guardian gave.
    challenge_id    uuid,
    -- Of the text on registering that it was a consent to.
    consent_version text        NOT NULL,
    consented_at    timestamptz NOT NULL,
    PRIMARY KEY (partition, account_id),
    FOREIGN KEY (partition, account_id) REFERENCES identity.account ON DELETE CASCADE,
    CHECK (own_income = (guardian IS NULL)),
    CHECK ((guardian IS NULL) = (relation IS NULL) AND (guardian IS NULL) = (challenge_id IS NULL))
);

-- Nobody of 14 to 17 becomes a person without it, whichever binary makes the account: one of
-- before, while it is replaced, does not know of guardians. It tries again, and so does one
-- that does.
CREATE FUNCTION identity.guardian_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM identity.enrolment
               WHERE enrolment_id = NEW.enrolment_id
                 AND (guardian_challenge_id IS NOT NULL OR own_income))
       AND NOT EXISTS (SELECT FROM identity.guardian_consent
                       WHERE partition = NEW.partition AND account_id = NEW.account_id)
    THEN
        RAISE EXCEPTION 'the account of a minor without a guardian''s consent'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER guardian_is_kept AFTER INSERT ON identity.account
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION identity.guardian_is_kept();
