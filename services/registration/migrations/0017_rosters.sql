-- Rosters: imports of files, of which nothing but the fate of each row is kept here, and who
-- is on whose roster. Who the people are, identity alone knows.
CREATE TABLE registration.roster_import (
    -- Also the id of the file at identity.
    import_id         uuid        PRIMARY KEY,
    organization_code text COLLATE "C" NOT NULL,
    started_by        uuid        NOT NULL,
    request_id        uuid        NOT NULL,
    file_name         text        NOT NULL CHECK (length(file_name) BETWEEN 1 AND 100),
    size_bytes        bigint      NOT NULL CHECK (size_bytes BETWEEN 1 AND 20971520),
    sha256            bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    -- Those of its pieces that identity keeps.
    pieces            smallint[]  NOT NULL DEFAULT '{}',
    state             text        NOT NULL CHECK (state IN ('UPLOADING', 'CHECKING', 'CHECKED',
                                                            'IMPORTING', 'DONE', 'CANCELLED',
                                                            'FAILED')),
    -- Where it goes on when it is started again.
    cancelled_in      text        CHECK (cancelled_in IN ('UPLOADING', 'CHECKING', 'CHECKED',
                                                          'IMPORTING')),
    -- The number of the contract.
    failure           smallint,
    rows              integer     NOT NULL DEFAULT 0,
    -- All rows up to this one are looked at, or imported.
    done_to           integer     NOT NULL DEFAULT 0,
    rows_done         integer     NOT NULL DEFAULT 0,
    rows_new          integer     NOT NULL DEFAULT 0,
    rows_registered   integer     NOT NULL DEFAULT 0,
    rows_unchanged    integer     NOT NULL DEFAULT 0,
    rows_updated      integer     NOT NULL DEFAULT 0,
    rows_rejected     integer     NOT NULL DEFAULT 0,
    created_at        timestamptz NOT NULL,
    ended_at          timestamptz,
    -- From its first piece on.
    file_expires_at   timestamptz,
    -- When the task looks at it, while there is something to do; and who does.
    next_step_at      timestamptz,
    lease             uuid,
    attempts          integer     NOT NULL DEFAULT 0,
    CHECK ((state IN ('CHECKING', 'IMPORTING')) = (next_step_at IS NOT NULL)),
    CHECK ((state = 'CANCELLED') = (cancelled_in IS NOT NULL)),
    CHECK ((state = 'FAILED') = (failure IS NOT NULL)),
    CHECK ((state IN ('DONE', 'CANCELLED', 'FAILED')) = (ended_at IS NOT NULL))
) WITH (fillfactor = 50);
CREATE INDEX roster_import_organization ON registration.roster_import (organization_code, import_id);
CREATE INDEX roster_import_request ON registration.roster_import (started_by, request_id);
CREATE INDEX roster_import_due ON registration.roster_import (next_step_at)
    WHERE next_step_at IS NOT NULL;
CREATE INDEX roster_import_uploading ON registration.roster_import (created_at)
    WHERE state = 'UPLOADING';
CREATE INDEX roster_import_created ON registration.roster_import (created_at);

CREATE TABLE registration.roster_import_row (
    import_id   uuid       NOT NULL REFERENCES registration.roster_import ON DELETE CASCADE,
    row_number  integer    NOT NULL CHECK (row_number > 0),
    -- The numbers of the contract.
    fate        smallint   NOT NULL,
    problems    smallint[] NOT NULL,
    -- The row before with the same ID number.
    same_as_row integer,
    -- As far as identity knows the person.
    person_id   uuid,
    PRIMARY KEY (import_id, row_number)
);
CREATE INDEX roster_import_row_rejected ON registration.roster_import_row (import_id, row_number)
    WHERE fate = 5;

-- Who is on a roster, and who was: a person is on one at most. Whoever is on none any more
-- keeps the row, since the revisions that were told go on from there.
CREATE TABLE registration.roster_member (
    partition         smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    person_id         uuid        NOT NULL,
    organization_code text COLLATE "C",
    since             timestamptz,
    -- The month in which membership ends by age.
    ends_in           text        CHECK (ends_in ~ '^[0-9]{4}-[0-9]{2}$'),
    -- Where the person came from.
    import_id         uuid,
    row_number        integer,
    revision          bigint      NOT NULL DEFAULT 0,
    -- Identity is to forget who has not registered; it is being asked to.
    forget            text        CHECK (forget IN ('DUE', 'ASKED')),
    forget_at         timestamptz,
    -- When identity had let go of the person.
    gone_at           timestamptz,
    PRIMARY KEY (partition, person_id),
    CHECK ((organization_code IS NULL) = (since IS NULL)),
    CHECK ((organization_code IS NULL) = (ends_in IS NULL)),
    CHECK ((forget IS NULL) = (forget_at IS NULL)),
    CHECK (organization_code IS NULL OR forget IS NULL)
);
CREATE INDEX roster_member_organization
    ON registration.roster_member (organization_code, person_id)
    WHERE organization_code IS NOT NULL;
CREATE INDEX roster_member_forget ON registration.roster_member (forget_at)
    WHERE forget IS NOT NULL;

-- Who was on which roster.
CREATE TABLE registration.roster_leaving (
    partition         smallint    NOT NULL,
    person_id         uuid        NOT NULL,
    -- Of the member, with which it was left.
    revision          bigint      NOT NULL,
    organization_code text COLLATE "C" NOT NULL,
    since             timestamptz NOT NULL,
    ends_in           text        NOT NULL,
    left_at           timestamptz NOT NULL,
    reason            text        NOT NULL CHECK (reason IN ('LEFT', 'AGED_OUT', 'MISTAKE',
                                                             'NAME_DIFFERS')),
    -- Absent if nobody did it.
    left_by           uuid,
    request_id        uuid,
    import_id         uuid,
    row_number        integer,
    PRIMARY KEY (partition, person_id, revision),
    CHECK ((left_by IS NULL) = (request_id IS NULL)),
    CHECK ((left_by IS NULL) = (reason = 'NAME_DIFFERS'))
);
CREATE INDEX roster_leaving_request ON registration.roster_leaving (left_by, request_id)
    WHERE left_by IS NOT NULL;
CREATE INDEX roster_leaving_returned
    ON registration.roster_leaving (organization_code, person_id) WHERE reason = 'NAME_DIFFERS';
