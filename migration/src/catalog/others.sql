-- Whatever else is in the schema: collations, operators, statistics, dictionaries.
SELECT what.identity AS name, what.type AS definition
FROM pg_depend AS link, pg_identify_object(link.classid, link.objid, 0) AS what
WHERE refclassid = 'pg_namespace'::regclass AND deptype IN ('n', 'a')
    AND refobjid = (SELECT oid FROM pg_namespace WHERE nspname = 'public')
    AND link.classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass,
        'pg_extension'::regclass, 'pg_default_acl'::regclass)
    AND NOT EXISTS (SELECT FROM pg_depend AS other
        WHERE other.classid = link.classid AND other.objid = link.objid AND other.deptype = 'e')
