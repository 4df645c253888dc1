//! Every look-up and every list on 200 organizations with 5,000 incidents each: PostgreSQL answers
//! it by an index that leads with `org_id`, and reads no tenant table from end to end.
//!
//! The statements are those that the service really sends: `auto_explain` writes down the plan of
//! each while every GET of the route table is asked.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use brownie_api::routes;
use harness::{InProcess, Postgres};
use serde_json::{Value, json};

/// Indexes that a request may use although they do not lead with `org_id`, and why.
const OTHERS: &[&str] = &[
    // An organization's row is found by what it is itself.
    "organizations_pkey",
];

/// A million incidents, and of everything else as much as organizations have.
const FILL: &str = "
    INSERT INTO organizations (id, name, slug)
        SELECT gen_random_uuid(), 'o', 'o-' || n FROM generate_series(1, 199) n;
    INSERT INTO teams (org_id, id, name, slug)
        SELECT id, gen_random_uuid(), 'Team ' || n, 'team-' || n
        FROM organizations, generate_series(1, 5) n;
    INSERT INTO users (org_id, id, email, username, team_id)
        SELECT org_id, gen_random_uuid(), slug || n || '@x.example', slug || '-' || n, id
        FROM teams, generate_series(1, 40) n;
    INSERT INTO memberships (org_id, id, team_id, user_id)
        SELECT u.org_id, gen_random_uuid(), t.id, u.id
        FROM users u JOIN LATERAL (SELECT id FROM teams t WHERE t.org_id = u.org_id AND t.id <> u.team_id
                                   LIMIT 1) t ON true;
    INSERT INTO incidents (org_id, id, team_id, title, status, created_at)
        SELECT org_id, gen_random_uuid(), id, 'i', CASE n % 5 WHEN 0 THEN 'open' ELSE 'closed' END,
               now() - n * interval '1 minute'
        FROM (SELECT org_id, id, row_number() OVER (PARTITION BY org_id ORDER BY id) AS place FROM teams) t,
             generate_series(1, 1000) n WHERE place <= 5;
    INSERT INTO agent_configs (org_id, id, team_id, name, agent_type)
        SELECT org_id, gen_random_uuid(), id, 'c' || n, 'custom' FROM teams, generate_series(1, 20) n;
    INSERT INTO stats (org_id, id, team_id, metric_name, metric_type, value, timestamp)
        SELECT org_id, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0')
                   || '7' || substr(md5(random()::text), 1, 19))::uuid, id, 'm', 'gauge', n, now()
        FROM teams, generate_series(1, 100) n;
    INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
        SELECT org_id, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0')
                   || '7' || substr(md5(random()::text), 1, 19))::uuid, now(), 'e', 'incident', id, 1
        FROM incidents WHERE status = 'open'";

/// Further questions about the lists: each filter that a route has.
const FILTERED: &[(&str, &[&str])] = &[
    (
        "/api/v1/teams/{team_id}/incidents",
        &["status=open", "priority=high", "since=2026-01-01T00:00:00Z", "search=disk", "q=disk"],
    ),
    ("/api/v1/teams/{team_id}/agent-configs", &["is_active=true", "agent_type=custom"]),
    (
        "/api/v1/teams/{team_id}/stats",
        &["metric_name=m", "metric_type=gauge", "since=2026-01-01T00:00:00Z"],
    ),
    ("/api/v1/organizations/{org_id}/stats", &["metric_name=m", "until=2036-01-01T00:00:00Z"]),
    (
        "/api/v1/audit-log",
        &["since=2026-01-01T00:00:00Z", "resource_id=01a1fca1-0000-7000-8000-000000000000"],
    ),
];

/// Walks a plan and returns the scans in it: what, of which table, by which index.
fn scans(plan: &Value, found: &mut Vec<(String, String, String)>) {
    let text = |name: &str| plan[name].as_str().unwrap_or_default().to_owned();
    if text("Node Type").contains("Scan") {
        found.push((text("Node Type"), text("Relation Name"), text("Index Name")));
    }
    for child in plan["Plans"].as_array().into_iter().flatten() {
        scans(child, found);
    }
}

