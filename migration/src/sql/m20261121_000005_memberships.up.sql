-- Roles in teams other than a user's home team.
CREATE TABLE memberships (
    org_id     uuid        NOT NULL,
    id         uuid        NOT NULL,
    team_id    uuid        NOT NULL,
    user_id    uuid        NOT NULL,
    role       text        NOT NULL DEFAULT 'member',
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by uuid,
    deleted_at timestamptz,
    deleted_by uuid,
    version    bigint      NOT NULL DEFAULT 1,
    CONSTRAINT memberships_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT memberships_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT memberships_org_id_team_id_fkey
        FOREIGN KEY (org_id, team_id) REFERENCES teams (org_id, id),
    CONSTRAINT memberships_org_id_user_id_fkey
        FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id),
    CONSTRAINT memberships_role_check CHECK (role IN ('admin', 'member', 'viewer')),
    CONSTRAINT memberships_version_check CHECK (version >= 1)
);
CREATE UNIQUE INDEX memberships_org_id_team_id_user_id_key
    ON memberships (org_id, team_id, user_id) WHERE deleted_at IS NULL;
CREATE INDEX memberships_org_id_user_id_idx ON memberships (org_id, user_id)
    WHERE deleted_at IS NULL;
CREATE TRIGGER memberships_updated_at BEFORE UPDATE ON memberships
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
