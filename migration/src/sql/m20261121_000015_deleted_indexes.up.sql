-- For those who look for what was deleted: to bring it back, or to remove it for good.
CREATE INDEX teams_org_id_deleted_at_idx ON teams (org_id, deleted_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX users_org_id_deleted_at_idx ON users (org_id, deleted_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX memberships_org_id_deleted_at_idx ON memberships (org_id, deleted_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX incidents_org_id_deleted_at_idx ON incidents (org_id, deleted_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX agent_configs_org_id_deleted_at_idx ON agent_configs (org_id, deleted_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX configs_org_id_deleted_at_idx ON configs (org_id, deleted_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX stats_org_id_deleted_at_idx ON stats (org_id, deleted_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL;
