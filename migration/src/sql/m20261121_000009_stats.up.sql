-- Partitioned by id: a UUIDv7 begins with the time, and the key stays (org_id, id). See
-- docs/decisions/0003-partitions-by-id.md. The default partition takes what no other does.
CREATE TABLE stats (
    org_id      uuid             NOT NULL,
    id          uuid             NOT NULL,
    team_id     uuid,
    metric_name varchar(255)     NOT NULL,
    metric_type varchar(50)      NOT NULL,
    value       double precision NOT NULL,
    count       integer,
    timestamp   timestamptz      NOT NULL,
    time_window varchar(50),
    labels      jsonb            NOT NULL DEFAULT '{}',
    description text,
    unit        varchar(50),
    created_at  timestamptz      NOT NULL DEFAULT now(),
    created_by  uuid,
    updated_at  timestamptz      NOT NULL DEFAULT now(),
    updated_by  uuid,
    deleted_at  timestamptz,
    deleted_by  uuid,
    version     bigint           NOT NULL DEFAULT 1,
    CONSTRAINT stats_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT stats_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT stats_org_id_team_id_fkey FOREIGN KEY (org_id, team_id) REFERENCES teams (org_id, id),
    CONSTRAINT stats_count_check CHECK (count >= 0),
    CONSTRAINT stats_version_check CHECK (version >= 1)
) PARTITION BY RANGE (id);
CREATE TABLE stats_default PARTITION OF stats DEFAULT;
CREATE INDEX stats_org_id_timestamp_idx ON stats (org_id, timestamp DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX stats_org_id_team_id_timestamp_idx ON stats (org_id, team_id, timestamp DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX stats_org_id_metric_name_timestamp_idx
    ON stats (org_id, metric_name, timestamp DESC, id DESC) WHERE deleted_at IS NULL;
CREATE TRIGGER stats_updated_at BEFORE UPDATE ON stats
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
