CREATE TABLE agent_configs (
    org_id                    uuid         NOT NULL,
    id                        uuid         NOT NULL,
    team_id                   uuid         NOT NULL,
    name                      varchar(255) NOT NULL,
    description               text,
    agent_type                text         NOT NULL,
    is_active                 boolean      NOT NULL DEFAULT true,
    config_yaml               text,
    config_json               jsonb,
    config_version            varchar(50),
    config                    jsonb        NOT NULL DEFAULT '{}',
    execution_timeout_seconds integer      NOT NULL DEFAULT 300,
    max_retries               integer      NOT NULL DEFAULT 3,
    retry_delay_seconds       integer      NOT NULL DEFAULT 60,
    triggers                  jsonb        NOT NULL DEFAULT '{}',
    conditions                jsonb        NOT NULL DEFAULT '{}',
    tags                      jsonb        NOT NULL DEFAULT '[]',
    config_metadata           jsonb        NOT NULL DEFAULT '{}',
    created_at                timestamptz  NOT NULL DEFAULT now(),
    created_by                uuid,
    updated_at                timestamptz  NOT NULL DEFAULT now(),
    updated_by                uuid,
    deleted_at                timestamptz,
    deleted_by                uuid,
    version                   bigint       NOT NULL DEFAULT 1,
    CONSTRAINT agent_configs_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT agent_configs_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT agent_configs_org_id_team_id_fkey
        FOREIGN KEY (org_id, team_id) REFERENCES teams (org_id, id),
    CONSTRAINT agent_configs_agent_type_check CHECK (agent_type IN
        ('incident_response', 'monitoring', 'analysis', 'notification', 'custom')),
    CONSTRAINT agent_configs_execution_timeout_seconds_check CHECK (execution_timeout_seconds >= 1),
    CONSTRAINT agent_configs_max_retries_check CHECK (max_retries >= 0),
    CONSTRAINT agent_configs_retry_delay_seconds_check CHECK (retry_delay_seconds >= 1),
    CONSTRAINT agent_configs_version_check CHECK (version >= 1)
);
CREATE UNIQUE INDEX agent_configs_org_id_team_id_name_key ON agent_configs (org_id, team_id, name)
    WHERE deleted_at IS NULL;
CREATE INDEX agent_configs_org_id_team_id_created_at_idx
    ON agent_configs (org_id, team_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE TRIGGER agent_configs_updated_at BEFORE UPDATE ON agent_configs
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
