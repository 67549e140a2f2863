-- Splitting an organization: what its parts are to be waits with the proposal.

ALTER TABLE orgtree.proposal
    DROP CONSTRAINT proposal_kind_check,
    ADD CONSTRAINT proposal_kind_check CHECK (kind BETWEEN 1 AND 3),
    -- Nobody is above anew, or follows, where parts are made.
    DROP CONSTRAINT proposal_check1,
    ADD CONSTRAINT proposal_target
        CHECK (kind = 2 OR (kind = 1) = (target_code IS NOT NULL));

CREATE TABLE orgtree.proposal_part (
    proposal_id          uuid        NOT NULL REFERENCES orgtree.proposal,
    -- In the order in which they were named.
    place                smallint    NOT NULL CHECK (place BETWEEN 0 AND 19),
    -- What the organization is to be: the columns of `organization`.
    code                 text COLLATE "C" NOT NULL,
    kind                 smallint    NOT NULL CHECK (kind BETWEEN 1 AND 9),
    name                 text        NOT NULL CHECK (name <> ''),
    region_code          text COLLATE "C" REFERENCES orgtree.region,
    credit_code          text COLLATE "C",
    contact_phone        text        NOT NULL,
    contact_group_number text        NOT NULL,
    contact_note         text        NOT NULL,
    -- Those that come to lie right below it.
    child_codes          text[] COLLATE "C" NOT NULL,
    PRIMARY KEY (proposal_id, place)
);
CREATE INDEX proposal_part_reached ON orgtree.proposal_part (proposal_id)
    WHERE contact_phone <> '' OR contact_group_number <> '' OR contact_note <> '';

-- How to reach somebody is kept while the proposal waits; afterwards it is the organization's,
-- or nobody's. Nothing else of a part changes.
CREATE FUNCTION orgtree.keep_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.contact_phone, NEW.contact_group_number, NEW.contact_note) <> ('', '', '')
       OR (NEW.proposal_id, NEW.place, NEW.code, NEW.kind, NEW.name, NEW.region_code,
           NEW.credit_code, NEW.child_codes)
          IS DISTINCT FROM
          (OLD.proposal_id, OLD.place, OLD.code, OLD.kind, OLD.name, OLD.region_code,
           OLD.credit_code, OLD.child_codes)
    THEN
        RAISE EXCEPTION 'a part stays as it was proposed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER part_kept BEFORE UPDATE ON orgtree.proposal_part
    FOR EACH ROW EXECUTE FUNCTION orgtree.keep_part();
CREATE TRIGGER part_not_deleted BEFORE DELETE OR TRUNCATE ON orgtree.proposal_part
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();
