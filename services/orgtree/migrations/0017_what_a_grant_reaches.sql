-- Whether a grant counts at a time, and reaches an organization: the one rule for checks, lists
-- and whatever is done by it. Plain SQL that is not strict, so that it is inlined and finds the
-- indexes; what it comes from, if it is delegated, is looked at last.
CREATE FUNCTION orgtree.grant_reaches(
    held orgtree.authority_grant, code text, ancestors text[], at timestamptz
) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT held.revoked_at IS NULL AND (held.expires_at IS NULL OR held.expires_at > at)
       AND orgtree.is_within(code, ancestors, held.organization_code)
       AND (held.delegated_from IS NULL
            OR orgtree.delegation_reaches(held.delegated_from, code, ancestors, at))
    $$;
