ALTER TABLE stats_default DISABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log_default DISABLE ROW LEVEL SECURITY;
ALTER TABLE outbox_default DISABLE ROW LEVEL SECURITY;
DROP FUNCTION expired_partitions(regclass, timestamptz);
DROP FUNCTION make_partitions(integer);
DROP FUNCTION make_partition(regclass, date);
DROP FUNCTION lowest_id_at(timestamptz);
