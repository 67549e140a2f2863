-- How people on rosters begin with the default password, the end of their ID number, which is
-- compared with what the roster says and kept nowhere.
ALTER TABLE identity.roster_person
    -- Wrong default passwords that came with a right code.
    ADD COLUMN activation_tries smallint NOT NULL DEFAULT 0
        CHECK (activation_tries BETWEEN 0 AND 5);

-- Whose phone a code for this was sent to; nobody's where no code fits.
ALTER TABLE identity.sms_challenge ADD COLUMN person_id uuid;

-- What stands for name, number and phone of the roster and for a code when somebody registers.
CREATE TABLE identity.activation (
    activation_id uuid        PRIMARY KEY,
    person_id     uuid        NOT NULL,
    -- The phone that was proved.
    index_version smallint    NOT NULL,
    phone_index   bytea       NOT NULL,
    mac_version   smallint    NOT NULL,
    proof_mac     bytea       NOT NULL,
    expire_at     timestamptz NOT NULL,
    -- That it was used up by.
    enrolment_id  uuid
);
CREATE INDEX activation_expire ON identity.activation (expire_at);
