-- Tells how far the order of events is settled, and which of the organizations that are asked about have
-- events between what they have seen and there. One question serves all readers of a process, and wakes
-- those alone who have something to read. Volatile, so that each of its statements has a snapshot of its own:
-- what is settled is visible to the next.
--
-- It has no rights of its own: it becomes the tenant of each organization in turn, as its caller can.
CREATE FUNCTION events_settled(asked jsonb) RETURNS TABLE (horizon bigint, organization uuid)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog
AS $$
DECLARE
    settled bigint := public.outbox_horizon();
    reader  record;
BEGIN
    horizon := settled;
    RETURN NEXT;
    FOR reader IN SELECT * FROM jsonb_to_recordset(asked) AS readers(organization uuid, seen bigint) LOOP
        CONTINUE WHEN reader.seen >= settled;
        PERFORM set_config('app.org_id', reader.organization::text, true);
        IF EXISTS (SELECT FROM public.outbox
                   WHERE org_id = reader.organization AND position > reader.seen AND position <= settled) THEN
            organization := reader.organization;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
ALTER FUNCTION events_settled(jsonb) OWNER TO "brownie-migrator";
REVOKE ALL ON FUNCTION events_settled(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION events_settled(jsonb) TO "brownie-server";
