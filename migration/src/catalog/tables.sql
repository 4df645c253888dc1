-- A partition says whose it is; what else it has comes from there. Partitions of a month come and go,
-- and are the same but for the month. Where a table lies and how it is stored is the operator's.
SELECT label AS name, concat_ws(', ',
    CASE relkind
        WHEN 'r' THEN 'table'
        WHEN 'p' THEN 'table partitioned by ' || pg_get_partkeydef(relations.oid)
        WHEN 'v' THEN 'view'
        WHEN 'm' THEN 'materialized view'
        ELSE 'foreign table'
    END,
    CASE relpersistence WHEN 'u' THEN 'unlogged' END,
    (SELECT string_agg(CASE WHEN relispartition THEN 'partition of ' ELSE 'inherits from ' END
            || inhparent::regclass || CASE
                WHEN NOT relispartition THEN ''
                WHEN relname ~ '_\d{4}_\d{2}$' THEN ' for a month'
                ELSE ' ' || pg_get_expr(relpartbound, relations.oid)
            END, ', ' ORDER BY inhseqno)
        FROM pg_inherits WHERE inhrelid = relations.oid),
    'owner ' || owner,
    CASE WHEN relkind IN ('r', 'p') THEN 'row security '
        || CASE WHEN relrowsecurity THEN 'on' ELSE 'off' END
        || CASE WHEN relforcerowsecurity THEN ' and forced' ELSE '' END END,
    'comment ' || quote_literal(obj_description(relations.oid, 'pg_class')),
    CASE WHEN relkind IN ('v', 'm') THEN E'as\n' || pg_get_viewdef(relations.oid) END) AS definition
FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
