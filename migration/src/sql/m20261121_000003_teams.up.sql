CREATE TABLE teams (
    org_id         uuid         NOT NULL,
    id             uuid         NOT NULL,
    name           varchar(255) NOT NULL,
    slug           varchar(100) NOT NULL,
    description    text,
    is_active      boolean      NOT NULL DEFAULT true,
    config_yaml    text,
    config_json    jsonb,
    config_version varchar(50),
    settings       jsonb        NOT NULL DEFAULT '{}',
    permissions    jsonb        NOT NULL DEFAULT '{}',
    created_at     timestamptz  NOT NULL DEFAULT now(),
    created_by     uuid,
    updated_at     timestamptz  NOT NULL DEFAULT now(),
    updated_by     uuid,
    deleted_at     timestamptz,
    deleted_by     uuid,
    version        bigint       NOT NULL DEFAULT 1,
    CONSTRAINT teams_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT teams_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT teams_slug_check CHECK (slug ~ '^[a-z0-9-]+$'),
    CONSTRAINT teams_version_check CHECK (version >= 1)
);
CREATE UNIQUE INDEX teams_org_id_name_key ON teams (org_id, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX teams_org_id_slug_key ON teams (org_id, slug) WHERE deleted_at IS NULL;
CREATE INDEX teams_org_id_created_at_idx ON teams (org_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE TRIGGER teams_updated_at BEFORE UPDATE ON teams
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
