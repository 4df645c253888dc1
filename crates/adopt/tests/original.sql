-- The database of the original at version 0.1.0, as its one Alembic migration (d607e412e7b0) leaves
-- it. From the facts of CONTRACT section 2: 7 tables, 6 enum types, 30 plain indexes, 6 unique
-- constraints, 13 foreign keys.
CREATE TYPE userrole AS ENUM ('ADMIN', 'MEMBER', 'VIEWER');
CREATE TYPE incidentstatus AS ENUM ('OPEN', 'IN_PROGRESS', 'RESOLVED', 'CLOSED', 'CANCELLED');
CREATE TYPE incidentpriority AS ENUM ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL');
CREATE TYPE agenttype AS ENUM
    ('INCIDENT_RESPONSE', 'MONITORING', 'ANALYSIS', 'NOTIFICATION', 'CUSTOM');
CREATE TYPE configtype AS ENUM ('ORGANIZATION', 'TEAM', 'ALERT', 'AGENT', 'GLOBAL');
CREATE TYPE configstatus AS ENUM ('DRAFT', 'ACTIVE', 'DEPRECATED', 'ARCHIVED');

CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES ('d607e412e7b0');

CREATE TABLE organizations (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    name varchar(255) NOT NULL,
    slug varchar(100) NOT NULL,
    description text,
    is_active boolean NOT NULL,
    config_yaml text,
    config_json json,
    config_version varchar(50),
    settings json,
    max_teams integer NOT NULL,
    max_users_per_team integer NOT NULL,
    CONSTRAINT organizations_pkey PRIMARY KEY (id),
    CONSTRAINT organizations_name_key UNIQUE (name),
    CONSTRAINT organizations_slug_key UNIQUE (slug)
);
CREATE INDEX ix_organizations_slug ON organizations (slug);

