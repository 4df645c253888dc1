-- An organization that is taken out of use, by whatever statement, lets nobody in; and what let people in
-- does not come back when the organization does.
CREATE FUNCTION end_organization_access() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE public.sessions SET revoked_at = now() WHERE org_id = NEW.id AND revoked_at IS NULL;
    UPDATE public.api_keys SET deleted_at = now(), version = version + 1
        WHERE org_id = NEW.id AND deleted_at IS NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER organizations_access AFTER UPDATE ON organizations
    FOR EACH ROW
    WHEN ((OLD.is_active AND OLD.deleted_at IS NULL) AND NOT (NEW.is_active AND NEW.deleted_at IS NULL))
    EXECUTE FUNCTION end_organization_access();
