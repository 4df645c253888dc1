-- What must be found before the organization is known. Each function returns only what a decision
-- needs, and runs as brownie-lookup, which can read these columns and nothing else.
GRANT USAGE, CREATE ON SCHEMA public TO "brownie-lookup";
GRANT SELECT (id, slug, is_active, deleted_at) ON organizations TO "brownie-lookup";
GRANT SELECT (org_id, id, email, password_hash, oidc_provider, oidc_subject, is_active, deleted_at,
        created_at)
    ON users TO "brownie-lookup";

-- The accounts that a mailbox can log in to, in one organization or in all; the oldest first.
CREATE FUNCTION login_accounts(mailbox text, organization text, most integer)
RETURNS TABLE (org_id uuid, id uuid, password_hash text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT u.org_id, u.id, u.password_hash
    FROM public.users AS u JOIN public.organizations AS o ON o.id = u.org_id
    WHERE u.email = mailbox AND u.deleted_at IS NULL AND u.is_active AND u.password_hash IS NOT NULL
      AND o.deleted_at IS NULL AND o.is_active
      AND (organization IS NULL OR o.slug = organization)
    ORDER BY u.created_at, u.org_id
    LIMIT most
$$;

-- The accounts that are linked to somebody at an issuer of OpenID Connect; the oldest first.
CREATE FUNCTION linked_accounts(issuer text, subject text, organization text, most integer)
RETURNS TABLE (org_id uuid, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT u.org_id, u.id
    FROM public.users AS u JOIN public.organizations AS o ON o.id = u.org_id
    WHERE u.oidc_provider = issuer AND u.oidc_subject = subject
      AND u.deleted_at IS NULL AND u.is_active AND o.deleted_at IS NULL AND o.is_active
      AND (organization IS NULL OR o.slug = organization)
    ORDER BY u.created_at, u.org_id
    LIMIT most
$$;

-- The ids of all organizations, for jobs that go through them one by one.
CREATE FUNCTION organization_ids() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT id FROM public.organizations ORDER BY id
$$;

REVOKE ALL ON FUNCTION login_accounts(text, text, integer),
    linked_accounts(text, text, text, integer), organization_ids() FROM PUBLIC;
ALTER FUNCTION login_accounts(text, text, integer) OWNER TO "brownie-lookup";
ALTER FUNCTION linked_accounts(text, text, text, integer) OWNER TO "brownie-lookup";
ALTER FUNCTION organization_ids() OWNER TO "brownie-lookup";
-- As their new owner: what the old one had granted to itself would have become the new one's.
SET LOCAL ROLE "brownie-lookup";
GRANT EXECUTE ON FUNCTION login_accounts(text, text, integer),
    linked_accounts(text, text, text, integer) TO "brownie-server";
GRANT EXECUTE ON FUNCTION organization_ids() TO "brownie-migrator";
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM "brownie-lookup";

-- Whoever is a member of brownie-lookup reads what it reads. Nobody needs to be from here on.
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            REVOKE "brownie-lookup" FROM CURRENT_USER;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'an administrator should now run: REVOKE "brownie-lookup" FROM %',
                quote_ident(current_user);
        END;
    END IF;
END
$$;
