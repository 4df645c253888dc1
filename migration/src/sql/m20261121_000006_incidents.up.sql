-- One table for both worlds: the service's priority and the monitoring hub's severity and source.
CREATE TABLE incidents (
    org_id                  uuid         NOT NULL,
    id                      uuid         NOT NULL,
    team_id                 uuid         NOT NULL,
    title                   varchar(500) NOT NULL,
    description             text,
    status                  text         NOT NULL DEFAULT 'open',
    priority                text         NOT NULL DEFAULT 'medium',
    severity                text         NOT NULL DEFAULT 'medium',
    source                  varchar(255),
    assigned_to             uuid,
    started_at              timestamptz,
    resolved_at             timestamptz,
    closed_at               timestamptz,
    response_time_minutes   integer,
    resolution_time_minutes integer,
    tags                    jsonb        NOT NULL DEFAULT '[]',
    incident_metadata       jsonb        NOT NULL DEFAULT '{}',
    idempotency_key         varchar(255),
    created_at              timestamptz  NOT NULL DEFAULT now(),
    created_by              uuid,
    updated_at              timestamptz  NOT NULL DEFAULT now(),
    updated_by              uuid,
    deleted_at              timestamptz,
    deleted_by              uuid,
    version                 bigint       NOT NULL DEFAULT 1,
    CONSTRAINT incidents_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT incidents_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT incidents_org_id_team_id_fkey
        FOREIGN KEY (org_id, team_id) REFERENCES teams (org_id, id),
    CONSTRAINT incidents_org_id_assigned_to_fkey
        FOREIGN KEY (org_id, assigned_to) REFERENCES users (org_id, id),
    CONSTRAINT incidents_status_check CHECK
        (status IN ('open', 'investigating', 'in_progress', 'resolved', 'closed', 'cancelled')),
    CONSTRAINT incidents_priority_check CHECK (priority IN ('low', 'medium', 'high', 'critical')),
    CONSTRAINT incidents_severity_check CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    CONSTRAINT incidents_response_time_minutes_check CHECK (response_time_minutes >= 0),
    CONSTRAINT incidents_resolution_time_minutes_check CHECK (resolution_time_minutes >= 0),
    CONSTRAINT incidents_version_check CHECK (version >= 1)
);
CREATE UNIQUE INDEX incidents_org_id_idempotency_key_key ON incidents (org_id, idempotency_key)
    WHERE deleted_at IS NULL AND idempotency_key IS NOT NULL;
CREATE INDEX incidents_org_id_team_id_created_at_idx
    ON incidents (org_id, team_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX incidents_org_id_team_id_status_created_at_idx
    ON incidents (org_id, team_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX incidents_org_id_assigned_to_idx ON incidents (org_id, assigned_to)
    WHERE deleted_at IS NULL;
CREATE INDEX incidents_org_id_source_created_at_idx ON incidents (org_id, source, created_at DESC)
    WHERE deleted_at IS NULL;
CREATE TRIGGER incidents_updated_at BEFORE UPDATE ON incidents
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
