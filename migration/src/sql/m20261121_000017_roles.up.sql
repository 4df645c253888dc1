-- The roles. They belong to the whole server, not to this database, so they may be there already and
-- are then taken as they are. None has a password: certificates open them, or whoever runs the
-- server gives them one. What each may do is in the migrations after this one.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('brownie-migrator', 'LOGIN'),  -- owns the schema
        ('brownie-server',   'LOGIN'),  -- serves: one organization at a time
        ('brownie-backup',   'LOGIN'),  -- reads all rows
        ('brownie-monitor',  'LOGIN'),  -- reads statistics, no rows
        ('brownie-lookup',   'NOLOGIN') -- owns the functions that look for a credential
    ) AS roles (name, login)
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
                EXECUTE format('CREATE ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION',
                    wanted.name, wanted.login);
            END IF;
        EXCEPTION
            -- The migrator of another database was faster.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE insufficient_privilege USING MESSAGE = format(
                    'the role %1$I is not there, and %2$I may not create it; '
                    'as an administrator: CREATE ROLE %1$I %3$s; or: ALTER ROLE %2$I CREATEROLE;',
                    wanted.name, current_user, wanted.login);
        END;
        -- What follows hands things to these two, which takes being a member.
        IF wanted.name IN ('brownie-migrator', 'brownie-lookup')
            AND NOT pg_has_role(current_user, wanted.name, 'USAGE')
        THEN
            BEGIN
                EXECUTE format('GRANT %I TO CURRENT_USER', wanted.name);
            EXCEPTION WHEN insufficient_privilege THEN
                RAISE insufficient_privilege USING MESSAGE = format(
                    '%1$I may not act as the role %2$I; as an administrator: GRANT %2$I TO %1$I;',
                    current_user, wanted.name);
            END;
        END IF;
    END LOOP;
    BEGIN
        GRANT pg_monitor TO "brownie-monitor";
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'an administrator must still run: GRANT pg_monitor TO "brownie-monitor"';
    END;
END
$$;