#[expect(clippy::too_many_lines, reason = "one story: fill, ask, read the log")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_look_up_and_list_uses_an_index_that_leads_with_the_organization() -> Result<()> {
    let database = Postgres::shared().database();
    let admin = database.connect().await;
    let first = InProcess::server(database.url()).await?;
    let client = first.client().sign_up("acme").await?;
    let me = client.get("/api/v1/auth/me").await?;
    let (org_id, team_id) = (me.text("org_id").to_owned(), me.text("team_id").to_owned());
    let create = async |kind: &str, body: Value| -> Result<String> {
        let answer = client.post(&format!("/api/v1/teams/{team_id}/{kind}"), &body).await?;
        anyhow::ensure!(answer.status == 201, "{answer:?}");
        Ok(answer.text("id").to_owned())
    };
    let things = [
        ("{org_id}", org_id.clone()),
        ("{team_id}", team_id.clone()),
        ("{user_id}", me.text("id").to_owned()),
        ("{incident_id}", create("incidents", json!({"title": "Disk full"})).await?),
        (
            "{config_id}",
            create("agent-configs", json!({"name": "T", "agent_type": "custom"})).await?,
        ),
        (
            "{stat_id}",
            create(
                "stats",
                json!({"metric_name": "m", "metric_type": "gauge", "value": 1,
            "timestamp": "2026-11-21T12:00:00Z"}),
            )
            .await?,
        ),
    ];
    let key = client.post("/api/v1/api-keys", &json!({"name": "k", "role": "viewer"})).await?;
    anyhow::ensure!(key.status == 201, "{key:?}");
    let config =
        json!({"name": "c", "config_type": "team", "source_format": "json", "source": "{}"});
    let config = client.post("/api/v1/configs", &config).await?;
    anyhow::ensure!(config.status == 201, "{config:?}");
    let things = things.into_iter().chain([
        ("{key_id}", key.text("id").to_owned()),
        ("{configuration_id}", config.text("id").to_owned()),
    ]);
    let things: Vec<(&str, String)> = things.collect();
    drop(first);
    admin.batch_execute(FILL).await?;
    admin.batch_execute("VACUUM ANALYZE").await?;
    let incidents: i64 = admin.query_one("SELECT count(*) FROM incidents", &[]).await?.get(0);
    anyhow::ensure!(incidents > 990_000, "{incidents}");

    let name: String = admin.query_one("SELECT current_database()::text", &[]).await?.get(0);
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
        "auto_explain.log_format = 'json'",
    ] {
        admin.batch_execute(&format!("ALTER DATABASE {name} SET {setting}")).await?;
    }
    let mark = Postgres::shared().log()?.len();
    let service = InProcess::server(database.url()).await?;
    let client = service.client().with_token(client.token());
    let fill = |path: &str| {
        things.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
    };
    let mut asked = 0;
    for route in routes::table() {
        if route.method != "GET" || route.action.is_none() {
            continue;
        }
        let filters =
            FILTERED.iter().find(|(path, _)| *path == route.path).map_or(&[][..], |(_, f)| f);
        for filter in [""].iter().chain(filters) {
            let needed = harness::good::query(route.path);
            let start = if needed.is_empty() { "?" } else { needed };
            let url = format!("{}{start}&{filter}", fill(route.path));
            // More than five times: then a plan for any parameters may take over.
            for _ in 0..7 {
                let answer = client.get(&url).await?;
                anyhow::ensure!(answer.status == 200, "{url}: {answer:?}");
            }
            asked += 1;
        }
    }
    let second = client.get(&format!("/api/v1/teams/{team_id}/incidents?limit=1")).await?;
    drop((second, service));

    let log = Postgres::shared().log()?;
    let mut plans = 0;
    let (mut bad, mut used) = (BTreeSet::new(), BTreeSet::new());
    // Other tests share the server, but not a database in which auto_explain is loaded.
    for entry in log[mark..].split("plan:\n").skip(1) {
        let mut documents = serde_json::Deserializer::from_str(entry).into_iter::<Value>();
        let document = documents.next().context("a plan")?.context("a plan is JSON")?;
        let mut found = Vec::new();
        scans(&document["Plan"], &mut found);
        plans += 1;
        for (node, table, index) in found {
            if !index.is_empty() {
                used.insert(index);
            } else if node == "Seq Scan" && !table.starts_with("pg_") && table != "seaql_migrations"
            {
                bad.insert((table, document["Query Text"].to_string()));
            }
        }
    }
    // What fits into a few pages is read faster than an index of it.
    let small = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relpages < 50";
    let small = admin.query(small, &[]).await?;
    let small: BTreeSet<String> = small.iter().map(|row| row.get(0)).collect();
    bad.retain(|(table, _)| !small.contains(table));
    assert!(plans >= asked * 7, "{plans} plans of {asked} questions");
    assert!(bad.is_empty(), "{bad:#?}");
    let mut ours = 0;
    for index in &used {
        let leads = "SELECT pg_get_indexdef(to_regclass($1), 1, true)";
        let first: Option<String> = admin.query_one(leads, &[&index]).await?.get(0);
        if !index.starts_with("pg_") && !OTHERS.contains(&index.as_str()) {
            assert_eq!(first.as_deref(), Some("org_id"), "{index}");
            ours += 1;
        }
    }
    assert!(ours >= 8, "{used:?}");
    println!("{asked} questions, {plans} plans, by {used:?}");
    Ok(())
}
