SELECT label AS name, concat_ws(', ',
    seqtypid::regtype::text || ' from ' || seqstart || ' by ' || seqincrement
        || ', ' || seqmin || ' to ' || seqmax || ', cache ' || seqcache,
    CASE WHEN seqcycle THEN 'cycle' END,
    (SELECT 'of ' || refobjid::regclass || '.' || quote_ident(attname)
        FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
        WHERE classid = 'pg_class'::regclass AND objid = relations.oid AND deptype IN ('a', 'i')),
    CASE relpersistence WHEN 'u' THEN 'unlogged' END,
    'owner ' || owner) AS definition
FROM relations JOIN pg_sequence ON seqrelid = relations.oid
