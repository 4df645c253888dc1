-- Row-level security on every tenant table (PostgreSQL manual, section 5.9), for the owner too:
-- a transaction reaches the rows of the one organization that it names in app.org_id, and those of
-- none if it names none.

-- Walls a tenant table in. Every migration that makes one calls this; a test finds those that do not.
-- The setting is read in a sub-select, which is evaluated once per statement and not once per row;
-- after a transaction that set it, it is '' and not null.
CREATE FUNCTION wall_in(tenant_table regclass, org_column name DEFAULT 'org_id') RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
DECLARE
    base text := (SELECT relname FROM pg_class WHERE oid = tenant_table);
    ours text := format('%I = (SELECT nullif(current_setting(''app.org_id'', true), '''')::uuid)',
        org_column);
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('CREATE POLICY %I ON %s USING (%s) WITH CHECK (%s)',
        base || '_tenant', tenant_table, ours, ours);
    EXECUTE format('CREATE POLICY %I ON %s FOR SELECT TO "brownie-backup" USING (true)',
        base || '_backup', tenant_table);
END
$$;

SELECT wall_in('organizations', 'id');
SELECT wall_in('teams');
SELECT wall_in('users');
SELECT wall_in('memberships');
SELECT wall_in('incidents');
SELECT wall_in('agent_configs');
SELECT wall_in('configs');
SELECT wall_in('stats');
SELECT wall_in('audit_log');
SELECT wall_in('outbox');
SELECT wall_in('idempotency_keys');

-- The gate for the look-ups of 0018: of these columns, in these functions, and no further.
CREATE POLICY organizations_lookup ON organizations FOR SELECT TO "brownie-lookup" USING (true);
CREATE POLICY users_lookup ON users FOR SELECT TO "brownie-lookup" USING (true);
