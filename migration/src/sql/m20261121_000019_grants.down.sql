RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" IN SCHEMA public
    REVOKE ALL ON TABLES FROM "brownie-server", "brownie-backup";
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" IN SCHEMA public
    REVOKE ALL ON SEQUENCES FROM "brownie-server", "brownie-backup";
ALTER DEFAULT PRIVILEGES FOR ROLE "brownie-migrator" GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "brownie-server", "brownie-backup", "brownie-monitor";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "brownie-server", "brownie-backup";
REVOKE USAGE ON SCHEMA public FROM "brownie-server", "brownie-backup", "brownie-monitor";
