DROP FUNCTION organization_ids();
DROP FUNCTION linked_accounts(text, text, text, integer);
DROP FUNCTION login_accounts(text, text, integer);
REVOKE ALL ON users, organizations FROM "brownie-lookup";
REVOKE ALL ON SCHEMA public FROM "brownie-lookup";
