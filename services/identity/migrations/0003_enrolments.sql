-- An applicant on the way to an account. The sealed columns are there from PENDING
-- to the verdict, and gone after it.
CREATE TABLE identity.enrolment (
    enrolment_id  uuid        PRIMARY KEY,
    state         text        NOT NULL CHECK (state IN ('ACCEPTED', 'PENDING', 'REVIEW', 'CLAIMED',
                                                        'ACTIVE', 'REFUSED', 'DISCARDED')),
    refusal       text,
    -- Becomes the account's; also the subject of the data key.
    account_id    uuid,
    challenge_id  uuid,
    index_version smallint,
    phone_index   bytea,
    consents      jsonb       NOT NULL DEFAULT '[]',
    name          bytea,
    id_number     bytea,
    phone         bytea,
    password_hash text,
    -- The verdict did not come with the first answer: the person is told by text
    -- message.
    waited        boolean     NOT NULL DEFAULT false,
    attempts      integer     NOT NULL DEFAULT 0,
    -- The day on which a failed check was reserved for this enrolment: one at most,
    -- however often a check is cut off.
    reserved_on   date,
    -- PENDING: when the register is asked next; while it is asked, a lease.
    next_check_at timestamptz,
    -- PENDING and REVIEW: refused if there is no verdict by then.
    decide_by     timestamptz,
    claimed_at    timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CHECK ((state = 'REFUSED') = (refusal IS NOT NULL)),
    CHECK (state NOT IN ('PENDING', 'REVIEW') OR (name IS NOT NULL AND id_number IS NOT NULL
           AND phone IS NOT NULL AND password_hash IS NOT NULL AND decide_by IS NOT NULL)),
    CHECK (state IN ('PENDING', 'REVIEW') OR (name IS NULL AND id_number IS NULL
           AND phone IS NULL AND password_hash IS NULL))
);
CREATE INDEX enrolment_account ON identity.enrolment (account_id);
CREATE INDEX enrolment_due ON identity.enrolment (next_check_at) WHERE state = 'PENDING';
CREATE INDEX enrolment_review ON identity.enrolment (decide_by) WHERE state = 'REVIEW';
CREATE INDEX enrolment_claimed ON identity.enrolment (claimed_at, enrolment_id) WHERE state = 'CLAIMED';
CREATE INDEX enrolment_ended ON identity.enrolment (updated_at) WHERE state IN ('REFUSED', 'DISCARDED');

-- Checks that the register answered with no, by blind index of phone or number.
CREATE TABLE identity.failed_check (
    subject_index bytea    NOT NULL,
    day           date     NOT NULL,
    count         integer  NOT NULL,
    PRIMARY KEY (subject_index, day)
);

-- Text messages to people that are not codes: sent by a job, again until they are
-- taken, and once for each key.
CREATE TABLE identity.notice (
    notice_id       uuid        PRIMARY KEY,
    once            text        NOT NULL UNIQUE,
    template        text        NOT NULL,
    -- Either an account, whose phone is read when the notice is sent, or a phone
    -- that is sealed under a data key of the notice's own.
    partition       smallint,
    account_id      uuid,
    phone           bytea,
    state           text        NOT NULL CHECK (state IN ('QUEUED', 'SENT', 'GIVEN_UP')),
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CHECK (state <> 'QUEUED' OR (account_id IS NULL) <> (phone IS NULL))
);
CREATE INDEX notice_due ON identity.notice (next_attempt_at) WHERE state = 'QUEUED';
