-- Without NOT NULL: PostgreSQL 18 has constraints for it, 17 has not, and the columns say it. The
-- definition ends with NOT VALID or NOT ENFORCED where that is so. A foreign key is kept by triggers,
-- and somebody may have disabled those.
SELECT label || '.' || quote_ident(conname) AS name, concat_ws(', ',
    pg_get_constraintdef(pg_constraint.oid),
    CASE WHEN EXISTS (SELECT FROM pg_trigger WHERE tgconstraint = pg_constraint.oid AND tgenabled <> 'O')
        THEN 'with its triggers disabled' END) AS definition
FROM relations JOIN pg_constraint ON conrelid = relations.oid
WHERE contype IN ('c', 'f', 'p', 'u', 'x') AND conparentid = 0
    AND NOT (relispartition AND coninhcount > 0)
