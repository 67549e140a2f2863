-- Who has confirmed, for an organization that a notice was addressed to, that it was read there.
CREATE TABLE orgtree.notice_confirmation (
    notice_id         uuid        NOT NULL,
    organization_code text COLLATE "C" NOT NULL,
    confirmed_by      uuid        NOT NULL,
    confirmed_at      timestamptz NOT NULL,
    PRIMARY KEY (notice_id, organization_code),
    FOREIGN KEY (notice_id, organization_code)
        REFERENCES orgtree.notice_row (notice_id, organization_code)
);
CREATE TRIGGER notice_confirmation_kept BEFORE UPDATE OR DELETE OR TRUNCATE
    ON orgtree.notice_confirmation
    FOR EACH STATEMENT EXECUTE FUNCTION orgtree.refuse_update();
