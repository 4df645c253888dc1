//! `brownie-migrator adopt`, on databases of the original as its migration and its ORM make them.

use std::process::Output;

use brownie_domain::{
    Clock, IdSource, OrganizationId, PageRequest, RandomIds, RequestId, SystemClock, TeamId,
};
use brownie_persistence::{IncidentFilter, OrgContext, PoolOptions, StatFilter, Store};
use harness::{Database, PATIENCE, Postgres, Service, run, until};
use serde_json::Value;
use uuid::Uuid;

const ORIGINAL: &str = include_str!("../../crates/adopt/tests/original.sql");
const ORM: &str = include_str!("../../crates/adopt/tests/orm.sql");
const ROWS: &str = include_str!("../../crates/adopt/tests/rows.sql");
const HAZARDS: &str = include_str!("../../crates/adopt/tests/hazards.sql");
const LABELS: &str = include_str!("../../crates/adopt/tests/labels.sql");

const TABLES: [&str; 7] =
    ["organizations", "teams", "users", "incidents", "agent_configs", "configs", "stats"];

/// Makes a database of the original of these files.
async fn original(files: &[&str]) -> Database {
    let database = Postgres::shared().empty_database();
    for file in files {
        database.connect().await.batch_execute(file).await.unwrap();
    }
    database
}

fn adopt(database: &Database, arguments: &[&str]) -> Output {
    let all = [&["adopt", "--json"], arguments].concat();
    let variables = [("DATABASE_URL", database.admin_url()), ("LOG_LEVEL", "warn")];
    run("brownie-migrator", &all, &variables).unwrap()
}

fn json(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {error}"))
}

/// The suggested way for each hazard of a report, as arguments.
fn as_suggested(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    let way = |finding: &Value| {
        format!(
            "--resolve={}={}",
            finding["hazard"].as_str().unwrap(),
            finding["way"].as_str().unwrap()
        )
    };
    findings.iter().map(way).collect()
}

