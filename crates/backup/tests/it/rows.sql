-- Rows in every table, for a few organizations, with what texts and numbers can be awkward with.
-- Settings: test.scale multiplies the number of rows, test.width the length of texts; test.organizations
-- says how many organizations there are, 5 unless set.
DO $$
DECLARE
    scale integer := current_setting('test.scale')::integer;
    filler text := repeat('Disk /var is full; the kernel says EXT4-fs error. ', current_setting('test.width')::integer);
    awkward text[] := ARRAY['tab' || chr(9) || 'newline' || chr(10) || 'return' || chr(13) || '\N \. \\',
        'quote '' " $1', '', 'Gr' || chr(252) || chr(223) || 'e ' || chr(128512), '\.', 'plain'];
BEGIN
    PERFORM make_partition('audit_log', '2026-09-01'), make_partition('outbox', '2026-10-01');
    -- All months that ids are of, whatever month it is today: a new database has those from today on.
    PERFORM make_partition('stats', month::date)
        FROM generate_series(timestamp '2026-08-01', '2026-11-01', '1 month') AS month;
    CREATE TEMPORARY TABLE orgs AS
        SELECT n, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid AS id
        FROM generate_series(1, coalesce(nullif(current_setting('test.organizations', true), ''), '5')::integer) AS n;
    -- An id of a moment within the last four months.
    CREATE FUNCTION pg_temp.new_id(n bigint) RETURNS uuid LANGUAGE sql AS $f$
        SELECT (lpad(to_hex((extract(epoch FROM timestamptz '2026-08-01 00:00Z') * 1000)::bigint
            + (n * 7919317) % 9700000000), 12, '0') || '7' || substr(md5(n::text), 1, 3)
            || '8' || substr(md5('x' || n), 1, 15))::uuid
    $f$;

    INSERT INTO organizations (id, name, slug, description, config_json, deleted_at)
        SELECT id, awkward[1 + n % 6] || n, 'org-' || n, nullif(awkward[1 + n % 6], ''),
            jsonb_build_object('n', 1e30 + n, 't', awkward[1]), CASE n WHEN 5 THEN now() END FROM orgs;
    INSERT INTO teams (org_id, id, name, slug, settings)
        SELECT id, pg_temp.new_id(n * 100 + t), 'Team ' || t, 'team-' || t, '{"a": [1.50, null]}'
        FROM orgs, generate_series(1, 4) AS t;
    INSERT INTO users (org_id, id, email, username, full_name, password_hash, team_id, role)
        SELECT org_id, pg_temp.new_id(1000 + row_number() OVER ()), 'u' || u || '.' || slug || '@example.com',
            'User' || u || slug, awkward[1 + u % 6], md5(u::text), id, 'viewer'
        FROM teams, generate_series(1, 5) AS u;
    INSERT INTO memberships (org_id, id, team_id, user_id)
        SELECT u.org_id, pg_temp.new_id(2000 + row_number() OVER ()), t.id, u.id
        FROM users AS u JOIN teams AS t ON t.org_id = u.org_id AND t.id <> u.team_id;
    INSERT INTO incidents (org_id, id, team_id, title, description, assigned_to, tags, incident_metadata,
            idempotency_key, resolved_at, status)
        SELECT t.org_id, pg_temp.new_id(10000 + row_number() OVER ()), t.id,
            left(awkward[1 + i % 6] || ' incident ' || i, 500), filler || md5(i::text) || awkward[1 + i % 6],
            CASE WHEN i % 3 = 0 THEN (SELECT u.id FROM users AS u WHERE u.org_id = t.org_id LIMIT 1) END,
            jsonb_build_array('a', i, awkward[1 + i % 6]), jsonb_build_object('host', 'db-' || i),
            'key-' || t.slug || i, CASE WHEN i % 2 = 0 THEN now() - make_interval(mins => i) END, 'open'
        FROM teams AS t, generate_series(1, 20 * scale) AS i;
    INSERT INTO agent_configs (org_id, id, team_id, name, agent_type, config_yaml)
        SELECT org_id, pg_temp.new_id(500000 + row_number() OVER ()), id, 'Agent ' || a, 'custom',
            'a: ' || awkward[1 + a]
        FROM teams, generate_series(1, 5) AS a;
    INSERT INTO configs (org_id, id, team_id, name, config_type, source, config_json)
        SELECT org_id, pg_temp.new_id(600000 + row_number() OVER ()), id, 'Config ' || a, 'team',
            '{"a": ' || a || '}', jsonb_build_object('a', a)
        FROM teams, generate_series(1, 5) AS a;
    INSERT INTO stats (org_id, id, team_id, metric_name, metric_type, value, timestamp, labels)
        SELECT org_id, pg_temp.new_id(1000000 + row_number() OVER ()), id, 'cpu', 'gauge',
            CASE s % 7 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' WHEN 2 THEN 1e-300 WHEN 3 THEN 0.1 + 0.2
                ELSE s / 3.0 END,
            timestamptz '2026-08-01 00:00Z' + make_interval(secs => s * 60), '{"host": "a"}'
        FROM teams, generate_series(1, 50 * scale) AS s;
    -- One whose id tells no month: it stays in the default partition.
    INSERT INTO stats (org_id, id, metric_name, metric_type, value, timestamp)
        SELECT id, gen_random_uuid(), 'cpu', 'gauge', 1, now() FROM orgs;
    INSERT INTO audit_log (org_id, id, occurred_at, actor_kind, request_id, action, resource, resource_id,
            version, changes)
        SELECT org_id, pg_temp.new_id(5000000 + row_number() OVER ()), now(), 'user', gen_random_uuid(),
            'update', 'incident', id, 1, jsonb_build_object('title', jsonb_build_object('after', title))
        FROM incidents;
    INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
        SELECT org_id, pg_temp.new_id(7000000 + row_number() OVER ()), now(), 'incident.updated', 'incident',
            id, 1
        FROM incidents;
    INSERT INTO idempotency_keys (org_id, id, principal_id, route, key, fingerprint, response_status,
            response_body, expires_at)
        SELECT org_id, pg_temp.new_id(8000000 + row_number() OVER ()), id, 'POST /x', awkward[1 + k],
            '\x00ff0a09'::bytea, 200, decode(md5(k::text), 'hex'), now() + interval '1 day'
        FROM users, generate_series(0, 5) AS k;
    INSERT INTO sessions (org_id, id, user_id, created_at, last_used_at, expires_at)
        SELECT org_id, pg_temp.new_id(8500000 + row_number() OVER ()), id, now(), now(), 'infinity'
        FROM users;
    INSERT INTO refresh_tokens (org_id, id, session_id, hash, created_at)
        SELECT org_id, pg_temp.new_id(8600000 + row_number() OVER ()), id, sha256(id::text::bytea), now()
        FROM sessions;
    INSERT INTO api_keys (org_id, id, name, role, hash)
        SELECT id, pg_temp.new_id(8700000 + n), 'Key ' || n, 'admin', sha256(id::text::bytea) FROM orgs;
    INSERT INTO api_key_uses (org_id, id, last_used_at) SELECT org_id, id, now() FROM api_keys;
END
$$;
