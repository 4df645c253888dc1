-- Makes of original.sql what the ORM makes by itself (CONTRACT 2.10, variant A): no ledger, unique
-- indexes instead of the unique constraints, four indexes of configs less, times without a zone.
DROP TABLE alembic_version;
ALTER TABLE organizations DROP CONSTRAINT organizations_slug_key;
ALTER TABLE users DROP CONSTRAINT users_email_key, DROP CONSTRAINT users_username_key,
    DROP CONSTRAINT users_oidc_subject_key;
ALTER TABLE incidents DROP CONSTRAINT incidents_idempotency_key_key;
DROP INDEX ix_organizations_slug, ix_users_email, ix_users_username, ix_users_oidc_subject,
    ix_incidents_idempotency_key;
CREATE UNIQUE INDEX ix_organizations_slug ON organizations (slug);
CREATE UNIQUE INDEX ix_users_email ON users (email);
CREATE UNIQUE INDEX ix_users_username ON users (username);
CREATE UNIQUE INDEX ix_users_oidc_subject ON users (oidc_subject);
CREATE UNIQUE INDEX ix_incidents_idempotency_key ON incidents (idempotency_key);
DROP INDEX ix_configs_config_type, ix_configs_is_active, ix_configs_priority, ix_configs_status;
ALTER TABLE incidents
    ALTER COLUMN started_at TYPE timestamp,
    ALTER COLUMN resolved_at TYPE timestamp,
    ALTER COLUMN closed_at TYPE timestamp;
COMMENT ON COLUMN incidents.title IS 'What the incident is about';
COMMENT ON COLUMN configs.priority IS 'The larger wins';
