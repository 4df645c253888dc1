//! Its commands for people: forth and back, checks, and what explains itself.

use harness::{Postgres, pass, run};
use serde_json::Value;

use super::{migrate, stderr, stdout};

#[tokio::test]
async fn what_was_applied_and_changed_since_is_refused_by_name() {
    let database = Postgres::shared().empty_database();
    assert!(migrate(database.admin_url(), &["up", "--to", "000024"]).status.success());
    let client = database.connect().await;
    let change = "UPDATE seaql_migrations SET checksum = 'another' WHERE version LIKE '%lookups'";
    client.batch_execute(change).await.unwrap();

    let status = migrate(database.admin_url(), &["status"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(stdout(&status).contains("changed  m20261121_000018_lookups"), "{}", stdout(&status));
    let up = migrate(database.admin_url(), &["up"]);
    assert_eq!(up.status.code(), Some(1));
    assert!(stderr(&up).contains("m20261121_000018_lookups"), "{}", stderr(&up));
    let newest = "SELECT max(version) FROM seaql_migrations";
    let newest: String = client.query_one(newest, &[]).await.unwrap().get(0);
    assert_eq!(newest, "m20261121_000024_api_keys", "nothing was applied");
}

#[tokio::test]
async fn it_goes_back_as_far_as_told_and_forth_again() {
    let database = Postgres::shared().empty_database();
    let url = database.admin_url();
    let plan = migrate(url, &["up", "--dry-run"]);
    assert_eq!(stdout(&plan).lines().count(), brownie_migration::names().len());
    assert!(stdout(&migrate(url, &["up", "--sql"])).contains("CREATE TABLE organizations"));
    assert!(migrate(url, &["up"]).status.success());

    assert_eq!(migrate(url, &["down", "--steps", "1"]).status.code(), Some(2), "without --yes");
    assert_eq!(migrate(url, &["down", "--yes"]).status.code(), Some(2), "without saying how far");
    let one = migrate(url, &["down", "--steps", "1", "--yes"]);
    assert_eq!(stdout(&one).lines().count(), 1, "{}", stderr(&one));
    let some = migrate(url, &["down", "--to", "lookups", "--yes", "--json"]);
    let some: Value = serde_json::from_str(&stdout(&some)).unwrap();
    let last = some["reverted"].as_array().unwrap().last().unwrap();
    assert_eq!(last, "m20261121_000019_grants");
    let all = migrate(url, &["down", "--to", "base", "--yes"]);
    assert!(all.status.success(), "{}", stderr(&all));

    let client = database.connect().await;
    let left = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relname NOT LIKE 'seaql_migrations%'
        UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace
            AND typname NOT LIKE '%seaql_migrations'";
    let left: Vec<String> =
        client.query(left, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let again = migrate(url, &["up"]);
    assert!(again.status.success(), "{}", stderr(&again));
    let status = migrate(url, &["status", "--json"]);
    let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
    assert!(
        status["applied"][0]["checksum"].is_string()
            && status["applied"][0]["duration_ms"].is_i64()
    );
}

/// It gives up its place in the queue rather than stop the traffic behind it.
#[tokio::test]
async fn a_table_in_use_is_tried_again() {
    let database = Postgres::shared().empty_database();
    let url = database.admin_url().to_owned();
    assert!(migrate(&url, &["up", "--to", "000024"]).status.success());
    let mut client = database.connect().await;
    let reader = client.transaction().await.unwrap();
    reader.batch_execute("LOCK TABLE configs IN ACCESS SHARE MODE").await.unwrap();
    let migrator = tokio::task::spawn_blocking(move || migrate(&url, &["up"]));

    // Longer than it waits for a lock. Who writes meanwhile waits no longer than it does.
    let writer = database.connect().await;
    let mut longest = std::time::Duration::ZERO;
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(7) {
        let asked = std::time::Instant::now();
        let write = "UPDATE configs SET priority = 1 WHERE false";
        writer.batch_execute(write).await.unwrap();
        longest = longest.max(asked.elapsed());
        pass(std::time::Duration::from_millis(20), "fifty writes a second").await;
    }
    reader.commit().await.unwrap();
    let output = migrator.await.unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(longest < std::time::Duration::from_secs(6), "a write waited {longest:?}");
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_with_its_remedy() {
    let database = Postgres::shared().empty_database();
    let good = migrate(database.admin_url(), &["test"]);
    assert_eq!(good.status.code(), Some(0), "{}", stdout(&good));
    assert_eq!(migrate(database.admin_url(), &["--test"]).status.code(), Some(0));
    assert_eq!(migrate(database.admin_url(), &["--status"]).status.code(), Some(3));

    let client = database.connect().await;
    let read_only = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
        END $$";
    client.batch_execute(read_only).await.unwrap();
    let bad = migrate(database.admin_url(), &["test", "--json"]);
    assert_eq!(bad.status.code(), Some(3));
    let bad: Value = serde_json::from_str(&stdout(&bad)).unwrap();
    let faults: Vec<&str> = bad["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["good"] == false)
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(faults, ["writable"]);
    let up = migrate(database.admin_url(), &["up"]);
    assert_eq!(up.status.code(), Some(1));
    assert!(stderr(&up).contains("read-only"), "{}", stderr(&up));

    let away = migrate(&Postgres::shared().url("no_such_database"), &["test"]);
    assert_eq!(away.status.code(), Some(3));
    assert!(stdout(&away).contains("does not exist"), "{}", stdout(&away));
}

#[test]
fn a_new_migration_is_two_files_and_a_line() {
    let here = tempfile::tempdir().unwrap();
    let (from, to) = (harness::root().join("migration/src"), here.path().join("migration/src"));
    std::fs::create_dir_all(to.join("sql")).unwrap();
    std::fs::copy(from.join("lib.rs"), to.join("lib.rs")).unwrap();
    let new = |name| {
        std::process::Command::new(harness::binary("brownie-migrator"))
            .args(["new", name])
            .current_dir(here.path())
            .output()
            .unwrap()
    };
    assert!(new("incident_labels").status.success());
    let list = std::fs::read_to_string(to.join("lib.rs")).unwrap();
    let number = brownie_migration::names().len() + 1;
    assert!(list.contains(&format!("_{number:06}_incident_labels\",\n    ]")), "{list}");
    assert_eq!(std::fs::read_dir(to.join("sql")).unwrap().count(), 2);
    let second = new("another");
    assert_eq!(second.status.code(), Some(1), "the number is taken");
    assert!(stderr(&new("Bad Name")).contains("use lower-case letters"));
}

#[test]
fn it_explains_itself_without_a_database() {
    for (arguments, said) in [
        (&["history", "-v"][..], "m20261121_000002_organizations"),
        (&["completions", "bash"], "brownie-migrator"),
        (&["man"], ".TH brownie-migrator"),
        (&["lint"], "0 found"),
        (&["partitions", "drop", "--help"], "outbox"),
    ] {
        let output = run("brownie-migrator", arguments, &[]).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        assert!(stdout(&output).contains(said), "{arguments:?}: {}", stdout(&output));
    }
}

#[tokio::test]
async fn a_demo_is_seeded_once() {
    let database = Postgres::shared().empty_database();
    assert!(migrate(database.admin_url(), &["up"]).status.success());
    let first = migrate(database.admin_url(), &["seed", "--json"]);
    assert!(first.status.success(), "{}", stderr(&first));
    let first: Value = serde_json::from_str(&stdout(&first)).unwrap();
    let again = migrate(database.admin_url(), &["seed"]);
    assert!(stdout(&again).starts_with("nothing to do"), "{}", stderr(&again));

    let service = harness::Service::server(database.url()).await.unwrap();
    let body = serde_json::json!({"email": first["email"], "password": first["password"]});
    let answer = service.client().post("/api/v1/auth/login", &body).await.unwrap();
    let demo = service.client().with_token(answer.text("access_token"));
    let resolved = demo.get("/api/v1/configs/resolve?name=cpu-busy").await.unwrap();
    assert_eq!(resolved.status, 200);
    assert!(resolved.body.to_string().contains("cpu_usage"), "{:?}", resolved.body);
}

#[test]
fn certificates_are_made_looked_into_and_judged() {
    let here = tempfile::tempdir().unwrap();
    let out = here.path().join("dev-certs");
    let path = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let (out_text, role) = (out.to_str().unwrap(), path("brownie-migrator"));
    let certs = |arguments: &[&str], variables: &[(&str, &str)]| {
        run("brownie-migrator", &[&["certs"], arguments].concat(), variables).unwrap()
    };
    let made = certs(&["dev", "--out", out_text], &[]);
    assert!(made.status.success(), "{}", stderr(&made));
    let again = certs(&["dev", "--out", out_text], &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));

    let looked = certs(&["inspect", &path("server/server.crt"), &path("ca/ca.key"), "--json"], &[]);
    let looked: Value = serde_json::from_str(&stdout(&looked)).unwrap();
    assert!(looked["files"][0]["certificates"][0]["names"].to_string().contains("DNS:localhost"));
    assert_eq!(looked["files"][1]["key"], "EC P-256");
    assert_eq!(certs(&["inspect", out_text], &[]).status.code(), Some(3));

    let good = certs(&["check"], &[("CERT_DIR", &role)]);
    assert_eq!(good.status.code(), Some(0), "{}", stdout(&good));
    let wrong = [("CERT_DIR", role.as_str()), ("CERT_EXPECTED_CN", "brownie-server")];
    let bad = certs(&["check", "--json"], &wrong);
    assert_eq!(bad.status.code(), Some(3));
    assert!(stdout(&bad).contains(r#""good":false"#), "{}", stdout(&bad));

    let fetched = here.path().join("fetched");
    let copy = certs(&["fetch", "--out", fetched.to_str().unwrap()], &[("CERT_DIR", &role)]);
    assert!(copy.status.success(), "{}", stderr(&copy));
    let variables = [("CERT_DIR", fetched.to_str().unwrap())];
    assert_eq!(certs(&["check"], &variables).status.code(), Some(0));
}

#[test]
fn a_check_connects_if_it_is_told_to() {
    let postgres = Postgres::shared();
    let role = postgres.certificates("brownie-migrator");
    let url = format!("postgres://brownie-migrator@127.0.0.1:{}/brownie_template", postgres.port());
    let variables = [("CERT_DIR", role.to_str().unwrap()), ("DATABASE_URL", url.as_str())];
    let good = run("brownie-migrator", &["certs", "check", "--connect"], &variables).unwrap();
    assert_eq!(good.status.code(), Some(0), "{}{}", stdout(&good), stderr(&good));
    assert!(stdout(&good).contains("good  tls: TLSv1.3"), "{}", stdout(&good));
    let nobody = url.replace("brownie_template", "no_such_database");
    let variables = [variables[0], ("DATABASE_URL", nobody.as_str())];
    let bad = run("brownie-migrator", &["certs", "check", "--connect"], &variables).unwrap();
    assert_eq!(bad.status.code(), Some(3), "{}{}", stdout(&bad), stderr(&bad));
}
