-- What our roles give away of what they will make; what others do is the operator's.
SELECT quote_ident(rolname) || ' on ' || CASE defaclobjtype
            WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
            WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END
        || coalesce(' in ' || quote_ident(nspname), '')
        || ' to ' || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS name,
    string_agg(DISTINCT privilege_type || CASE WHEN is_grantable THEN ' with grant option' ELSE '' END, ', ')
        AS definition
FROM pg_default_acl JOIN our_roles ON our_roles.oid = defaclrole
    LEFT JOIN pg_namespace AS home ON home.oid = defaclnamespace, aclexplode(defaclacl)
GROUP BY rolname, defaclobjtype, nspname, grantee
