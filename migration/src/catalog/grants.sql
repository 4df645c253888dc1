-- Owners included: they can lose what they have. Not that of the schema, who is another on PostgreSQL
-- 14, and not an owner's MAINTAIN, which comes with PostgreSQL 17.
, granted (target, owner, acl) AS (
    SELECT CASE relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || label, relowner,
        coalesce(relacl, acldefault((CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", relowner))
    FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'column ' || label || '.' || quote_ident(attname), relowner, attacl
    FROM relations JOIN pg_attribute ON attrelid = relations.oid AND NOT attisdropped
    UNION ALL
    SELECT 'function ' || label, proowner, coalesce(proacl, acldefault('f', proowner)) FROM routines
    UNION ALL
    SELECT 'schema public', nspowner, coalesce(nspacl, acldefault('n', nspowner))
    FROM pg_namespace WHERE nspname = 'public'
)
SELECT 'on ' || target || ' to '
        || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS name,
    string_agg(DISTINCT privilege_type || CASE WHEN is_grantable THEN ' with grant option' ELSE '' END, ', ')
        AS definition
FROM granted, aclexplode(acl)
WHERE NOT (grantee = owner AND (target = 'schema public' OR privilege_type = 'MAINTAIN'))
GROUP BY target, grantee
