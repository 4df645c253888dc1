RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" IN SCHEMA public
    REVOKE ALL ON TABLES FROM "brownie-server", "brownie-backup";
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" IN SCHEMA public
    REVOKE ALL ON SEQUENCES FROM "brownie-server", "brownie-backup";
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "brownie-server", "brownie-backup", "brownie-monitor";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "brownie-server", "brownie-backup";
REVOKE EXECUTE ON FUNCTION outbox_horizon(), events_after(uuid, bigint, bigint) FROM "brownie-server";
-- Things are whoever migrates's again: were they to stay their owner's, the next run would act as one
-- who may no longer use the schema.
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, oid::regclass::text AS name
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')
          AND relowner = '"brownie-migrator"'::regrole
        UNION ALL
        SELECT 'FUNCTION', oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proowner = '"brownie-migrator"'::regrole
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO CURRENT_USER', thing.kind, thing.name);
        IF thing.kind = 'FUNCTION' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', thing.name);
        END IF;
    END LOOP;
    -- Where PostgreSQL gives it of itself.
    IF current_setting('server_version_num')::integer < 150000 THEN
        GRANT CREATE ON SCHEMA public TO PUBLIC;
    END IF;
END
$$;
REVOKE ALL ON SCHEMA public
    FROM "brownie-migrator", "brownie-server", "brownie-backup", "brownie-monitor";
