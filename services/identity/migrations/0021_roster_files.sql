-- Uploaded rosters, sealed, for some days: what an import is read from.
CREATE TABLE identity.roster_file (
    -- Made by who uploads.
    file_id    uuid        PRIMARY KEY,
    -- The subject of the data key that the pieces are sealed with. Made here, so that no caller
    -- names somebody else's. Gone with the pieces; the row stays, so that a late piece is refused.
    key_id     uuid        UNIQUE,
    created_at timestamptz NOT NULL,
    expire_at  timestamptz NOT NULL,
    deleted_at timestamptz,
    CHECK ((key_id IS NULL) = (deleted_at IS NOT NULL))
);
CREATE INDEX roster_file_expire ON identity.roster_file (expire_at) WHERE deleted_at IS NULL;
CREATE INDEX roster_file_deleted ON identity.roster_file (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE identity.roster_piece (
    file_id uuid     NOT NULL REFERENCES identity.roster_file ON DELETE CASCADE,
    index   smallint NOT NULL CHECK (index BETWEEN 0 AND 159),
    data    bytea    NOT NULL,
    PRIMARY KEY (file_id, index)
);
