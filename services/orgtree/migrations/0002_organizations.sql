CREATE TABLE orgtree.organization (
    code           text COLLATE "C" PRIMARY KEY CHECK (code ~ '^[0-9A-Z]+(-[0-9A-Z]+)*$'),
    name           text     NOT NULL CHECK (name <> ''),
    -- OrganizationKind and OrganizationState of the contract.
    kind           smallint NOT NULL CHECK (kind BETWEEN 1 AND 8),
    state          smallint NOT NULL CHECK (state BETWEEN 1 AND 2),
    parent_code    text COLLATE "C" REFERENCES orgtree.organization DEFERRABLE INITIALLY DEFERRED,
    region_code    text COLLATE "C" REFERENCES orgtree.region,
    successor_code text COLLATE "C" REFERENCES orgtree.organization DEFERRABLE INITIALLY DEFERRED,
    contact_phone        text NOT NULL,
    contact_group_number text NOT NULL,
    contact_note         text NOT NULL,
    -- What follows is made by the loader from the columns above.
    -- The codes above it, from the root down.
    ancestors      text[] COLLATE "C" NOT NULL,
    -- Nothing lies below it.
    leaf           boolean  NOT NULL,
    -- The name as it is searched, and all strings of one and two characters in it.
    folded_name    text     NOT NULL,
    grams          text[] COLLATE "C" NOT NULL,
    CHECK (successor_code IS NULL OR state = 2),
    CHECK ((parent_code IS NULL) = (cardinality(ancestors) = 0))
);
CREATE INDEX organization_children ON orgtree.organization (parent_code, code);
-- Without a pending list: every search would read it through.
CREATE INDEX organization_ancestors ON orgtree.organization USING gin (ancestors)
    WITH (fastupdate = off);
-- pg_trgm finds nothing shorter than three characters by index, and most of what
-- people type is two: the grams of one and two characters are columns of our own.
CREATE INDEX organization_grams ON orgtree.organization USING gin (grams)
    WITH (fastupdate = off);
