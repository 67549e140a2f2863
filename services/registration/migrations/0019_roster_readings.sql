-- How often the reading of a file began since it last ended: one that ends the process each time is
-- given up.
ALTER TABLE registration.roster_import ADD COLUMN readings integer NOT NULL DEFAULT 0;