async fn number(database: &Database, sql: &str) -> i64 {
    database.connect().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// Everything of ours and of the adoption's own, as one hash.
async fn fingerprint(database: &Database) -> String {
    let client = database.connect().await;
    let mut all = String::new();
    for table in TABLES {
        let sql = format!("SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM {table} AS t");
        all.push_str(client.query_one(&sql, &[]).await.unwrap().get(0));
    }
    let sql = "SELECT md5(string_agg(s::text, '' ORDER BY name)) FROM brownie_adoption.steps AS s";
    all.push_str(client.query_one(sql, &[]).await.unwrap().get(0));
    all
}

#[tokio::test]
async fn check_names_every_planted_hazard_and_changes_nothing() {
    let database = original(&[ORIGINAL, ORM, ROWS, HAZARDS, LABELS]).await;
    let output = adopt(&database, &["--check"]);
    assert_eq!(output.status.code(), Some(3));
    let report = json(&output);
    let findings = report["findings"].as_array().unwrap();
    for hazard in brownie_adopt::Hazard::ALL {
        let found = findings.iter().find(|found| found["hazard"] == hazard.as_str());
        let ids = found.unwrap_or_else(|| panic!("{hazard} was planted and not found"))["ids"]
            .as_array()
            .unwrap();
        assert!(!ids.is_empty() && ids.len() <= 20, "{hazard} names rows, not all of them");
    }
    let of = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'brownie%'";
    assert_eq!(number(&database, of).await, 0);

    // Nor does an adoption that was not told everything.
    let mut ways = as_suggested(&report);
    ways.retain(|way| !way.contains("last-admin"));
    let mut arguments = vec!["--apply"];
    arguments.extend(ways.iter().map(String::as_str));
    assert_eq!(adopt(&database, &arguments).status.code(), Some(3));
    assert_eq!(number(&database, of).await, 0);
    assert_eq!(number(&database, "SELECT count(*) FROM public.incidents").await, 24_000);

    arguments.push("--resolve=last-admin=demote");
    assert_eq!(adopt(&database, &arguments).status.code(), Some(2), "there is no such way");
}

/// Without hazards the original's service sees through the views exactly what it had.
#[tokio::test]
async fn both_variants_become_ours_row_by_row_and_only_once() {
    for files in [&[ORIGINAL, ROWS][..], &[ORIGINAL, ORM, ROWS]] {
        let database = original(files).await;
        let output = adopt(&database, &["--apply", "--resolve=naive-time=utc"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for table in TABLES {
            let shown = |schema: &str| format!("SELECT to_jsonb(t) FROM {schema}.{table} AS t");
            let (there, here) = (shown("brownie_original"), shown("brownie_0_1"));
            // A time without a zone is shown with one now.
            let there = there.replace("to_jsonb(t)", "to_jsonb(t) || zoned");
            let there = match table {
                "incidents" => there + " CROSS JOIN LATERAL (SELECT jsonb_build_object(
                    'started_at', t.started_at::timestamptz, 'resolved_at', t.resolved_at::timestamptz,
                    'closed_at', t.closed_at::timestamptz) AS zoned) AS z",
                _ => there.replace(" || zoned", ""),
            };
            let client = database.connect().await;
            client.batch_execute("SET TIME ZONE 'UTC'").await.unwrap();
            let differ = format!(
                "SELECT (SELECT count(*) FROM ({there} EXCEPT ALL {here}) AS a)
                    + (SELECT count(*) FROM ({here} EXCEPT ALL {there}) AS b)"
            );
            let differ: i64 = client.query_one(&differ, &[]).await.unwrap().get(0);
            assert_eq!(differ, 0, "{table}");
        }
        let before = fingerprint(&database).await;
        let again = adopt(&database, &["--apply"]);
        assert_eq!(again.status.code(), Some(0));
        assert_eq!(json(&again)["already"], true);
        assert_eq!(json(&again)["compared"], json(&output)["compared"]);
        assert_eq!(fingerprint(&database).await, before);
        assert_eq!(
            adopt(&database, &["--check"]).status.code(),
            Some(1),
            "there is nothing to adopt"
        );

        // The end of the change-over: nothing of the original is left, and ours as it was.
        let rows = "SELECT count(*) FROM incidents";
        let incidents = number(&database, rows).await;
        assert_eq!(adopt(&database, &["--finish"]).status.code(), Some(2), "without --yes");
        let finish = adopt(&database, &["--finish", "--yes"]);
        assert!(finish.status.success(), "{}", String::from_utf8_lossy(&finish.stderr));
        assert_eq!(json(&finish)["finished"], true);
        assert_eq!(json(&adopt(&database, &["--finish", "--yes"]))["finished"], false);
        assert_eq!(number(&database, rows).await, incidents);
        let drift = run("brownie-migrator", &["drift"], &[("DATABASE_URL", database.admin_url())]);
        let drift = drift.unwrap();
        let left = String::from_utf8_lossy(&drift.stdout);
        assert_eq!(drift.status.code(), Some(0), "{left}");
    }
}

/// Its end cannot come before it.
#[tokio::test]
async fn what_was_not_adopted_cannot_be_finished() {
    let database = original(&[ORIGINAL, ROWS]).await;
    assert_eq!(json(&adopt(&database, &["--finish", "--yes"]))["finished"], false);
    let client = database.connect().await;
    client
        .batch_execute("CREATE SCHEMA brownie_adoption; CREATE TABLE brownie_adoption.steps (name text); INSERT INTO brownie_adoption.steps VALUES ('moved')")
        .await
        .unwrap();
    let output = adopt(&database, &["--finish", "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("has not come to its end"), "{message}");
    assert_eq!(number(&database, "SELECT count(*) FROM public.incidents").await, 24_000);
}

/// Killed while it looks and while it copies, it ends as one that was let to.
#[tokio::test]
async fn an_adoption_that_is_killed_goes_on_and_ends_the_same() {
    let files = [ORIGINAL, ORM, ROWS, HAZARDS, LABELS];
    let (calm, database) = (original(&files).await, original(&files).await);
    let ways = as_suggested(&json(&adopt(&calm, &["--check"])));
    let mut arguments = vec!["--apply", "--batch=700"];
    arguments.extend(ways.iter().map(String::as_str));
    let expected = adopt(&calm, &arguments);
    assert!(expected.status.success(), "{}", String::from_utf8_lossy(&expected.stderr));

    let moments = [
        "EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'public.stats'::regclass)",
        "EXISTS (SELECT FROM brownie_adoption.copied WHERE tbl = 'incidents' AND rows > 2000)",
        "EXISTS (SELECT FROM brownie_adoption.copied WHERE tbl = 'stats' AND rows > 9000)",
        "EXISTS (SELECT FROM brownie_adoption.compared WHERE tbl = 'users')",
    ];
    let client = database.connect().await;
    for moment in moments {
        let mut child = std::process::Command::new(harness::binary("brownie-migrator"))
            .arg("adopt")
            .args(&arguments)
            .env("DATABASE_URL", database.admin_url())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::inherit())
            .spawn()
            .unwrap();
        let look = format!("SELECT {moment}");
        until(moment, PATIENCE, async || {
            client.query_one(&look, &[]).await.is_ok_and(|row| row.get(0))
        })
        .await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        client.execute(end, &[]).await.unwrap();
        assert!(child.try_wait().unwrap().is_none(), "it ended before {moment}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The ways were decided by the run that moved the tables.
    let last = adopt(&database, &["--apply"]);
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    assert_eq!(json(&last)["compared"], json(&expected)["compared"]);
}

/// The role of the views is of the whole server: two databases may be adopted, or ended, at once.
#[tokio::test]
async fn the_role_may_come_and_go_with_another_database() {
    let postgres = Postgres::private().unwrap();
    let others = postgres.connect("postgres").await.unwrap();
    for (name, meanwhile) in [
        ("first", "CREATE ROLE \"brownie-adopted\" NOLOGIN"),
        ("second", "DROP ROLE \"brownie-adopted\""),
    ] {
        postgres.execute(&format!("CREATE DATABASE {name}")).unwrap();
        let client = postgres.connect(name).await.unwrap();
        client.batch_execute(ORIGINAL).await.unwrap();
        others.batch_execute(&format!("BEGIN; {meanwhile}")).await.unwrap();
        let adoption = std::thread::spawn({
            let url = postgres.url(name);
            move || run("brownie-migrator", &["adopt", "--apply"], &[("DATABASE_URL", &*url)])
        });
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')";
        until("the adoption waits for the role", PATIENCE, async || {
            client.query_one(waits, &[]).await.unwrap().get(0)
        })
        .await;
        others.batch_execute("COMMIT").await.unwrap();
        let output = adoption.join().unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // What this database has of the role, so that the next round may drop it.
        client.batch_execute("DROP OWNED BY \"brownie-adopted\" CASCADE").await.unwrap();
    }
}

fn request_id() -> RequestId {
    RequestId::from_uuid(RandomIds.next(SystemClock.now()))
}

/// The service starts, and reads every row, those with a hazard included.
#[tokio::test]
async fn our_service_reads_every_row() {
    let database = original(&[ORIGINAL, ORM, ROWS, HAZARDS, LABELS]).await;
    let ways = as_suggested(&json(&adopt(&database, &[])));
    let mut arguments = vec!["--apply"];
    arguments.extend(ways.iter().map(String::as_str));
    let output = adopt(&database, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for compared in json(&output)["compared"].as_array().unwrap() {
        let table = compared["table"].as_str().unwrap();
        let there = format!("SELECT count(*) FROM brownie_original.{table}");
        assert_eq!(compared["rows"], number(&database, &there).await, "{table}: none is lost");
    }
    let service = Service::server(database.url()).await.unwrap();
    drop(service);

    let client = database.connect().await;
    let store = Store::new(&PoolOptions::new(database.url())).unwrap();
    let mut read = 0;
    let mut listed = 0;
    for org in client.query("SELECT id FROM organizations", &[]).await.unwrap() {
        let org: Uuid = org.get(0);
        let ctx = OrgContext::for_job(
            OrganizationId::from_uuid(org),
            "the test of adoption",
            request_id(),
        );
        let scope = store.org(&ctx);
        scope.organization().get().await.unwrap();
        for table in ["teams", "users", "agent_configs", "configs"] {
            let sql = format!("SELECT id FROM {table} WHERE org_id = $1 AND deleted_at IS NULL");
            for row in client.query(&sql, &[&org]).await.unwrap() {
                let id: Uuid = row.get(0);
                let outcome = match table {
                    "teams" => scope.teams().get(TeamId::from_uuid(id)).await.map(drop),
                    "users" => {
                        scope.users().get(brownie_domain::UserId::from_uuid(id)).await.map(drop)
                    }
                    "agent_configs" => {
                        let id = brownie_domain::AgentConfigId::from_uuid(id);
                        scope.agent_configs().get(id).await.map(drop)
                    }
                    _ => {
                        let id = brownie_domain::ConfigId::from_uuid(id);
                        scope.configs().get(id).await.map(drop)
                    }
                };
                outcome.unwrap_or_else(|error| panic!("{table} {id}: {error}"));
                read += 1;
                if table == "teams" {
                    listed += incidents_of(&scope, TeamId::from_uuid(id)).await;
                }
            }
        }
        let mut page = PageRequest::new(100, None).unwrap();
        loop {
            let stats = scope.stats().list(StatFilter::default(), page).await.unwrap();
            listed += stats.items.len();
            let Some(next) = stats.next else { break };
            page = PageRequest::new(100, Some(next)).unwrap();
        }
    }
    store.close().await;
    // One user is deleted; one team was made for its orphan.
    assert_eq!((read, listed), (80 + 1 + 800 - 1 + 800 + 800, 24_000 + 26_000));
}

async fn incidents_of(
    scope: &brownie_persistence::OrgScope<brownie_persistence::Reading>,
    team: TeamId,
) -> usize {
    let mut page = PageRequest::new(100, None).unwrap();
    let mut listed = 0;
    loop {
        let found = scope.incidents().list(team, IncidentFilter::default(), page).await.unwrap();
        listed += found.items.len();
        let Some(next) = found.next else { return listed };
        page = PageRequest::new(100, Some(next)).unwrap();
    }
}

/// What the original's ORM says, by way of `search_path` alone.
#[tokio::test]
async fn the_originals_service_goes_on_reading_and_writing() {
    let database = original(&[ORIGINAL, ROWS]).await;
    let admin = database.connect().await;
    let role = format!("legacy_{}", Uuid::from_u128(7).simple());
    admin
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await
        .unwrap();
    assert!(adopt(&database, &["--apply"]).status.success());
    let client = database.connect_as(&role).await;
    client.batch_execute("SET search_path = brownie_0_1").await.unwrap();
    let id = Uuid::from_u128(0x1111_4111_a111);
    let inserted = client
        .query_one(
            "INSERT INTO incidents (id, org_id, created_by, updated_by, version, idempotency_key, title,
                 description, status, priority, assigned_to, started_at, resolved_at, closed_at, tags,
                 incident_metadata, response_time_minutes, resolution_time_minutes, team_id, organization_id)
             SELECT $1, organization_id, NULL, NULL, 1, 'k', 'by the ORM', NULL, 'OPEN'::incidentstatus,
                 'HIGH', NULL, NULL, NULL, NULL, '[\"a\"]', 'null', NULL, NULL, id, organization_id
             FROM teams WHERE slug = 'team-7'
             RETURNING incidents.created_at IS NOT NULL AND incidents.updated_at IS NOT NULL",
            &[&id],
        )
        .await
        .unwrap();
    assert!(inserted.get::<_, bool>(0));
    let ours = "SELECT format('%s %s %s %s %s', status, priority, tags, incident_metadata, version)
        FROM public.incidents WHERE id = $1";
    let now = async || admin.query_one(ours, &[&id]).await.unwrap().get::<_, String>(0);
    assert_eq!(now().await, "open high [\"a\"] {} 1");

    let update =
        "UPDATE incidents SET updated_at = now(), status = 'RESOLVED' WHERE incidents.id = $1";
    assert_eq!(client.execute(update, &[&id]).await.unwrap(), 1);
    assert_eq!(now().await, "resolved high [\"a\"] {} 2");
    let select = "SELECT count(*) FROM incidents JOIN users ON users.org_id = incidents.org_id
        WHERE incidents.status = 'RESOLVED' AND incidents.id = $1";
    assert_eq!(client.query_one(select, &[&id]).await.unwrap().get::<_, i64>(0), 40);

    let delete = "DELETE FROM incidents WHERE incidents.id = $1";
    assert_eq!(client.execute(delete, &[&id]).await.unwrap(), 1);
    assert_eq!(client.execute(delete, &[&id]).await.unwrap(), 0);
    let left: i64 = client.query_one("SELECT count(*) FROM incidents", &[]).await.unwrap().get(0);
    assert_eq!(left, 24_000);

    // What let people of an organization in ends with it, though this role sees neither table.
    let session = "INSERT INTO public.sessions (org_id, id, user_id, created_at, last_used_at, expires_at)
        SELECT org_id, gen_random_uuid(), id, now(), now(), now() + interval '1 day' FROM public.users";
    let open =
        async || number(&database, "SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await;
    let all = i64::try_from(admin.execute(session, &[]).await.unwrap()).unwrap();
    let sql = "UPDATE organizations SET is_active = false
        WHERE id = (SELECT organization_id FROM teams WHERE slug = 'team-2')";
    assert_eq!(client.execute(sql, &[]).await.unwrap(), 1);
    assert!((1..all).contains(&open().await), "{} of {all}: those of others go on", open().await);

    // The walls of ours stand: a team of another organization is none.
    let foreign = "UPDATE users SET team_id = (SELECT id FROM teams WHERE slug = 'team-2')
        WHERE username = 'user_1'";
    assert!(client.execute(foreign, &[]).await.is_err());
    assert!(client.query("SELECT 1 FROM public.incidents", &[]).await.is_err());
    let ledger = client.query_one("SELECT version_num FROM alembic_version", &[]).await.unwrap();
    assert_eq!(ledger.get::<_, String>(0), "d607e412e7b0");
    drop(client);
    drop(database);
    let _ = Postgres::shared().execute(&format!("DROP ROLE {role}"));
}
