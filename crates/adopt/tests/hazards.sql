-- One hazard of each kind, planted in what rows.sql made. References are not checked here, as after a
-- restore that switched them off.
SET session_replication_role = replica;
CREATE FUNCTION pg_temp.id(kind text, n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT overlay(overlay(md5(kind || n)::text PLACING '4' FROM 13) PLACING 'a' FROM 17)::uuid $$;

-- org-mismatch
UPDATE incidents SET org_id = pg_temp.id('org', 2) WHERE id = pg_temp.id('incident', 1);
-- orphan-organization
UPDATE stats SET org_id = pg_temp.id('nowhere', 1), organization_id = pg_temp.id('nowhere', 1), team_id = NULL
    WHERE id = pg_temp.id('stat', 1);
-- orphan-team
UPDATE agent_configs SET team_id = pg_temp.id('noteam', 1) WHERE id = pg_temp.id('agent', 1);
-- foreign-team: of a user, a statistic and a configuration
UPDATE users SET team_id = pg_temp.id('team', 2) WHERE id = pg_temp.id('user', 101);
UPDATE stats SET team_id = pg_temp.id('team', 2) WHERE id = pg_temp.id('stat', 21);
UPDATE configs SET team_id = pg_temp.id('team', 2) WHERE id = pg_temp.id('config', 21);
-- orphan-assignee, foreign-assignee
UPDATE incidents SET assigned_to = pg_temp.id('nobody', 1) WHERE id = pg_temp.id('incident', 2);
UPDATE incidents SET assigned_to = pg_temp.id('user', 4) WHERE id = pg_temp.id('incident', 3);
-- deleted-user
UPDATE users SET deleted_at = '2025-11-20 12:00+00' WHERE id = pg_temp.id('user', 105);
-- slug, duplicate-slug, duplicate-name
UPDATE teams SET slug = 'Team_5' WHERE id = pg_temp.id('team', 5);
UPDATE teams SET slug = 'team-5' WHERE id = pg_temp.id('team', 25);
UPDATE teams SET name = 'Team 6' WHERE id = pg_temp.id('team', 26);
UPDATE organizations SET slug = 'ORGANIZATION-3' WHERE id = pg_temp.id('org', 4);
-- email-case, email, duplicate-email, username, duplicate-username
UPDATE users SET email = 'USER5@Example.com' WHERE id = pg_temp.id('user', 25);
UPDATE users SET email = 'nobody@localhost' WHERE id = pg_temp.id('user', 26);
UPDATE users SET username = 'user 27' WHERE id = pg_temp.id('user', 27);
UPDATE users SET username = 'USER_8' WHERE id = pg_temp.id('user', 28);
-- duplicate-agent-name
UPDATE agent_configs SET name = 'Agent 2' WHERE id = pg_temp.id('agent', 82);
-- text, long-text, null, document, tags, config-body
UPDATE incidents SET description = '' WHERE id = pg_temp.id('incident', 4);
UPDATE incidents SET title = E'two\tparts' WHERE id = pg_temp.id('incident', 5);
UPDATE incidents SET description = repeat('x', 70000) WHERE id = pg_temp.id('incident', 6);
UPDATE users SET avatar_url = 'file:///etc/passwd' WHERE id = pg_temp.id('user', 30);
UPDATE configs SET name_pattern = '(?<=a)b' WHERE id = pg_temp.id('config', 1);
UPDATE incidents SET tags = NULL, incident_metadata = 'null' WHERE id = pg_temp.id('incident', 7);
UPDATE incidents SET incident_metadata = '{"a": "\u0000"}' WHERE id = pg_temp.id('incident', 8);
UPDATE incidents SET incident_metadata = json_build_object('a', repeat('x', 300000))
    WHERE id = pg_temp.id('incident', 9);
UPDATE incidents SET incident_metadata = '[1, 2]' WHERE id = pg_temp.id('incident', 10);
UPDATE incidents SET tags = '["ok", 5, ""]' WHERE id = pg_temp.id('incident', 11);
UPDATE configs SET config_yaml = 'a: [1' WHERE id = pg_temp.id('config', 2);
UPDATE configs SET config_yaml = 'limit: 5' WHERE id = pg_temp.id('config', 4);
UPDATE configs SET config_yaml = 'only: yaml', config_json = NULL WHERE id = pg_temp.id('config', 6);
-- number, time
UPDATE incidents SET response_time_minutes = -5 WHERE id = pg_temp.id('incident', 12);
UPDATE agent_configs SET max_retries = -1 WHERE id = pg_temp.id('agent', 3);
UPDATE stats SET count = -1 WHERE id = pg_temp.id('stat', 2);
UPDATE incidents SET version = 0 WHERE id = pg_temp.id('incident', 13);
UPDATE incidents SET closed_at = 'infinity' WHERE id = pg_temp.id('incident', 14);
-- last-admin
UPDATE users SET role = 'MEMBER' WHERE organization_id = pg_temp.id('org', 20);
-- extra-column
ALTER TABLE incidents ADD COLUMN on_call text;
UPDATE incidents SET on_call = 'ada' WHERE id = pg_temp.id('incident', 15);
-- editor, label
ALTER TYPE userrole ADD VALUE 'EDITOR';
ALTER TYPE incidentstatus ADD VALUE 'PAUSED';
SET session_replication_role = origin;
