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
    reference record;
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
    -- References now, while it is empty: attaching would check them as the owner, whom row-level
    -- security will hold, and find no organization at all.
    FOR reference IN
        SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
        WHERE conrelid = parent AND contype = 'f'
    LOOP
        EXECUTE format('ALTER TABLE public.%I ADD CONSTRAINT %I %s',
            part, reference.conname, reference.definition);
    END LOOP;
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

-- Makes the partitions of all time tables from this month on, and those of past months for which
-- the default partition holds rows. Returns the names of the new ones.
CREATE FUNCTION make_partitions(months_ahead integer) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    time_table record;
    wanted     timestamp;
    made       text;
BEGIN
    FOR time_table IN
        SELECT oid::regclass AS name, relname || '_default' AS spare FROM pg_class
        WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace ORDER BY relname
    LOOP
        FOR wanted IN
            EXECUTE format($query$
                SELECT generate_series($1, $1 + make_interval(months => $2), interval '1 month')
                UNION
                SELECT DISTINCT date_trunc('month', to_timestamp(
                    ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
                    AT TIME ZONE 'UTC')
                FROM public.%I WHERE substr(id::text, 15, 1) = '7' AND id < lowest_id_at(now())
                ORDER BY 1 $query$, time_table.spare)
            USING this_month, months_ahead
        LOOP
            made := make_partition(time_table.name, wanted::date);
            IF made IS NOT NULL THEN
                RETURN NEXT made;
            END IF;
        END LOOP;
    END LOOP;
END
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
