-- A partition has the triggers of its table, and is mentioned when one of them is not in the same state.
SELECT label || '.' || quote_ident(own.tgname) AS name, concat_ws(', ',
    pg_get_triggerdef(own.oid),
    CASE own.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled on replicas'
        WHEN 'A' THEN 'enabled always' END) AS definition
FROM relations JOIN pg_trigger AS own ON own.tgrelid = relations.oid
    LEFT JOIN pg_trigger AS parent ON parent.oid = own.tgparentid
WHERE NOT own.tgisinternal AND own.tgenabled IS DISTINCT FROM parent.tgenabled
