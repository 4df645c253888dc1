//! `brownie-migrator`, as an init container runs it.

mod commands;
mod predecessors;
mod refusals;
mod traffic;

use std::process::Output;

use harness::{Postgres, is_long, pass, run};
use serde_json::Value;

fn migrate(url: &str, arguments: &[&str]) -> Output {
    run("brownie-migrator", arguments, &[("DATABASE_URL", url), ("LOG_LEVEL", "warn")]).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn of_sixteen_at_once_one_applies_and_all_succeed() {
    let database = Postgres::shared().empty_database();
    let url = database.admin_url().to_owned();
    let runs: Vec<_> = (0..16)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || migrate(&url, &["up"]))
        })
        .collect();
    let outputs: Vec<Output> = runs.into_iter().map(|run| run.join().unwrap()).collect();

    for output in &outputs {
        assert!(output.status.success(), "{}", stderr(output));
    }
    let applied = outputs.iter().filter(|output| stdout(output).starts_with("applied")).count();
    let idle = outputs.iter().filter(|output| stdout(output) == "nothing to do\n").count();
    assert_eq!((applied, idle), (1, 15));

    let client = database.connect().await;
    let twice = "SELECT version FROM seaql_migrations GROUP BY version HAVING count(*) > 1";
    assert!(client.query(twice, &[]).await.unwrap().is_empty());
    let count: i64 =
        client.query_one("SELECT count(*) FROM seaql_migrations", &[]).await.unwrap().get(0);
    assert_eq!(usize::try_from(count).unwrap(), brownie_migration::names().len());
    let locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database =
        (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert!(client.query(locks, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn status_says_what_is_applied_and_what_is_not() {
    let database = Postgres::shared().empty_database();
    let before = migrate(database.admin_url(), &["status", "--json"]);
    assert_eq!(before.status.code(), Some(3), "{}", stderr(&before));
    let report: Value = serde_json::from_str(&stdout(&before)).unwrap();
    assert_eq!(report["pending"].as_array().unwrap().len(), brownie_migration::names().len());
    let tables = "SELECT 1 FROM pg_tables WHERE schemaname = 'public'";
    let client = database.connect().await;
    assert!(client.query(tables, &[]).await.unwrap().is_empty(), "status changes nothing");

    assert!(migrate(database.admin_url(), &["up"]).status.success());
    let after = migrate(database.admin_url(), &["status"]);
    assert_eq!(after.status.code(), Some(0));
    assert!(stdout(&after).ends_with("the schema is current\n"), "{}", stdout(&after));
}

/// Six moments; fifty with `tests/run.sh --long`.
fn moments() -> u64 {
    if is_long() { 50 } else { 6 }
}

/// A migrator that dies while it works leaves nothing half-done, and the next one goes on.
#[tokio::test]
async fn a_killed_migrator_is_followed_by_one_that_finishes() {
    let url = Postgres::shared().empty_database();
    let began = std::time::Instant::now();
    assert!(migrate(url.admin_url(), &["up"]).status.success());
    let whole = u64::try_from(began.elapsed().as_millis()).unwrap();
    for moment in 0..moments() {
        let database = Postgres::shared().empty_database();
        let mut child = std::process::Command::new(harness::binary("brownie-migrator"))
            .arg("up")
            .env("DATABASE_URL", database.admin_url())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let delay = whole * moment / moments() + 5;
        pass(std::time::Duration::from_millis(delay), "the moment of the kill").await;
        child.kill().unwrap();
        child.wait().unwrap();
        let next = migrate(database.admin_url(), &["up"]);
        assert!(next.status.success(), "killed after {delay} ms: {}", stderr(&next));
        let drift = migrate(database.admin_url(), &["drift"]);
        assert_eq!(drift.status.code(), Some(0), "killed after {delay} ms: {}", stdout(&drift));
    }
}

#[test]
fn an_unreachable_database_is_said_so_after_the_wait() {
    let url = format!("postgres://u@127.0.0.1:{}/x?sslmode=disable", harness::free_port().unwrap());
    harness::binary("brownie-migrator");
    let started = std::time::Instant::now();
    let output = migrate(&url, &["up", "--wait", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(started.elapsed() < std::time::Duration::from_secs(8));
    assert!(
        stderr(&output).contains("the database does not answer after 1 s"),
        "{}",
        stderr(&output)
    );
}

/// A database that does not exist does not come by waiting.
#[test]
fn a_server_that_refuses_is_not_waited_for() {
    harness::binary("brownie-migrator");
    let url = Postgres::shared().url("no_such_database");
    let started = std::time::Instant::now();
    let output = migrate(&url, &["up"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(started.elapsed() < std::time::Duration::from_mins(1));
    let message = stderr(&output);
    assert!(message.contains("refuses") && message.contains("does not exist"), "{message}");
}

#[test]
fn without_a_database_it_says_what_to_set() {
    let output = run("brownie-migrator", &["up"], &[]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("DATABASE_URL must be set"), "{}", stderr(&output));
}

/// As a role that is no superuser: the owner of the database, who has been made a member of the two
/// roles that things are handed to; and afterwards as the owner of the schema, who is not even that.
#[tokio::test]
async fn no_superuser_is_needed() {
    // Of its own: what roles are members of is of the whole server.
    let postgres: &'static Postgres = Box::leak(Box::new(Postgres::private().unwrap()));
    let database = postgres.empty_database();
    // Another database's migrations have made the roles by now.
    postgres.migrated("other").unwrap();
    let admin = database.connect().await;
    let own = async |database: &harness::Database, role: &str, more: &str| {
        let client = database.connect().await;
        let name = client.query_one("SELECT current_database()::text", &[]).await.unwrap();
        let name: String = name.get(0);
        let sql =
            format!("CREATE ROLE {role} LOGIN; ALTER DATABASE {name} OWNER TO {role}; {more}");
        client.batch_execute(&sql).await.unwrap();
    };
    own(&database, "dba", r#"GRANT "brownie-migrator", "brownie-lookup" TO dba"#).await;
    let output = migrate(&database.url_as("dba"), &["up"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = migrate(&database.url_as("brownie-migrator"), &["up"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = migrate(&database.url_as("brownie-migrator"), &["purge", "--older-than", "30d"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let service = harness::Service::server(database.url()).await.unwrap();
    service.client().sign_up("acme").await.unwrap();
    drop(service);

    // As brownie-migrator from the first migration on: what it owned and gave away works, too.
    let third = postgres.empty_database();
    let client = third.connect().await;
    let name = client.query_one("SELECT current_database()::text", &[]).await.unwrap();
    let name: String = name.get(0);
    let handed_over = format!(
        r#"ALTER DATABASE {name} OWNER TO "brownie-migrator"; GRANT "brownie-lookup" TO "brownie-migrator""#
    );
    client.batch_execute(&handed_over).await.unwrap();
    let output = migrate(&third.url_as("brownie-migrator"), &["up"]);
    assert!(output.status.success(), "{}", stderr(&output));
    client.batch_execute(r#"REVOKE "brownie-lookup" FROM "brownie-migrator""#).await.unwrap();
    let output = migrate(&third.url_as("brownie-migrator"), &["purge", "--older-than", "30d"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let public = "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner)))
                    WHERE grantee = 0)";
    assert!(client.query(public, &[]).await.unwrap().is_empty(), "open to PUBLIC");

    // Whoever may not is told what to ask for.
    let second = postgres.empty_database();
    own(&second, "nobody_much", "").await;
    let output = migrate(&second.url_as("nobody_much"), &["up"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    let advice = r#"as an administrator: GRANT "brownie-migrator" TO nobody_much"#;
    assert!(message.contains(advice), "{message}");
    drop(admin);
}

#[tokio::test]
async fn months_are_made_ahead_and_dropped_when_they_are_old() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let months = async || -> Vec<String> {
        let sql = "SELECT inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent = 'outbox'::regclass ORDER BY 1";
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    // The template may be of the month before.
    assert!(migrate(database.admin_url(), &["partitions", "create"]).status.success());
    let ahead = months().await.len();
    assert!(ahead == 5 || ahead == 6, "this month, three to come, and the default: {ahead}");

    // A month that was forgotten: its events are in the default partition, and move.
    client
        .batch_execute(
            "INSERT INTO organizations (id, name, slug)
                 VALUES ('00000000-0000-7000-8000-000000000001', 'x', 'x');
             INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
                 SELECT '00000000-0000-7000-8000-000000000001', lowest_id_at('2026-01-15'),
                        '2026-01-15', 'x', 'x', gen_random_uuid(), 1",
        )
        .await
        .unwrap();
    // As the owner, whom row-level security holds as well: what is in the way must not be in this.
    client.batch_execute("SET ROLE \"brownie-migrator\"").await.unwrap();
    let text = async |sql: &str| -> String { client.query_one(sql, &[]).await.unwrap().get(0) };
    assert_eq!(text("SELECT make_partition('outbox', '2026-01-15')").await, "outbox_2026_01");
    client.batch_execute("RESET ROLE").await.unwrap();
    assert_eq!(text("SELECT tableoid::regclass::text FROM outbox").await, "outbox_2026_01");

    // Detached, it is a table of its own, with its rows; and part of the whole again if one wants.
    let detach = ["partitions", "detach", "outbox", "--older-than", "90d", "--json"];
    let dry = migrate(database.admin_url(), &[&detach[..], &["--dry-run"]].concat());
    assert!(stdout(&dry).contains("outbox_2026_01"), "{}", stderr(&dry));
    assert_eq!(months().await.len(), ahead + 1, "a dry run detaches nothing");
    let detached = migrate(database.admin_url(), &detach);
    assert!(
        stdout(&detached).contains(r#""detached":["outbox_2026_01"]"#),
        "{}",
        stdout(&detached)
    );
    assert_eq!(months().await.len(), ahead);
    assert_eq!(text("SELECT count(*)::text FROM outbox_2026_01").await, "1");
    let drift = migrate(database.admin_url(), &["drift"]);
    assert!(stdout(&drift).contains("outbox_2026_01"), "{}", stdout(&drift));
    client
        .batch_execute(
            "ALTER TABLE outbox ATTACH PARTITION outbox_2026_01
                 FOR VALUES FROM (lowest_id_at('2026-01-01')) TO (lowest_id_at('2026-02-01'))",
        )
        .await
        .unwrap();

    let purge = |more: &[&str]| {
        let arguments = [&["purge", "--older-than", "30d", "--json"], more].concat();
        let output = migrate(database.admin_url(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()
    };
    let old = serde_json::json!(["outbox_2026_01"]);
    let dry = purge(&["--events-older-than", "90d", "--dry-run"]);
    assert_eq!(dry["partitions_dropped"], old, "{dry}");
    assert_eq!(months().await.len(), ahead + 1, "a dry run drops nothing");
    assert_eq!(purge(&[])["partitions_dropped"], serde_json::json!([]), "nobody asked to");
    assert_eq!(purge(&["--events-older-than", "90d"])["partitions_dropped"], old);
    assert_eq!(months().await.len(), ahead);

    for bad in
        [&["purge"][..], &["purge", "--older-than", "soon"], &["purge", "--older-than", "-1d"]]
    {
        assert_eq!(migrate(database.admin_url(), bad).status.code(), Some(2), "{bad:?}");
    }
}
