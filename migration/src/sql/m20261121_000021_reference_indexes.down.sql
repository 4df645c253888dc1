DROP INDEX stats_org_id_team_id_timestamp_idx;
CREATE INDEX stats_org_id_team_id_timestamp_idx ON stats (org_id, team_id, timestamp DESC, id DESC)
    WHERE deleted_at IS NULL;
DROP INDEX configs_org_id_team_id_idx;
DROP INDEX agent_configs_org_id_team_id_created_at_idx;
CREATE INDEX agent_configs_org_id_team_id_created_at_idx
    ON agent_configs (org_id, team_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
DROP INDEX memberships_org_id_team_id_idx;
DROP INDEX memberships_org_id_user_id_idx;
CREATE INDEX memberships_org_id_user_id_idx ON memberships (org_id, user_id)
    WHERE deleted_at IS NULL;
DROP INDEX users_org_id_team_id_idx;
CREATE INDEX users_org_id_team_id_idx ON users (org_id, team_id) WHERE deleted_at IS NULL;
DROP INDEX incidents_org_id_assigned_to_idx;
CREATE INDEX incidents_org_id_assigned_to_idx ON incidents (org_id, assigned_to)
    WHERE deleted_at IS NULL;
DROP INDEX incidents_org_id_team_id_created_at_idx;
CREATE INDEX incidents_org_id_team_id_created_at_idx
    ON incidents (org_id, team_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
