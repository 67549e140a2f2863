-- How many members each organization has by its roster, how many of them have registered,
-- and what organizations without a roster state.

-- The roster that somebody is on; a row may be here for that alone, with `organization_code`
-- '' and revision 0, until the person registers.
ALTER TABLE orgtree.volunteer
    ADD COLUMN roster_organization_code text COLLATE "C",
    -- Of the roster's event; 0 if there was none.
    ADD COLUMN roster_revision bigint NOT NULL DEFAULT 0;

ALTER TABLE orgtree.count_delta
    ADD COLUMN members            bigint NOT NULL DEFAULT 0,
    ADD COLUMN registered_members bigint NOT NULL DEFAULT 0,
    ADD COLUMN stated_members     bigint NOT NULL DEFAULT 0,
    ADD COLUMN stated_registered  bigint NOT NULL DEFAULT 0;

ALTER TABLE orgtree.organization_count
    ADD COLUMN own_members                bigint NOT NULL DEFAULT 0,
    ADD COLUMN own_registered_members     bigint NOT NULL DEFAULT 0,
    ADD COLUMN own_stated_members         bigint NOT NULL DEFAULT 0,
    ADD COLUMN own_stated_registered      bigint NOT NULL DEFAULT 0,
    ADD COLUMN subtree_members            bigint NOT NULL DEFAULT 0,
    ADD COLUMN subtree_registered_members bigint NOT NULL DEFAULT 0,
    ADD COLUMN subtree_stated_members     bigint NOT NULL DEFAULT 0,
    ADD COLUMN subtree_stated_registered  bigint NOT NULL DEFAULT 0;

-- What an organization without a roster has stated, and when that ended: by another
-- statement, withdrawn, or by its first member on a roster.
CREATE TABLE orgtree.member_statement (
    statement_id      uuid        PRIMARY KEY,
    organization_code text COLLATE "C" NOT NULL REFERENCES orgtree.organization,
    members           bigint      NOT NULL CHECK (members BETWEEN 1 AND 10000000),
    source            text        NOT NULL CHECK (source <> ''),
    stated_on         date        NOT NULL,
    stated_by         uuid        NOT NULL,
    created_at        timestamptz NOT NULL,
    ended_at          timestamptz
);
CREATE UNIQUE INDEX member_statement_standing ON orgtree.member_statement (organization_code)
    WHERE ended_at IS NULL;
