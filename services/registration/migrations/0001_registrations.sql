-- Who asks to be a volunteer, and how far that is. Nothing here tells who the
-- person is: name, ID number, phone and password are in `identity` alone, and
-- the form is known by a keyed digest.
CREATE TABLE registration.registration (
    request_id        uuid        PRIMARY KEY,
    -- Of the whole form, keyed: a plain hash would be a guessable ID number.
    digest            bytea       NOT NULL CHECK (octet_length(digest) = 32),
    digest_version    smallint    NOT NULL,
    enrolment_id      uuid        NOT NULL,
    -- Known once the ID number is claimed; also the id of the volunteer.
    account_id        uuid,
    -- The account was there before, active and without a volunteer (a service was
    -- restored to an older state): nothing is activated, nothing undone.
    adopted           boolean     NOT NULL DEFAULT false,
    region_code       text        NOT NULL,
    organization_code text        NOT NULL,
    league_member     boolean     NOT NULL,
    step              text        NOT NULL CHECK (step IN ('STARTED', 'PENDING', 'REVIEW', 'CLAIMED',
                                                           'REGISTERED', 'DONE', 'UNDOING', 'REFUSED')),
    refusal           text,
    -- ORGANIZATION_CLOSED: who followed it.
    successor_code    text,
    -- PENDING and REVIEW: when identity expects to know more.
    retry_at          timestamptz,
    -- When the recovery task looks next; while somebody works on it, a lease.
    next_step_at      timestamptz,
    last_call_at      timestamptz NOT NULL,
    attempts          integer     NOT NULL DEFAULT 0,
    created_at        timestamptz NOT NULL,
    finished_at       timestamptz,
    CHECK ((step IN ('UNDOING', 'REFUSED')) = (refusal IS NOT NULL)),
    CHECK ((step IN ('DONE', 'REFUSED')) = (finished_at IS NOT NULL)),
    CHECK ((step IN ('DONE', 'REFUSED')) = (next_step_at IS NULL)),
    CHECK ((step IN ('PENDING', 'REVIEW')) = (retry_at IS NOT NULL)),
    CHECK (step NOT IN ('CLAIMED', 'REGISTERED', 'DONE') OR account_id IS NOT NULL)
);
CREATE INDEX registration_due ON registration.registration (next_step_at) WHERE next_step_at IS NOT NULL;
CREATE INDEX registration_finished ON registration.registration (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX registration_enrolment ON registration.registration (enrolment_id);
