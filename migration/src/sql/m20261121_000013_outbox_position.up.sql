-- The order of the events of an organization, one that a reader with a cursor can trust: whatever
-- it has not seen yet comes after what it has seen, although transactions commit in any order.
--
-- A position is taken at the end of a unit of work, after all its changes. So of two events of which
-- one could know the other (two versions of a row, say), the later one has the higher position.
-- What a reader must not do is read past a position that is taken and not yet committed:
-- outbox_horizon() says how far it may go.
--
-- Why not the order of ids or of transaction ids: docs/decisions/0005-the-order-of-events.md.
CREATE SEQUENCE outbox_position;

ALTER TABLE outbox ADD COLUMN position bigint;
UPDATE outbox SET position = numbered.position
    FROM (SELECT org_id, id, nextval('outbox_position') AS position
          FROM (SELECT org_id, id FROM outbox ORDER BY id) AS ordered) AS numbered
    WHERE outbox.org_id = numbered.org_id AND outbox.id = numbered.id;
ALTER TABLE outbox
    ALTER COLUMN position SET NOT NULL,
    ALTER COLUMN position SET DEFAULT nextval('outbox_position');
CREATE INDEX outbox_org_id_position_idx ON outbox (org_id, position);

-- Announces, before a transaction takes a position, that it will take one above the last one given:
-- a shared advisory lock on that number, held until the transaction is visible or gone. No two
-- writers wait for each other. The lock's key is 0x4252 in the upper 16 bits, the number below.
CREATE FUNCTION outbox_announce() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(
        (x'4252000000000000'::bigint)
        | coalesce(pg_sequence_last_value('public.outbox_position'), 0));
    RETURN NULL;
END
$$;
-- Once per statement, before its first row is made.
CREATE TRIGGER outbox_announce BEFORE INSERT ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_announce();

-- Returns the position up to which all events are settled. Read the events in a statement of its
-- own afterwards: what is settled by now is visible to a snapshot that is taken from now on.
-- The order of the two looks matters: whoever took a position before the first has announced it
-- before the second.
CREATE FUNCTION outbox_horizon() RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog
AS $$
DECLARE
    last_given bigint := coalesce(pg_sequence_last_value('public.outbox_position'), 0);
    announced  bigint;
BEGIN
    SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) INTO announced
    FROM pg_locks AS held
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND mode = 'ShareLock'
      -- Anybody may take such a lock; only whoever may write events can mean it.
      AND EXISTS (SELECT FROM pg_stat_get_activity(held.pid) AS who
                  WHERE has_table_privilege(who.usesysid, 'public.outbox', 'INSERT'))
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid::bigint >> 16 = x'4252'::bigint;
    RETURN least(last_given, announced);
END
$$;

-- Returns an organization's events after a position, in order and without gaps to come. Volatile, so
-- that each of its statements has a snapshot of its own.
CREATE FUNCTION events_after(organization uuid, after bigint, most bigint) RETURNS SETOF outbox
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog
AS $$
DECLARE
    horizon bigint := public.outbox_horizon();
BEGIN
    RETURN QUERY SELECT * FROM public.outbox
        WHERE org_id = organization AND position > after AND position <= horizon
        ORDER BY position LIMIT most;
END
$$;
