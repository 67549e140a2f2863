-- What organizations tell their people.

CREATE TABLE orgtree.article (
    article_id        uuid        PRIMARY KEY,
    organization_code text COLLATE "C" NOT NULL REFERENCES orgtree.organization,
    -- 1: a guide; 2: an activity; 3: news.
    kind              smallint    NOT NULL CHECK (kind BETWEEN 1 AND 3),
    title             text        NOT NULL CHECK (title <> ''),
    summary           text        NOT NULL,
    body              text        NOT NULL CHECK (body <> ''),
    pinned            boolean     NOT NULL,
    -- 1: a draft; 2: published; 3: withdrawn.
    state             smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 3),
    -- Goes up with each change.
    revision          bigint      NOT NULL DEFAULT 1,
    -- UUIDv7, by which lists are in the order of publication.
    publication_id    uuid        UNIQUE,
    published_at      timestamptz,
    created_at        timestamptz NOT NULL,
    changed_at        timestamptz NOT NULL,
    CHECK ((publication_id IS NULL) = (published_at IS NULL)),
    CHECK (state <> 2 OR publication_id IS NOT NULL),
    CHECK (state <> 1 OR publication_id IS NULL)
);
CREATE INDEX article_own ON orgtree.article (organization_code, article_id);
CREATE INDEX article_published ON orgtree.article (organization_code, publication_id)
    WHERE state = 2;
CREATE INDEX article_pinned ON orgtree.article (organization_code, publication_id)
    WHERE state = 2 AND pinned;

-- What was withdrawn is not published again, and an article stays where it was published.
CREATE FUNCTION orgtree.keep_article() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 3 OR NEW.state < OLD.state OR NEW.revision <= OLD.revision
       OR NEW.article_id <> OLD.article_id OR NEW.organization_code <> OLD.organization_code
       OR OLD.publication_id IS NOT NULL
          AND (NEW.publication_id, NEW.published_at)
              IS DISTINCT FROM (OLD.publication_id, OLD.published_at)
    THEN
        RAISE EXCEPTION 'an article goes one way' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER article_kept BEFORE UPDATE ON orgtree.article
    FOR EACH ROW EXECUTE FUNCTION orgtree.keep_article();
