-- The roles, for a new cluster: run by the superuser on its socket, once for each database of ours.
-- None has a password. brownie-migrator then makes everything else, and needs to be no superuser.
--
--     psql -v database=brownie_metadata -f roles.sql

CREATE ROLE "brownie-migrator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE ROLE "brownie-server" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE ROLE "brownie-backup" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE ROLE "brownie-monitor" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE ROLE "brownie-lookup" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;

-- The migrator hands to this one the functions that look for a credential before its tenant is known.
GRANT "brownie-lookup" TO "brownie-migrator";
GRANT pg_monitor TO "brownie-monitor";

CREATE DATABASE :"database" OWNER "brownie-migrator" TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database"
    TO "brownie-server", "brownie-backup", "brownie-monitor";

ALTER ROLE postgres PASSWORD NULL;
