-- What is asked of organizations: how many of their members are to have registered, by when.

CREATE TABLE orgtree.target (
    -- Of those below this one.
    organization_code text COLLATE "C" NOT NULL REFERENCES orgtree.organization,
    -- Of this kind: as in `organization`.
    kind              smallint    NOT NULL CHECK (kind BETWEEN 1 AND 9),
    per_ten_thousand  integer     NOT NULL CHECK (per_ten_thousand BETWEEN 1 AND 10000),
    -- The last day, of Asia/Shanghai.
    deadline          date        NOT NULL,
    -- Null: it came with the demonstration.
    set_by            uuid,
    set_at            timestamptz NOT NULL,
    PRIMARY KEY (organization_code, kind)
);
