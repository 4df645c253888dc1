-- 20 organizations and what is in them: 80 teams, 800 users, 24,000 incidents, 800 agent
-- configurations, 800 configurations and 26,000 statistics: 52,500 rows, none of them a hazard.
CREATE FUNCTION pg_temp.id(kind text, n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT overlay(overlay(md5(kind || n)::text PLACING '4' FROM 13) PLACING 'a' FROM 17)::uuid $$;

INSERT INTO organizations
SELECT pg_temp.id('org', n), timestamptz '2025-10-16 08:00+00' + n * interval '1 hour', timestamptz '2025-11-20 12:00+00',
    'Organization ' || n, 'organization-' || n, 'The ' || n || 'th', true,
    CASE WHEN n % 2 = 0 THEN 'level: ' || n END, CASE WHEN n % 2 = 0 THEN json_build_object('level', n) END,
    '1.' || n, '{"theme": "dark"}', 10, 50
FROM generate_series(1, 20) AS n;

INSERT INTO teams
SELECT pg_temp.id('team', n), timestamptz '2025-10-16 09:00+00' + n * interval '1 minute', timestamptz '2025-11-20 12:00+00',
    o, NULL, NULL, 'Team ' || n, 'team-' || n, NULL, n % 9 <> 0, NULL, NULL, NULL, '{}',
    '{"who": {"read": true}}', o
FROM generate_series(1, 80) AS n, pg_temp.id('org', (n - 1) % 20 + 1) AS o;

INSERT INTO users
SELECT pg_temp.id('user', n), timestamptz '2025-10-17 09:00+00' + n * interval '1 minute', timestamptz '2025-11-20 12:00+00',
    o, NULL, NULL, NULL, NULL, 'user' || n || '@example.com', 'user_' || n,
    'User Number ' || n, 'https://example.com/' || n || '.png',
    -- "correct horse", hashed as the original does.
    '$argon2id$v=19$m=65536,t=3,p=4$YnJvd25pZS1zYWx0LTAx$' || repeat('A', 43), true, n % 2 = 0,
    CASE WHEN n % 10 = 0 THEN 'subject-' || n END, CASE WHEN n % 10 = 0 THEN 'https://issuer.example.com' END,
    pg_temp.id('team', (n - 1) % 80 + 1),
    (CASE WHEN n <= 80 THEN 'ADMIN' WHEN n % 3 = 0 THEN 'VIEWER' ELSE 'MEMBER' END)::userrole,
    '{"language": "en"}', o
FROM generate_series(1, 800) AS n, pg_temp.id('org', (n - 1) % 20 + 1) AS o;

INSERT INTO incidents
SELECT pg_temp.id('incident', n), timestamptz '2025-11-01 00:00+00' + n * interval '1 minute', timestamptz '2025-11-20 12:00+00',
    o, pg_temp.id('user', (n - 1) % 80 + 1), NULL, 1 + n % 3, CASE WHEN n % 5 = 0 THEN 'alert-' || n END,
    'Disk full on db-' || n, E'First line\nsecond line ' || n || ' \u00e4\u00f6\u00fc',
    (enum_range(NULL::incidentstatus))[1 + n % 5], (enum_range(NULL::incidentpriority))[1 + n % 4],
    CASE WHEN n % 4 = 0 THEN pg_temp.id('user', (n - 1) % 80 + 1) END,
    timestamp '2025-11-01 00:05' + n * interval '1 minute', NULL, NULL,
    '["disk", "db"]', json_build_object('host', 'db-' || n, 'ratio', n / 7.0), n % 60, NULL,
    pg_temp.id('team', (n - 1) % 80 + 1), o
FROM generate_series(1, 24000) AS n, pg_temp.id('org', (n - 1) % 20 + 1) AS o;

INSERT INTO agent_configs
SELECT pg_temp.id('agent', n), timestamptz '2025-10-18 00:00+00' + n * interval '1 minute', timestamptz '2025-11-20 12:00+00',
    o, NULL, NULL, 1 + n % 4, 'Agent ' || n, 'Looks at logs', (enum_range(NULL::agenttype))[1 + n % 5],
    n % 7 <> 0, 'model: small', '{"model": "small"}', '2', '{"model": "small", "steps": [1, 2]}',
    300, 3, 60, '{"on": ["alert"]}', '{}', '["logs"]', '{}', pg_temp.id('team', (n - 1) % 80 + 1), o
FROM generate_series(1, 800) AS n, pg_temp.id('org', (n - 1) % 20 + 1) AS o;

INSERT INTO configs
SELECT pg_temp.id('config', n), timestamptz '2025-10-19 00:00+00' + n * interval '1 minute', timestamptz '2025-11-20 12:00+00',
    o, NULL, NULL, 1, 'Config ' || n, NULL, (enum_range(NULL::configtype))[1 + n % 5],
    (enum_range(NULL::configstatus))[1 + n % 4], 'disk-.*', '^(high|critical)$', NULL,
    CASE WHEN n % 2 = 0 THEN E'# written by hand\nlimit: ' || n || E'\n' END,
    json_build_object('limit', n), '1.0', n % 10, false, true, '["base"]', '{}',
    CASE WHEN n % 3 = 0 THEN pg_temp.id('team', (n - 1) % 80 + 1) END, o
FROM generate_series(1, 800) AS n, pg_temp.id('org', (n - 1) % 20 + 1) AS o;

INSERT INTO stats
SELECT pg_temp.id('stat', n), timestamptz '2025-11-02 00:00+00' + n * interval '1 second', timestamptz '2025-11-20 12:00+00',
    o, 'latency_seconds', 'gauge', n / 3.0, n, timestamptz '2025-11-02 00:00+00' + n * interval '1 second',
    '5m', json_build_object('host', n % 100), NULL, 's',
    CASE WHEN n % 2 = 0 THEN pg_temp.id('team', (n - 1) % 80 + 1) END, o
FROM generate_series(1, 26000) AS n, pg_temp.id('org', (n - 1) % 20 + 1) AS o;
ANALYZE;
