DO $$
DECLARE
    wall record;
BEGIN
    FOR wall IN
        SELECT polname, polrelid::regclass AS tenant_table
        FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid
        WHERE relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('DROP POLICY %I ON %s', wall.polname, wall.tenant_table);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', wall.tenant_table);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', wall.tenant_table);
    END LOOP;
END
$$;
DROP FUNCTION wall_in(regclass, name);
