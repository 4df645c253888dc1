DROP TRIGGER organizations_access ON organizations;
DROP FUNCTION end_organization_access();
