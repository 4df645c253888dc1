-- What a change changed: {"name": {"before": "a", "after": "b"}}. Null where there is nothing to
-- say, as for a deletion, which changes only that.
ALTER TABLE audit_log ADD COLUMN changes jsonb;
