-- Who may do what with which table, those to come included. brownie-migrator owns all of them,
-- whoever ran the migrations so far.
GRANT USAGE, CREATE ON SCHEMA public TO "brownie-migrator";
GRANT USAGE ON SCHEMA public TO "brownie-server", "brownie-backup", "brownie-monitor";
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- Ours, that is: what an extension brought stays as it is.
CREATE TEMPORARY TABLE ours ON COMMIT DROP AS
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, oid::regclass::text AS name
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    UNION ALL
    SELECT 'FUNCTION', oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proowner <> '"brownie-lookup"'::regrole
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e');
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN SELECT * FROM ours LOOP
        EXECUTE format('ALTER %s %s OWNER TO "brownie-migrator"', thing.kind, thing.name);
        CASE thing.kind
            -- The server deletes nothing: it marks rows deleted, and the migrator's purge removes them.
            WHEN 'TABLE' THEN
                EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %s TO "brownie-server"', thing.name);
                EXECUTE format('GRANT SELECT ON %s TO "brownie-backup"', thing.name);
            WHEN 'SEQUENCE' THEN
                EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE %s TO "brownie-server"', thing.name);
                EXECUTE format('GRANT SELECT ON SEQUENCE %s TO "brownie-backup"', thing.name);
            WHEN 'FUNCTION' THEN
                EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', thing.name);
        END CASE;
    END LOOP;
END
$$;

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
