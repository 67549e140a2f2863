-- How many volunteers each organization has, itself and with all below it.

-- What registration has told of each volunteer, as far as it counts.
CREATE TABLE orgtree.volunteer (
    partition         smallint NOT NULL CHECK (partition BETWEEN 0 AND 63),
    volunteer_id      uuid     NOT NULL,
    -- The one that the volunteer chose.
    organization_code text COLLATE "C" NOT NULL,
    active            boolean  NOT NULL,
    verified          boolean  NOT NULL,
    league_member     boolean  NOT NULL,
    -- registration's; what is not newer changes nothing.
    revision          bigint   NOT NULL,
    PRIMARY KEY (partition, volunteer_id)
);

-- Differences of the figures of one organization itself, made in the transaction that
-- changes the rows above; taken up the tree by the fold, and kept for 35 days.
CREATE TABLE orgtree.count_delta (
    delta_id            bigint      GENERATED ALWAYS AS IDENTITY,
    organization_code   text COLLATE "C" NOT NULL,
    -- The cut (orgtree.feed_cut) that it comes after; 0 before the first one.
    after_cut           bigint      NOT NULL,
    volunteers          bigint      NOT NULL,
    verified_volunteers bigint      NOT NULL,
    league_members      bigint      NOT NULL,
    folded_at           timestamptz,
    PRIMARY KEY (delta_id, organization_code)
);
CREATE INDEX count_delta_to_fold ON orgtree.count_delta (delta_id) WHERE folded_at IS NULL;
-- A figure as of a cut is the counter less what came after it.
CREATE INDEX count_delta_by_cut ON orgtree.count_delta (after_cut, organization_code);
CREATE INDEX count_delta_folded ON orgtree.count_delta (folded_at) WHERE folded_at IS NOT NULL;

-- The figures, as far as they are folded.
CREATE TABLE orgtree.organization_count (
    organization_code           text COLLATE "C" PRIMARY KEY,
    own_volunteers              bigint NOT NULL DEFAULT 0,
    own_verified_volunteers     bigint NOT NULL DEFAULT 0,
    own_league_members          bigint NOT NULL DEFAULT 0,
    subtree_volunteers          bigint NOT NULL DEFAULT 0,
    subtree_verified_volunteers bigint NOT NULL DEFAULT 0,
    subtree_league_members      bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- Everything that was sequenced up to then is in the figures; absent while the feed was
-- never read to its head.
CREATE TABLE orgtree.count_state (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    as_of timestamptz
) WITH (fillfactor = 50);
INSERT INTO orgtree.count_state (as_of) VALUES (NULL);
