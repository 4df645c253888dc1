DROP FUNCTION organization_ids();
DROP FUNCTION linked_accounts(text, text, text, integer);
DROP FUNCTION login_accounts(text, text, integer);
REVOKE ALL ON users, organizations FROM "brownie-lookup";
REVOKE ALL ON SCHEMA public FROM "brownie-lookup";
-- As 0017 left it: the way up takes being a member, and gives that away at its end.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'brownie-lookup', 'USAGE') THEN
        GRANT "brownie-lookup" TO CURRENT_USER;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'an administrator must run, before migrating again: GRANT "brownie-lookup" TO %',
        quote_ident(current_user);
END
$$;
