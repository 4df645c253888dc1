SELECT label AS name, 'owner ' || quote_ident(pg_get_userbyid(proowner)) || E'\n'
    || CASE prokind WHEN 'a' THEN 'aggregate' ELSE pg_get_functiondef(oid) END AS definition
FROM routines
