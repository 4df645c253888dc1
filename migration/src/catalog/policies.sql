SELECT label || '.' || quote_ident(polname) AS name, concat_ws(' ',
    CASE WHEN NOT polpermissive THEN 'restrictive' END,
    CASE polcmd WHEN 'r' THEN 'for select' WHEN 'a' THEN 'for insert' WHEN 'w' THEN 'for update'
        WHEN 'd' THEN 'for delete' ELSE 'for all' END,
    'to ' || (SELECT string_agg(who, ', ' ORDER BY who COLLATE "C") FROM (
        SELECT CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END AS who
        FROM unnest(polroles) AS role) AS roles),
    'using (' || pg_get_expr(polqual, polrelid) || ')',
    'with check (' || pg_get_expr(polwithcheck, polrelid) || ')') AS definition
FROM relations JOIN pg_policy ON polrelid = relations.oid
