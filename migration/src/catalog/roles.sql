-- Our own. Their passwords, settings and members are the operator's.
SELECT quote_ident(rolname) AS name, concat_ws(', ',
    CASE WHEN rolcanlogin THEN 'login' ELSE 'no login' END,
    CASE WHEN rolsuper THEN 'superuser' END,
    CASE WHEN rolcreatedb THEN 'may create databases' END,
    CASE WHEN rolcreaterole THEN 'may create roles' END,
    CASE WHEN rolreplication THEN 'replication' END,
    CASE WHEN rolbypassrls THEN 'bypasses row security' END,
    CASE WHEN NOT rolinherit THEN 'does not inherit' END,
    'member of ' || (SELECT string_agg(DISTINCT quote_ident(pg_get_userbyid(roleid)) COLLATE "C", ', ')
        FROM pg_auth_members WHERE member = our_roles.oid
            -- The migrator is, where no superuser migrates (compose/postgres/roles.sql).
            AND NOT (rolname = 'brownie-migrator' AND roleid = (SELECT oid FROM pg_roles
                WHERE rolname = 'brownie-lookup')))) AS definition
FROM our_roles
