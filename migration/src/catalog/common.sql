-- Stands in front of the other statements of this folder. What an extension brought is its own. Names
-- and definitions are made under search_path = pg_catalog, so that whatever is not PostgreSQL's own
-- is written with its schema.
WITH our_roles AS (
    SELECT * FROM pg_roles WHERE rolname IN
        ('brownie-migrator', 'brownie-server', 'brownie-backup', 'brownie-monitor', 'brownie-lookup')
), relations AS (
    SELECT class.*, quote_ident(relname) AS label, quote_ident(pg_get_userbyid(relowner)) AS owner
    FROM pg_class AS class JOIN pg_namespace AS home ON home.oid = relnamespace AND nspname = 'public'
    WHERE NOT EXISTS (SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = class.oid AND deptype = 'e')
), routines AS (
    SELECT routine.*, quote_ident(proname) || '(' || pg_get_function_identity_arguments(routine.oid) || ')' AS label
    FROM pg_proc AS routine JOIN pg_namespace AS home ON home.oid = pronamespace AND nspname = 'public'
    WHERE NOT EXISTS (SELECT FROM pg_depend
        WHERE classid = 'pg_proc'::regclass AND objid = routine.oid AND deptype = 'e')
)
