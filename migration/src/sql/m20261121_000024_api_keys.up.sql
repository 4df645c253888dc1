-- Keys for programs, by their SHA-256. A key has a role, in the organization or in one team, and of
-- what the role may do those actions that its scopes name; none for all.
CREATE TABLE api_keys (
    org_id         uuid         NOT NULL,
    id             uuid         NOT NULL,
    team_id        uuid,
    name           varchar(255) NOT NULL,
    role           text         NOT NULL,
    scopes         jsonb        NOT NULL DEFAULT '[]',
    hash           bytea        NOT NULL,
    previous_hash  bytea,
    previous_until timestamptz,
    expires_at     timestamptz,
    created_at     timestamptz  NOT NULL DEFAULT now(),
    created_by     uuid,
    updated_at     timestamptz  NOT NULL DEFAULT now(),
    updated_by     uuid,
    deleted_at     timestamptz,
    deleted_by     uuid,
    version        bigint       NOT NULL DEFAULT 1,
    CONSTRAINT api_keys_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT api_keys_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT api_keys_org_id_team_id_fkey
        FOREIGN KEY (org_id, team_id) REFERENCES teams (org_id, id),
    CONSTRAINT api_keys_role_check CHECK (role IN ('admin', 'member', 'viewer')),
    CONSTRAINT api_keys_version_check CHECK (version >= 1)
);
CREATE UNIQUE INDEX api_keys_org_id_name_key ON api_keys (org_id, name) WHERE deleted_at IS NULL;
CREATE INDEX api_keys_org_id_created_at_idx ON api_keys (org_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX api_keys_org_id_team_id_idx ON api_keys (org_id, team_id);
CREATE INDEX api_keys_org_id_deleted_at_idx ON api_keys (org_id, deleted_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL;
CREATE TRIGGER api_keys_updated_at BEFORE UPDATE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- When a key was last used. A table of its own: being used is no change to the key.
CREATE TABLE api_key_uses (
    org_id       uuid        NOT NULL,
    id           uuid        NOT NULL,
    last_used_at timestamptz NOT NULL,
    CONSTRAINT api_key_uses_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT api_key_uses_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT api_key_uses_org_id_id_fkey
        FOREIGN KEY (org_id, id) REFERENCES api_keys (org_id, id) ON DELETE CASCADE
);

SELECT wall_in('api_keys');
SELECT wall_in('api_key_uses');
