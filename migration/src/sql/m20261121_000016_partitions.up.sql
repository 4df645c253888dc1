-- Partitions of the tables that grow with time: one for each month of ids (a UUIDv7 begins with its
-- milliseconds). brownie-migrator makes them ahead of time and drops the old ones.

-- Returns the lowest id that can be made at an instant.
CREATE FUNCTION lowest_id_at(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
        || repeat('0', 20))::uuid
$$;

-- Makes the partition of one month, if it is not there, and moves what the default partition holds
-- for it. Returns its name if it was made.
CREATE FUNCTION make_partition(parent regclass, month date) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
DECLARE
    base   text := (SELECT relname FROM pg_class WHERE oid = parent);
    part   text := base || to_char(month, '"_"YYYY"_"MM');
    spare  text := base || '_default';
    other  text;
    lowest uuid := lowest_id_at(date_trunc('month', month::timestamp) AT TIME ZONE 'UTC');
    beyond uuid := lowest_id_at(
        (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC');
BEGIN
    IF to_regclass('public.' || quote_ident(part)) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Nobody writes to the default partition between the move and the attaching.
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', spare);
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        part, base);
    -- Whoever asks a partition by its own name gets past its parent's policies, so nobody may.
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format(
        'WITH moved AS (DELETE FROM public.%I WHERE id >= %L AND id < %L RETURNING *)
         INSERT INTO public.%I SELECT * FROM moved', spare, lowest, beyond, part);
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        base, part, lowest, beyond);
    -- It is the parent's owner's, whoever makes it, and nobody else has a way to it: what default
    -- privileges gave is taken back.
    EXECUTE format('ALTER TABLE public.%I OWNER TO %I', part,
        (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = parent));
    FOR other IN
        SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = to_regclass('public.' || quote_ident(part))
          AND grantee <> relowner AND grantee <> 0
    LOOP
        EXECUTE format('REVOKE ALL ON public.%I FROM %s', part, other);
    END LOOP;
    RETURN part;
END
$$;

-- Makes the partitions of all time tables from this month on. Returns the names of the new ones.
CREATE FUNCTION make_partitions(months_ahead integer) RETURNS SETOF text
LANGUAGE sql
SET search_path = pg_catalog, public
AS $$
    SELECT made FROM (
        SELECT make_partition(time_table.oid::regclass, month::date) AS made
        FROM pg_class AS time_table,
             generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                             now() AT TIME ZONE 'UTC' + make_interval(months => months_ahead),
                             interval '1 month') AS month
        WHERE time_table.relkind = 'p' AND time_table.relnamespace = 'public'::regnamespace
        ORDER BY time_table.relname, month
    ) AS months WHERE made IS NOT NULL
$$;

-- Returns the monthly partitions of a time table that hold nothing younger than an instant.
CREATE FUNCTION expired_partitions(parent regclass, instant timestamptz) RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path = pg_catalog, public
AS $$
    SELECT part.relname::text
    FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
    WHERE inhparent = parent
      AND substring(pg_get_expr(part.relpartbound, part.oid) FROM 'TO \(''([0-9a-f-]+)''\)')::uuid
          <= lowest_id_at(instant)
    ORDER BY part.relname
$$;

ALTER TABLE stats_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox_default ENABLE ROW LEVEL SECURITY;
SELECT make_partitions(3);
