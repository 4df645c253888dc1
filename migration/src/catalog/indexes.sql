-- Those of keys are theirs, and those of partitions their table's.
SELECT label || '.' || quote_ident(entry.relname) AS name, concat_ws(', ',
    pg_get_indexdef(indexrelid),
    CASE WHEN NOT (indisvalid AND indisready AND indislive) THEN 'invalid' END) AS definition
FROM relations JOIN pg_index ON indrelid = relations.oid JOIN pg_class AS entry ON entry.oid = indexrelid
WHERE NOT entry.relispartition
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