CREATE TABLE teams (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    org_id uuid NOT NULL,
    created_by uuid,
    updated_by uuid,
    name varchar(255) NOT NULL,
    slug varchar(100) NOT NULL,
    description text,
    is_active boolean NOT NULL,
    config_yaml text,
    config_json json,
    config_version varchar(50),
    settings json,
    permissions json,
    organization_id uuid NOT NULL,
    CONSTRAINT teams_pkey PRIMARY KEY (id),
    CONSTRAINT teams_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_teams_org_id ON teams (org_id);
CREATE INDEX ix_teams_organization_id ON teams (organization_id);

CREATE TABLE users (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    org_id uuid NOT NULL,
    created_by uuid,
    updated_by uuid,
    deleted_at timestamptz,
    deleted_by uuid,
    email varchar(255) NOT NULL,
    username varchar(100) NOT NULL,
    full_name varchar(255),
    avatar_url varchar(500),
    password_hash varchar(255),
    is_active boolean NOT NULL,
    is_verified boolean NOT NULL,
    oidc_subject varchar(255),
    oidc_provider varchar(100),
    team_id uuid NOT NULL,
    role userrole NOT NULL,
    preferences json,
    organization_id uuid NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_username_key UNIQUE (username),
    CONSTRAINT users_oidc_subject_key UNIQUE (oidc_subject),
    CONSTRAINT users_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT users_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE
);
CREATE INDEX ix_users_email ON users (email);
CREATE INDEX ix_users_oidc_subject ON users (oidc_subject);
CREATE INDEX ix_users_org_id ON users (org_id);
CREATE INDEX ix_users_organization_id ON users (organization_id);
CREATE INDEX ix_users_team_id ON users (team_id);
CREATE INDEX ix_users_username ON users (username);

CREATE TABLE incidents (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    org_id uuid NOT NULL,
    created_by uuid,
    updated_by uuid,
    version integer NOT NULL,
    idempotency_key varchar(255),
    title varchar(500) NOT NULL,
    description text,
    status incidentstatus NOT NULL,
    priority incidentpriority NOT NULL,
    assigned_to uuid,
    started_at timestamptz,
    resolved_at timestamptz,
    closed_at timestamptz,
    tags json,
    incident_metadata json,
    response_time_minutes integer,
    resolution_time_minutes integer,
    team_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    CONSTRAINT incidents_pkey PRIMARY KEY (id),
    CONSTRAINT incidents_idempotency_key_key UNIQUE (idempotency_key),
    CONSTRAINT incidents_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT incidents_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE,
    CONSTRAINT incidents_assigned_to_fkey FOREIGN KEY (assigned_to) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT incidents_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX ix_incidents_assigned_to ON incidents (assigned_to);
CREATE INDEX ix_incidents_created_by ON incidents (created_by);
CREATE INDEX ix_incidents_idempotency_key ON incidents (idempotency_key);
CREATE INDEX ix_incidents_org_id ON incidents (org_id);
CREATE INDEX ix_incidents_organization_id ON incidents (organization_id);
CREATE INDEX ix_incidents_team_id ON incidents (team_id);

CREATE TABLE agent_configs (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    org_id uuid NOT NULL,
    created_by uuid,
    updated_by uuid,
    version integer NOT NULL,
    name varchar(255) NOT NULL,
    description text,
    agent_type agenttype NOT NULL,
    is_active boolean NOT NULL,
    config_yaml text,
    config_json json,
    config_version varchar(50),
    config json NOT NULL,
    execution_timeout_seconds integer NOT NULL,
    max_retries integer NOT NULL,
    retry_delay_seconds integer NOT NULL,
    triggers json,
    conditions json,
    tags json,
    config_metadata json,
    team_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    CONSTRAINT agent_configs_pkey PRIMARY KEY (id),
    CONSTRAINT agent_configs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT agent_configs_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE
);
CREATE INDEX ix_agent_configs_org_id ON agent_configs (org_id);
CREATE INDEX ix_agent_configs_organization_id ON agent_configs (organization_id);
CREATE INDEX ix_agent_configs_team_id ON agent_configs (team_id);

CREATE TABLE configs (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    org_id uuid NOT NULL,
    created_by uuid,
    updated_by uuid,
    version integer NOT NULL,
    name varchar(255) NOT NULL,
    description text,
    config_type configtype NOT NULL,
    status configstatus NOT NULL,
    name_pattern varchar(500),
    severity_pattern varchar(500),
    team_pattern varchar(500),
    config_yaml text,
    config_json json,
    config_version varchar(50),
    priority integer NOT NULL,
    is_global boolean NOT NULL,
    is_active boolean NOT NULL,
    tags json,
    config_metadata json,
    team_id uuid,
    organization_id uuid NOT NULL,
    CONSTRAINT configs_pkey PRIMARY KEY (id),
    CONSTRAINT configs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT configs_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE
);
CREATE INDEX ix_configs_config_type ON configs (config_type);
CREATE INDEX ix_configs_is_active ON configs (is_active);
CREATE INDEX ix_configs_org_id ON configs (org_id);
CREATE INDEX ix_configs_organization_id ON configs (organization_id);
CREATE INDEX ix_configs_priority ON configs (priority);
CREATE INDEX ix_configs_status ON configs (status);
CREATE INDEX ix_configs_team_id ON configs (team_id);

CREATE TABLE stats (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    org_id uuid NOT NULL,
    metric_name varchar(255) NOT NULL,
    metric_type varchar(50) NOT NULL,
    value double precision NOT NULL,
    count integer,
    timestamp timestamptz NOT NULL,
    time_window varchar(50),
    labels json,
    description text,
    unit varchar(50),
    team_id uuid,
    organization_id uuid NOT NULL,
    CONSTRAINT stats_pkey PRIMARY KEY (id),
    CONSTRAINT stats_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT stats_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE
);
CREATE INDEX ix_stats_metric_name ON stats (metric_name);
CREATE INDEX ix_stats_org_id ON stats (org_id);
CREATE INDEX ix_stats_organization_id ON stats (organization_id);
CREATE INDEX ix_stats_team_id ON stats (team_id);
CREATE INDEX ix_stats_timestamp ON stats (timestamp);
