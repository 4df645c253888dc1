-- Those that somebody made; not the arrays and rows that come with others.
SELECT quote_ident(typname) AS name, concat_ws(', ',
    CASE typtype
        WHEN 'e' THEN 'enum (' || (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
            FROM pg_enum WHERE enumtypid = pg_type.oid) || ')'
        WHEN 'd' THEN concat_ws(' ', 'domain', format_type(typbasetype, typtypmod),
            CASE WHEN typnotnull THEN 'not null' END, 'default ' || typdefault,
            (SELECT string_agg(pg_get_constraintdef(oid), ' ' ORDER BY conname) FROM pg_constraint
                WHERE contypid = pg_type.oid AND contype = 'c'))
        WHEN 'c' THEN 'composite'
        WHEN 'r' THEN 'range of ' || (SELECT rngsubtype::regtype FROM pg_range WHERE rngtypid = pg_type.oid)
        ELSE 'base'
    END,
    'owner ' || quote_ident(pg_get_userbyid(typowner))) AS definition
FROM pg_type JOIN pg_namespace AS home ON home.oid = typnamespace AND nspname = 'public'
WHERE (typtype IN ('e', 'd', 'r') OR (typtype = 'b' AND typcategory <> 'A')
        OR (typtype = 'c' AND EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind = 'c')))
    AND NOT EXISTS (SELECT FROM pg_depend
        WHERE classid = 'pg_type'::regclass AND objid = pg_type.oid AND deptype = 'e')
