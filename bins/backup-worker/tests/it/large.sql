-- About test.megabytes of rows as COPY writes them, with texts as they occur: sentences of which some
-- words and all numbers differ. The same in every run.
DO $$
DECLARE
    incidents integer := current_setting('test.megabytes')::integer * 270;
    started timestamptz := timestamptz '2026-08-01 00:00Z';
BEGIN
    CREATE FUNCTION pg_temp.new_id(n bigint) RETURNS uuid LANGUAGE sql AS $f$
        SELECT (lpad(to_hex((extract(epoch FROM timestamptz '2026-08-01 00:00Z') * 1000)::bigint
            + (n * 7919317) % 9700000000), 12, '0') || '7' || substr(md5(n::text), 1, 3)
            || '8' || substr(md5('x' || n), 1, 15))::uuid
    $f$;
    CREATE FUNCTION pg_temp.text(n bigint, sentences integer) RETURNS text LANGUAGE sql AS $f$
        SELECT string_agg(CASE h % 6
            WHEN 0 THEN 'Node ip-10-' || h % 256 || '-' || (h / 256) % 256 || ' has been not ready for ' || h % 900 || ' s. '
            WHEN 1 THEN 'Container web-' || left(md5(h::text), 10) || ' was killed: it used ' || h % 4096 || ' MiB. '
            WHEN 2 THEN 'GET /api/v1/orders/' || h || ' took ' || h % 30000 || ' ms, upstream ' || left(md5(h || 'u'), 8) || ' said 503. '
            WHEN 3 THEN 'The volume pvc-' || md5(h::text) || ' is ' || h % 100 || ' % full. '
            WHEN 4 THEN 'ERROR: deadlock detected; process ' || h % 65536 || ' waits for ShareLock on transaction ' || h || '. '
            ELSE 'Somebody restarted the deployment and looked at the graphs: nothing since then. ' END, '')
        FROM generate_series(1, sentences) AS s, abs(hashint8(n * 97 + s)::bigint) AS h
    $f$;
    PERFORM make_partition('stats', '2026-08-01'), make_partition('audit_log', '2026-08-01'),
        make_partition('outbox', '2026-08-01');
    INSERT INTO organizations (id, name, slug)
        SELECT pg_temp.new_id(n), 'Organization ' || n, 'org-' || n FROM generate_series(1, 50) AS n;
    INSERT INTO teams (org_id, id, name, slug)
        SELECT id, pg_temp.new_id(1000 + row_number() OVER ()), 'Team ' || t, 'team-' || t
        FROM organizations, generate_series(1, 10) AS t;
    INSERT INTO incidents (org_id, id, team_id, title, description, tags, incident_metadata, idempotency_key, status)
        SELECT t.org_id, pg_temp.new_id(1000000 + i), t.id, left(pg_temp.text(i, 1), 200), pg_temp.text(i, 22),
            jsonb_build_array('prod', 'region-' || i % 9), jsonb_build_object('host', 'db-' || i, 'trace', md5(i::text)),
            'alert-' || i, 'open'
        FROM generate_series(1, incidents) AS i
        JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS n, * FROM teams) AS t ON t.n = i % 500;
    INSERT INTO audit_log (org_id, id, occurred_at, actor_kind, request_id, action, resource, resource_id,
            version, changes)
        SELECT org_id, pg_temp.new_id(10000000 + row_number() OVER ()), started, 'user', id, 'create', 'incident',
            id, 1, jsonb_build_object('title', jsonb_build_object('after', title),
                'description', jsonb_build_object('after', left(description, 900)))
        FROM incidents;
    INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
        SELECT org_id, pg_temp.new_id(20000000 + row_number() OVER ()), started, 'incident.created', 'incident', id, 1
        FROM incidents;
    INSERT INTO stats (org_id, id, team_id, metric_name, metric_type, value, timestamp, labels)
        SELECT t.org_id, pg_temp.new_id(30000000 + s), t.id, 'cpu_' || s % 20, 'gauge', (s::bigint * 7919) % 10007 / 100.0,
            started + make_interval(secs => s % 2600000), jsonb_build_object('host', 'node-' || s % 997)
        FROM generate_series(1, incidents) AS s
        JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS n, * FROM teams) AS t ON t.n = s % 500;
END
$$;
ANALYZE;
