-- When something came below an organization last, or went away from below it, otherwise than by
-- being founded there: what the version of a scope is made of. No row: never.
CREATE TABLE orgtree.subtree_change (
    code    text COLLATE "C" PRIMARY KEY,
    -- Of its own each time: a tree that was restored to an older state never gives it again.
    version uuid NOT NULL
) WITH (fillfactor = 50);

-- Whoever moves organizations, by whatever statement, notes it: in the same transaction, so that
-- nobody sees a tree with the version of another one.
CREATE FUNCTION orgtree.note_subtree_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO orgtree.subtree_change (code, version)
    SELECT m.code, gen_random_uuid()
    FROM (
        SELECT DISTINCT a.code
        FROM (SELECT DISTINCT o.ancestors AS was, n.ancestors AS is_now
              FROM before_it o JOIN after_it n ON n.code = o.code
              WHERE n.ancestors <> o.ancestors) moved
        CROSS JOIN LATERAL (
            (SELECT unnest(moved.was) EXCEPT SELECT unnest(moved.is_now))
            UNION ALL
            (SELECT unnest(moved.is_now) EXCEPT SELECT unnest(moved.was))
        ) AS a (code)
    ) m
    ORDER BY m.code
    ON CONFLICT (code) DO UPDATE SET version = excluded.version;
    RETURN NULL;
END $$;
CREATE TRIGGER organization_moved AFTER UPDATE ON orgtree.organization
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.note_subtree_changes();
