-- Changes of the tree that take two people: one proposes, another approves.

CREATE TABLE orgtree.proposal (
    proposal_id       uuid        PRIMARY KEY,
    -- ChangeKind of the contract.
    kind              smallint    NOT NULL CHECK (kind BETWEEN 1 AND 2),
    organization_code text COLLATE "C" NOT NULL REFERENCES orgtree.organization,
    -- The one that will be above, or who follows; absent when nobody does.
    target_code       text COLLATE "C" REFERENCES orgtree.organization,
    -- Of the organization, as it was seen.
    revision          bigint      NOT NULL,
    -- In the words of who proposes.
    purpose           text        NOT NULL CHECK (purpose <> ''),
    proposed_by       uuid        NOT NULL,
    proposed_at       timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL CHECK (expires_at > proposed_at),
    -- 1: waits; 2: approved, and done; 3: withdrawn.
    state             smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 3),
    decided_by        uuid,
    decided_at        timestamptz,
    CHECK (kind = 2 OR target_code IS NOT NULL),
    CHECK ((state = 1) = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    -- Two are two.
    CHECK (state <> 2 OR decided_by <> proposed_by)
);
CREATE INDEX proposal_waiting ON orgtree.proposal (organization_code) WHERE state = 1;

-- A proposal ends, once, and changes in no other way.
CREATE FUNCTION orgtree.keep_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 1
       OR (NEW.proposal_id, NEW.kind, NEW.organization_code, NEW.revision, NEW.purpose,
           NEW.proposed_by, NEW.proposed_at, NEW.expires_at, NEW.target_code)
          IS DISTINCT FROM
          (OLD.proposal_id, OLD.kind, OLD.organization_code, OLD.revision, OLD.purpose,
           OLD.proposed_by, OLD.proposed_at, OLD.expires_at, OLD.target_code)
    THEN
        RAISE EXCEPTION 'a proposal can only end' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER proposal_kept BEFORE UPDATE ON orgtree.proposal
    FOR EACH ROW EXECUTE FUNCTION orgtree.keep_proposal();
CREATE TRIGGER proposal_not_deleted BEFORE DELETE OR TRUNCATE ON orgtree.proposal
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();
