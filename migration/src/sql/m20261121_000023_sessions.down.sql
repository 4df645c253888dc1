ALTER TABLE users DROP COLUMN token_generation;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
