-- Whoever removes a row asks whether anything refers to it: PostgreSQL does for each foreign key, and
-- the rows that are deleted but not yet removed count. An index of the live rows alone cannot answer
-- that, and each removed row would cost a walk through the whole organization.
DROP INDEX incidents_org_id_team_id_created_at_idx;
CREATE INDEX incidents_org_id_team_id_created_at_idx
    ON incidents (org_id, team_id, created_at DESC, id DESC);
DROP INDEX incidents_org_id_assigned_to_idx;
CREATE INDEX incidents_org_id_assigned_to_idx ON incidents (org_id, assigned_to)
    WHERE assigned_to IS NOT NULL;
DROP INDEX users_org_id_team_id_idx;
CREATE INDEX users_org_id_team_id_idx ON users (org_id, team_id);
DROP INDEX memberships_org_id_user_id_idx;
CREATE INDEX memberships_org_id_user_id_idx ON memberships (org_id, user_id);
CREATE INDEX memberships_org_id_team_id_idx ON memberships (org_id, team_id);
DROP INDEX agent_configs_org_id_team_id_created_at_idx;
CREATE INDEX agent_configs_org_id_team_id_created_at_idx
    ON agent_configs (org_id, team_id, created_at DESC, id DESC);
CREATE INDEX configs_org_id_team_id_idx ON configs (org_id, team_id) WHERE team_id IS NOT NULL;
DROP INDEX stats_org_id_team_id_timestamp_idx;
CREATE INDEX stats_org_id_team_id_timestamp_idx
    ON stats (org_id, team_id, timestamp DESC, id DESC);
