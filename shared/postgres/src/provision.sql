-- Names and passwords arrive as settings of the transaction: a statement with a password in it
-- would stand in the logs of server and client.
DO $provision$
DECLARE
    service_schema text := current_setting('zhiyuan.schema');
    owner_role text := current_setting('zhiyuan.owner_role');
    runtime_role text := current_setting('zhiyuan.runtime_role');
    each_role text;
BEGIN
    FOREACH each_role IN ARRAY ARRAY[owner_role, runtime_role] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = each_role) THEN
            EXECUTE format('CREATE ROLE %I', each_role);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = each_role AND (rolsuper OR rolbypassrls)) THEN
            RAISE EXCEPTION 'role % has more power than a service may have', each_role;
        END IF;
        BEGIN
            EXECUTE format('ALTER ROLE %I LOGIN NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD %L', each_role,
                current_setting(CASE each_role WHEN owner_role THEN 'zhiyuan.owner_password'
                                               ELSE 'zhiyuan.runtime_password' END));
        EXCEPTION WHEN OTHERS THEN
            -- The original error's context quotes the statement.
            RAISE EXCEPTION 'failed to set up role %', each_role USING ERRCODE = SQLSTATE;
        END;
    END LOOP;

    -- An administrator who is no superuser acts for the owner through membership only.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT %I TO CURRENT_USER', owner_role);
    END IF;

    IF to_regnamespace('public') IS NOT NULL THEN
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
    END IF;

    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = service_schema) THEN
        EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', service_schema, owner_role);
    ELSIF NOT EXISTS (SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
                      WHERE n.nspname = service_schema AND r.rolname = owner_role) THEN
        EXECUTE format('ALTER SCHEMA %I OWNER TO %I', service_schema, owner_role);
    END IF;
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', service_schema);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', service_schema, runtime_role);

    -- Only tables yet to come: granting on existing ones would give back what a migration took
    -- away, such as UPDATE and DELETE on an append-only table.
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I '
                   'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
                   owner_role, service_schema, runtime_role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I '
                   'GRANT USAGE ON SEQUENCES TO %I',
                   owner_role, service_schema, runtime_role);
END
$provision$
