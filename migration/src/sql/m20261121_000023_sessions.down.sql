DROP INDEX users_oidc_subject_idx;
ALTER TABLE users ALTER COLUMN oidc_provider TYPE varchar(100);
ALTER TABLE users DROP COLUMN token_generation;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
