-- Which platforms looked at a volunteer, what for, and how often on a day: what the volunteer
-- reads of it. The audit has every question.
CREATE TABLE registration.look (
    partition    smallint    NOT NULL CHECK (partition BETWEEN 0 AND 63),
    volunteer_id uuid        NOT NULL,
    -- Of the calendar of Shanghai.
    day          date        NOT NULL,
    -- The name of its service account.
    platform     text        COLLATE "C" NOT NULL,
    -- LookUpPurpose of the contract.
    purpose      smallint    NOT NULL CHECK (purpose > 0),
    times        bigint      NOT NULL CHECK (times > 0),
    last_at      timestamptz NOT NULL,
    PRIMARY KEY (partition, volunteer_id, day, platform, purpose)
);
