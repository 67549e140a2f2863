-- Regions that were abolished stay, as people and organizations are said to be there; their
-- successors are told.
ALTER TABLE orgtree.region
    -- The first day on which it is no more.
    ADD COLUMN abolished_on date,
    -- What is there today instead; none, where nobody has said.
    ADD COLUMN successors   text[] NOT NULL DEFAULT '{}',
    ADD CHECK (abolished_on IS NOT NULL OR successors = '{}');
