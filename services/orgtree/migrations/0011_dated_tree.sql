-- The tree as it was: each organization as it stood from a moment on, but for whom to ask,
-- which may be somebody's own number and is kept of the present alone.

CREATE TABLE orgtree.organization_version (
    code           text COLLATE "C" NOT NULL,
    valid_from     timestamptz NOT NULL,
    -- Absent of the present one.
    valid_to       timestamptz CHECK (valid_to > valid_from),
    name           text        NOT NULL,
    kind           smallint    NOT NULL,
    state          smallint    NOT NULL,
    parent_code    text COLLATE "C",
    region_code    text COLLATE "C",
    successor_code text COLLATE "C",
    ancestors      text[] COLLATE "C" NOT NULL,
    PRIMARY KEY (code, valid_from)
);
CREATE UNIQUE INDEX organization_version_present ON orgtree.organization_version (code)
    WHERE valid_to IS NULL;
CREATE INDEX organization_version_children ON orgtree.organization_version (parent_code, code);
-- What has changed since a moment.
CREATE INDEX organization_version_begun ON orgtree.organization_version (valid_from)
    WHERE valid_to IS NULL;

-- Since when the tree is dated; one row. What was before is not known.
CREATE TABLE orgtree.tree_dating (
    one   boolean     PRIMARY KEY DEFAULT true CHECK (one),
    since timestamptz NOT NULL
);
INSERT INTO orgtree.tree_dating (since) VALUES (now());
INSERT INTO orgtree.organization_version
    (code, valid_from, name, kind, state, parent_code, region_code, successor_code, ancestors)
SELECT code, now(), name, kind, state, parent_code, region_code, successor_code, ancestors
FROM orgtree.organization;

-- Whoever changes organizations, by whatever statement, dates them. All changes of one
-- transaction are of one moment, `orgtree.changed_at`, which it sets once it is alone with the
-- tree: so no tree of a moment is one between two statements.
CREATE FUNCTION orgtree.date_organizations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := coalesce(
        nullif(current_setting('orgtree.changed_at', true), '')::timestamptz, clock_timestamp());
BEGIN
    -- A clock that was set back dates later all the same.
    UPDATE orgtree.organization_version v
    SET valid_to = greatest(moment, v.valid_from + interval '1 microsecond')
    FROM changed n
    WHERE v.code = n.code AND v.valid_to IS NULL AND v.valid_from <> moment
      AND (v.name, v.kind, v.state, v.parent_code, v.region_code, v.successor_code, v.ancestors)
          IS DISTINCT FROM
          (n.name, n.kind, n.state, n.parent_code, n.region_code, n.successor_code, n.ancestors);
    INSERT INTO orgtree.organization_version AS v
        (code, valid_from, name, kind, state, parent_code, region_code, successor_code, ancestors)
    SELECT n.code,
           greatest(moment, (SELECT max(b.valid_to) FROM orgtree.organization_version b
                             WHERE b.code = n.code)),
           n.name, n.kind, n.state, n.parent_code, n.region_code, n.successor_code, n.ancestors
    FROM changed n
    WHERE NOT EXISTS (
        SELECT FROM orgtree.organization_version p
        WHERE p.code = n.code AND p.valid_to IS NULL AND p.valid_from <> moment)
    ON CONFLICT (code, valid_from) DO UPDATE
    SET name = excluded.name, kind = excluded.kind, state = excluded.state,
        parent_code = excluded.parent_code, region_code = excluded.region_code,
        successor_code = excluded.successor_code, ancestors = excluded.ancestors;
    RETURN NULL;
END $$;
CREATE TRIGGER organization_inserted AFTER INSERT ON orgtree.organization
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.date_organizations();
CREATE TRIGGER organization_updated AFTER UPDATE ON orgtree.organization
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.date_organizations();

-- What was is not changed any more, and nothing of it is forgotten.
CREATE FUNCTION orgtree.keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.valid_to IS NOT NULL OR (NEW.code, NEW.valid_from) <> (OLD.code, OLD.valid_from) THEN
        RAISE EXCEPTION 'the past is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_kept BEFORE UPDATE ON orgtree.organization_version
    FOR EACH ROW EXECUTE FUNCTION orgtree.keep_version();
CREATE TRIGGER version_not_deleted BEFORE DELETE OR TRUNCATE ON orgtree.organization_version
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();
