-- Who may do what with which table, those to come included. brownie-migrator owns all of them,
-- whoever ran the migrations so far.
GRANT USAGE, CREATE ON SCHEMA public TO "brownie-migrator";
GRANT USAGE ON SCHEMA public TO "brownie-server", "brownie-backup", "brownie-monitor";
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, oid::regclass::text AS name
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')
          AND relowner <> '"brownie-migrator"'::regrole
        UNION ALL
        SELECT 'FUNCTION', oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
          AND proowner NOT IN ('"brownie-migrator"'::regrole, '"brownie-lookup"'::regrole)
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO "brownie-migrator"', thing.kind, thing.name);
        IF thing.kind = 'FUNCTION' THEN
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', thing.name);
        END IF;
    END LOOP;
END
$$;

-- The server deletes nothing: it marks rows deleted, and the migrator's purge removes them.
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO "brownie-server";
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO "brownie-server";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO "brownie-backup";
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO "brownie-backup";
-- What was recorded is not rewritten, and the ledger is the migrator's.
REVOKE UPDATE ON audit_log, outbox FROM "brownie-server";
REVOKE INSERT, UPDATE ON seaql_migrations FROM "brownie-server";
GRANT SELECT ON seaql_migrations TO "brownie-monitor";
-- A partition is reached through its table.
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT oid FROM pg_class
        WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM "brownie-server", "brownie-backup"', part);
    END LOOP;
END
$$;

ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE ON TABLES TO "brownie-server";
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" IN SCHEMA public
    GRANT SELECT ON TABLES TO "brownie-backup";
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO "brownie-server";
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" IN SCHEMA public
    GRANT SELECT ON SEQUENCES TO "brownie-backup";
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator"
    REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_horizon(), events_after(uuid, bigint, bigint) TO "brownie-server";

-- From here on the owner acts, in this run as in those to come.
SET ROLE "brownie-migrator";
