-- Claims on ID numbers that somebody else holds: which organizations they concern, and what
-- administrators decided. Who the two sides are is identity's alone.
CREATE TABLE registration.claim (
    -- That of the enrolment, and of identity's claim.
    claim_id          uuid        PRIMARY KEY,
    -- The one that the claimant chose.
    organization_code text        NOT NULL,
    -- The account that holds the number, and its partition.
    partition         smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    holder_id         uuid        NOT NULL,
    -- The one that the holder was with, and the one on whose roster, when it was opened: whoever
    -- could change them afterwards would choose who decides.
    holder_organization_code text,
    roster_organization_code text,
    -- ACCEPTING and REJECTING: decided, and identity is to be told.
    step              text        NOT NULL CHECK (step IN ('OPEN', 'ACCEPTING', 'ACCEPTED',
                                                           'REJECTING', 'REJECTED', 'OVER')),
    -- Accounts of administrators: who has looked, and who has decided.
    seen_by           uuid[]      NOT NULL DEFAULT '{}',
    first_by          uuid,
    second_by         uuid,
    -- Null of one that is rejected as nobody stands behind it any more.
    rejected_by       uuid,
    opened_at         timestamptz NOT NULL,
    decided_at        timestamptz,
    -- When it is looked at by the task: to tell identity, or whether both still may.
    next_step_at      timestamptz,
    CHECK (first_by <> second_by AND first_by <> holder_id AND second_by <> holder_id),
    CHECK (second_by IS NULL OR first_by IS NOT NULL),
    CHECK (step NOT IN ('ACCEPTING', 'ACCEPTED') OR second_by IS NOT NULL),
    CHECK (step <> 'OVER' OR next_step_at IS NULL)
);
CREATE INDEX claim_listed ON registration.claim (claim_id) WHERE step <> 'OVER';
CREATE INDEX claim_due ON registration.claim (next_step_at) WHERE next_step_at IS NOT NULL;
CREATE INDEX claim_opened ON registration.claim (opened_at) WHERE step = 'OVER';
