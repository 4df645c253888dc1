-- Who has come in. A session begins with a log-in and ends with a log-out, by itself, or when its
-- refresh token is shown a second time.
CREATE TABLE sessions (
    org_id       uuid        NOT NULL,
    id           uuid        NOT NULL,
    user_id      uuid        NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    CONSTRAINT sessions_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT sessions_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT sessions_org_id_user_id_fkey
        FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_org_id_user_id_idx ON sessions (org_id, user_id);
CREATE INDEX sessions_org_id_expires_at_idx ON sessions (org_id, expires_at);

-- The refresh tokens of a session, by their SHA-256: each is used once.
CREATE TABLE refresh_tokens (
    org_id     uuid        NOT NULL,
    id         uuid        NOT NULL,
    session_id uuid        NOT NULL,
    hash       bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    used_at    timestamptz,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT refresh_tokens_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT refresh_tokens_org_id_session_id_fkey
        FOREIGN KEY (org_id, session_id) REFERENCES sessions (org_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX refresh_tokens_org_id_hash_key ON refresh_tokens (org_id, hash);
CREATE INDEX refresh_tokens_org_id_session_id_idx ON refresh_tokens (org_id, session_id);

-- Access tokens name the generation they are of: one step, and all of a user's are void.
ALTER TABLE users ADD COLUMN token_generation bigint NOT NULL DEFAULT 0;

-- Not led by org_id: at a log-in by an issuer the tenant is not known yet.
CREATE INDEX users_oidc_subject_idx ON users (oidc_subject)
    WHERE deleted_at IS NULL AND oidc_subject IS NOT NULL;
-- An issuer is a URL.
ALTER TABLE users ALTER COLUMN oidc_provider TYPE varchar(500);

SELECT wall_in('sessions');
SELECT wall_in('refresh_tokens');
