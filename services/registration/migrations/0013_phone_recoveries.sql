-- Lost phones: what administrators decided, and how far identity has heard of it. The phones
-- are identity's alone.
CREATE TABLE registration.phone_recovery (
    recovery_id       uuid        PRIMARY KEY,
    partition         smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    volunteer_id      uuid        NOT NULL,
    -- STARTING, APPROVING and CANCELLING: decided, and identity is to be told.
    step              text        NOT NULL CHECK (step IN ('STARTING', 'STARTED', 'APPROVING',
                                                           'APPROVED', 'CANCELLING', 'CANCELLED',
                                                           'REFUSED')),
    -- Why identity refused to begin it.
    refusal           text        CHECK (refusal IN ('OPEN', 'GONE')),
    -- In the words of the administrator.
    reason            text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
    request_id        uuid        NOT NULL,
    started_by        uuid        NOT NULL,
    started_at        timestamptz NOT NULL,
    approved_by       uuid,
    approved_at       timestamptz,
    cancelled_by      uuid,
    cancelled_at      timestamptz,
    -- When identity is told by the recovery task, while it is to be.
    next_step_at      timestamptz,
    FOREIGN KEY (partition, volunteer_id) REFERENCES registration.volunteer,
    UNIQUE (started_by, request_id),
    CHECK (started_by <> volunteer_id AND approved_by <> volunteer_id
           AND approved_by <> started_by),
    CHECK (step NOT IN ('APPROVING', 'APPROVED') OR approved_by IS NOT NULL),
    CHECK ((step = 'REFUSED') = (refusal IS NOT NULL)),
    CHECK ((step IN ('STARTING', 'APPROVING', 'CANCELLING')) = (next_step_at IS NOT NULL))
);
CREATE INDEX phone_recovery_volunteer
    ON registration.phone_recovery (partition, volunteer_id, recovery_id);
CREATE INDEX phone_recovery_starter ON registration.phone_recovery (started_by, started_at);
CREATE INDEX phone_recovery_due ON registration.phone_recovery (next_step_at)
    WHERE next_step_at IS NOT NULL;
CREATE INDEX phone_recovery_started ON registration.phone_recovery (started_at);
