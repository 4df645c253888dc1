-- An organization that is taken out of use, by whatever statement, lets nobody in; and what let people in
-- does not come back when the organization does.
CREATE FUNCTION end_organization_access() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant text := current_setting('app.org_id', true);
BEGIN
    -- Whoever writes the organization need see neither table (as the role of the views of 0.1), and this tenant.
    PERFORM set_config('app.org_id', NEW.id::text, true);
    UPDATE public.sessions SET revoked_at = now() WHERE org_id = NEW.id AND revoked_at IS NULL;
    UPDATE public.api_keys SET deleted_at = now(), version = version + 1
        WHERE org_id = NEW.id AND deleted_at IS NULL;
    PERFORM set_config('app.org_id', coalesce(tenant, ''), true);
    RETURN NULL;
END
$$;
ALTER FUNCTION end_organization_access() OWNER TO "brownie-migrator";

CREATE TRIGGER organizations_access AFTER UPDATE ON organizations
    FOR EACH ROW
    WHEN ((OLD.is_active AND OLD.deleted_at IS NULL) AND NOT (NEW.is_active AND NEW.deleted_at IS NULL))
    EXECUTE FUNCTION end_organization_access();
