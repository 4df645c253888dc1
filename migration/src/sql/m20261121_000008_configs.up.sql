CREATE TABLE configs (
    org_id           uuid         NOT NULL,
    id               uuid         NOT NULL,
    team_id          uuid,
    name             varchar(255) NOT NULL,
    description      text,
    config_type      text         NOT NULL,
    status           text         NOT NULL DEFAULT 'draft',
    name_pattern     varchar(500),
    severity_pattern varchar(500),
    team_pattern     varchar(500),
    config_yaml      text,
    config_json      jsonb,
    config_version   varchar(50),
    priority         integer      NOT NULL DEFAULT 0,
    is_global        boolean      NOT NULL DEFAULT false,
    is_active        boolean      NOT NULL DEFAULT true,
    tags             jsonb        NOT NULL DEFAULT '[]',
    config_metadata  jsonb        NOT NULL DEFAULT '{}',
    created_at       timestamptz  NOT NULL DEFAULT now(),
    created_by       uuid,
    updated_at       timestamptz  NOT NULL DEFAULT now(),
    updated_by       uuid,
    deleted_at       timestamptz,
    deleted_by       uuid,
    version          bigint       NOT NULL DEFAULT 1,
    CONSTRAINT configs_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT configs_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT configs_org_id_team_id_fkey
        FOREIGN KEY (org_id, team_id) REFERENCES teams (org_id, id),
    CONSTRAINT configs_config_type_check CHECK
        (config_type IN ('organization', 'team', 'alert', 'agent', 'global')),
    CONSTRAINT configs_status_check CHECK (status IN ('draft', 'active', 'deprecated', 'archived')),
    CONSTRAINT configs_version_check CHECK (version >= 1)
);
CREATE INDEX configs_org_id_created_at_idx ON configs (org_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
-- Resolution reads what is in use, the strongest first.
CREATE INDEX configs_org_id_status_priority_idx ON configs (org_id, status, priority DESC)
    WHERE deleted_at IS NULL AND is_active;
CREATE TRIGGER configs_updated_at BEFORE UPDATE ON configs
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
