-- What identity tells of accounts, by its feed.
CREATE TABLE registration.account (
    partition  smallint NOT NULL CHECK (partition BETWEEN 0 AND 63),
    account_id uuid     NOT NULL,
    level      smallint NOT NULL CHECK (level BETWEEN 0 AND 3),
    -- identity's; 0 until it has told.
    revision   bigint   NOT NULL,
    PRIMARY KEY (partition, account_id)
);

-- A volunteer is told of from the activation on, as the first revision.
ALTER TABLE registration.volunteer ALTER COLUMN revision SET DEFAULT 0;
UPDATE registration.volunteer SET revision = 0 WHERE state = 'INACTIVE';
-- How well the person has proved the ID number, as it was told last.
ALTER TABLE registration.volunteer
    ADD COLUMN level smallint NOT NULL DEFAULT 1 CHECK (level BETWEEN 0 AND 3);
-- identity does not have the account any more: marked, reported, and counted nowhere.
ALTER TABLE registration.volunteer ADD COLUMN account_missing boolean NOT NULL DEFAULT false;
