-- Codes compare by their bytes, whatever the locale of the cluster: pages are
-- walked by code.

CREATE TABLE orgtree.region (
    code        text COLLATE "C" PRIMARY KEY CHECK (code ~ '^[0-9]{6}$'),
    name        text     NOT NULL CHECK (name <> ''),
    -- RegionLevel of the contract.
    level       smallint NOT NULL CHECK (level BETWEEN 1 AND 3),
    parent_code text COLLATE "C" REFERENCES orgtree.region DEFERRABLE INITIALLY DEFERRED,
    -- Nothing lies below it.
    leaf        boolean  NOT NULL,
    CHECK ((level = 1) = (parent_code IS NULL))
);
CREATE INDEX region_children ON orgtree.region (parent_code, code);
