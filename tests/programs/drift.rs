//! `brownie-migrator drift` and `selftest`. Each test has a cluster of its own: roles are compared,
//! and those are of the whole server.

use std::{
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use brownie_migration::{Database, drift};
use harness::{Postgres, run};
use serde_json::Value;

fn migrator(url: &str, arguments: &[&str]) -> Output {
    run("brownie-migrator", arguments, &[("DATABASE_URL", url), ("LOG_LEVEL", "error")]).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn database(url: String) -> Database {
    Database::new(url, Duration::from_secs(10))
}

/// A cluster with one migrated database, `ours`.
fn cluster() -> Postgres {
    let postgres = Postgres::private().unwrap();
    postgres.migrated("ours").unwrap();
    postgres
}

async fn sentences(postgres: &Postgres, name: &str) -> Vec<String> {
    let drift = drift(&database(postgres.url(name))).await.unwrap();
    drift.differences.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_fresh_database_has_no_drift_whoever_asks() {
    let postgres = cluster();
    postgres.execute("CREATE ROLE nobody_much LOGIN").unwrap();
    for role in ["postgres", "brownie-migrator", "brownie-monitor", "nobody_much"] {
        let output = migrator(&postgres.url_as(role, "ours"), &["drift"]);
        assert_eq!(output.status.code(), Some(0), "{role}: {}{}", stdout(&output), stderr(&output));
        assert_eq!(stdout(&output), "the database is as the migrations make it\n");
    }
    let output = migrator(&postgres.url("ours"), &["drift", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["standing"], "the schema is current");
    assert_eq!(report["differences"], serde_json::json!([]));

    // One that was never migrated lacks everything, and is told why.
    let output = migrator(&postgres.url("postgres"), &["drift"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("the table incidents is missing"), "{}", stdout(&output));
    assert!(!stdout(&output).contains("incidents.title"), "a part of what is missing");

    let client = postgres.connect("ours").await.unwrap();
    let newest = "DELETE FROM seaql_migrations
        WHERE version = (SELECT max(version) FROM seaql_migrations)";
    client.batch_execute(newest).await.unwrap();
    let output = migrator(&postgres.url("ours"), &["drift"]);
    assert!(stdout(&output).contains("the schema is behind by 1 "), "{}", stdout(&output));
}

/// What is done behind the migrations' back, and how each of the sentences about it begins.
const PLANTED: &[(&str, &[&str])] = &[
    (
        "DROP INDEX incidents_org_id_assigned_to_idx",
        &[
            "the index incidents.incidents_org_id_assigned_to_idx is missing; expected: CREATE INDEX",
        ],
    ),
    (
        "CREATE INDEX by_source ON incidents (source)",
        &["the index incidents.by_source is unexpected; found: CREATE INDEX by_source ON"],
    ),
    (
        "ALTER TABLE incidents ALTER status SET DEFAULT 'closed'",
        &[
            "the column incidents.status is different; expected: text not null default 'open'::text; \
           found: text not null default 'closed'::text",
        ],
    ),
    (
        "ALTER TABLE incidents ALTER title DROP NOT NULL",
        &["the column incidents.title is different"],
    ),
    (
        "ALTER TABLE teams ALTER description TYPE text COLLATE \"C\"",
        &["the column teams.description is different; expected: text; found: text collate \"C\""],
    ),
    (
        "ALTER TABLE incidents ADD extra integer DEFAULT 3",
        &["the column incidents.extra is unexpected; found: integer default 3"],
    ),
    (
        "COMMENT ON COLUMN incidents.title IS 'what it is called'",
        &["the column incidents.title is different"],
    ),
    (
        "ALTER TABLE incidents DISABLE TRIGGER incidents_updated_at",
        &["the trigger incidents.incidents_updated_at is different"],
    ),
    (
        "ALTER TABLE api_key_uses DISABLE TRIGGER ALL",
        &[
            "the constraint api_key_uses.api_key_uses_org_id_fkey is different",
            "the constraint api_key_uses.api_key_uses_org_id_id_fkey is different",
        ],
    ),
    (
        "DROP POLICY incidents_tenant ON incidents",
        &["the policy incidents.incidents_tenant is missing; expected: for all to PUBLIC using"],
    ),
    (
        "ALTER TABLE incidents NO FORCE ROW LEVEL SECURITY",
        &["the table incidents is different; expected: table, owner \"brownie-migrator\", row \
           security on and forced; found: table, owner \"brownie-migrator\", row security on"],
    ),
    (
        "GRANT DELETE ON incidents TO \"brownie-server\"",
        &["the grant on table incidents to \"brownie-server\" is different; expected: INSERT, \
           SELECT, UPDATE; found: DELETE, INSERT, SELECT, UPDATE"],
    ),
    (
        "GRANT SELECT (password_hash) ON users TO \"brownie-monitor\"",
        &["the grant on column users.password_hash to \"brownie-monitor\" is unexpected"],
    ),
    (
        "GRANT EXECUTE ON FUNCTION organization_ids() TO PUBLIC",
        &["the grant on function organization_ids() to PUBLIC is unexpected"],
    ),
    (
        "REVOKE DELETE ON users FROM \"brownie-migrator\"",
        &["the grant on table users to \"brownie-migrator\" is different"],
    ),
    (
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        &["the grant on schema public to PUBLIC is different; expected: USAGE; found: CREATE"],
    ),
    (
        "CREATE OR REPLACE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql
            SET search_path = pg_catalog AS $$ BEGIN RETURN NEW; END $$",
        &["the function touch_updated_at() is different in line 6; "],
    ),
    (
        "ALTER FUNCTION organization_ids() SECURITY INVOKER",
        &[
            "the function organization_ids() is different in line 5; expected: STABLE SECURITY DEFINER",
        ],
    ),
    (
        "ALTER TABLE incidents DROP CONSTRAINT incidents_version_check,
            ADD CONSTRAINT incidents_version_check CHECK (version >= 1) NOT VALID",
        &["the constraint incidents.incidents_version_check is different; expected: CHECK \
           ((version >= 1)); found: CHECK ((version >= 1)) NOT VALID"],
    ),
    (
        "ALTER TABLE incidents OWNER TO postgres",
        &[
            "the grant on table incidents to \"brownie-migrator\" is missing",
            "the grant on table incidents to postgres is unexpected",
            "the table incidents is different; expected: table, owner \"brownie-migrator\"",
        ],
    ),
    (
        "ALTER FUNCTION outbox_horizon() OWNER TO postgres",
        &[
            "the grant on function outbox_horizon() to \"brownie-migrator\" is missing",
            "the grant on function outbox_horizon() to postgres is unexpected",
            "the function outbox_horizon() is different; expected: owner \"brownie-migrator\"; \
             found: owner postgres",
        ],
    ),
    ("ALTER SEQUENCE outbox_position CACHE 10", &["the sequence outbox_position is different"]),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE \"brownie-migrator\" IN SCHEMA public
            GRANT DELETE ON TABLES TO \"brownie-server\"",
        &[
            "the default-privilege \"brownie-migrator\" on tables in public to \"brownie-server\" is",
        ],
    ),
    ("CREATE TABLE leftover (id integer PRIMARY KEY)", &["the table leftover is unexpected"]),
    (
        "CREATE VIEW all_incidents AS SELECT id FROM incidents",
        &["the table all_incidents is unexpected; found: view"],
    ),
    (
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        &["the type mood is unexpected; found: enum ('good', 'bad')"],
    ),
    (
        "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
        &["the type positive is unexpected; found: domain integer CHECK ((VALUE > 0))"],
    ),
    (
        "CREATE RULE quiet AS ON DELETE TO incidents DO INSTEAD NOTHING",
        &["the rule incidents.quiet is unexpected"],
    ),
    (
        "CREATE STATISTICS of_incidents ON org_id, team_id FROM incidents",
        &["the object public.of_incidents is unexpected; found: statistics object"],
    ),
    (
        "DROP TABLE sessions CASCADE",
        &[
            "the table sessions is missing",
            "the constraint refresh_tokens.refresh_tokens_org_id_session_id_fkey is missing",
        ],
    ),
    // A month is like all others.
    (
        "SELECT make_partition('stats', '2026-01-01'); ALTER TABLE stats_2026_01 DISABLE ROW LEVEL SECURITY",
        &["the table stats_2026_01 is different"],
    ),
    (
        "SELECT make_partition('stats', '2026-01-01'); GRANT SELECT ON stats_2026_01 TO \"brownie-server\"",
        &["the grant on table stats_2026_01 to \"brownie-server\" is unexpected"],
    ),
    (
        "ALTER ROLE \"brownie-server\" BYPASSRLS",
        &["the role \"brownie-server\" is different; expected: login; found: login, bypasses row"],
    ),
    (
        "ALTER ROLE \"brownie-server\" NOBYPASSRLS; GRANT \"brownie-lookup\" TO \"brownie-server\"",
        &["the role \"brownie-server\" is different; expected: login; found: login, member of"],
    ),
    ("REVOKE \"brownie-lookup\" FROM \"brownie-server\"", &[]),
];

#[tokio::test]
async fn each_planted_difference_is_named() {
    let postgres = cluster();
    let mut wrong = Vec::new();
    for (sql, expected) in PLANTED {
        postgres.execute("CREATE DATABASE planted TEMPLATE ours").unwrap();
        let client = postgres.connect("planted").await.unwrap();
        client.batch_execute(sql).await.unwrap();
        let found = sentences(&postgres, "planted").await;
        let all = expected.iter().all(|begin| found.iter().any(|text| text.starts_with(begin)));
        if !all || found.len() != expected.len() {
            wrong.push((sql, found));
        }
        postgres.execute("DROP DATABASE planted WITH (FORCE)").unwrap();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn an_index_that_was_not_finished_is_named() {
    let postgres = cluster();
    let client = postgres.connect("ours").await.unwrap();
    let twice = "DROP INDEX organizations_slug_key;
        INSERT INTO organizations (id, name, slug)
            SELECT gen_random_uuid(), 'x', 'x' FROM generate_series(1, 2)";
    client.batch_execute(twice).await.unwrap();
    let again = "CREATE UNIQUE INDEX CONCURRENTLY organizations_slug_key ON organizations (slug)
        WHERE deleted_at IS NULL";
    assert!(client.batch_execute(again).await.is_err(), "there are two of them");

    let output = migrator(&postgres.url("ours"), &["drift", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let [only] = &report["differences"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!(only["difference"], "different");
    assert_eq!(only["kind"], "index");
    assert_eq!(only["name"], "organizations.organizations_slug_key");
    assert!(only["found"].as_str().unwrap().ends_with(", invalid"), "{report}");
    assert!(only["sentence"].as_str().unwrap().starts_with("the index organizations."), "{report}");
}

#[tokio::test]
async fn what_is_the_operators_is_no_drift() {
    let postgres = cluster();
    let client = postgres.connect("ours").await.unwrap();
    let own = "CREATE ROLE analyst LOGIN;
        GRANT \"brownie-migrator\" TO analyst;
        CREATE SCHEMA reports AUTHORIZATION analyst;
        CREATE TABLE reports.daily (day date PRIMARY KEY);
        ALTER DEFAULT PRIVILEGES FOR ROLE analyst GRANT SELECT ON TABLES TO PUBLIC;
        ALTER ROLE \"brownie-server\" PASSWORD 'secret' CONNECTION LIMIT 50;
        ALTER TABLE incidents SET (autovacuum_vacuum_scale_factor = 0.01);
        SELECT make_partition('audit_log', '2026-01-01')";
    client.batch_execute(own).await.unwrap();
    // What an extension brings is its own, in our schema, too.
    let contrib = "SELECT FROM pg_available_extensions WHERE name = 'pg_trgm'";
    if !client.query(contrib, &[]).await.unwrap().is_empty() {
        client.batch_execute("CREATE EXTENSION pg_trgm SCHEMA public").await.unwrap();
    }
    assert_eq!(sentences(&postgres, "ours").await, [""; 0]);
}

/// The databases that a selftest made and that are still there.
async fn left(postgres: &Postgres) -> i64 {
    let sql = "SELECT count(*) FROM pg_database WHERE datname LIKE 'brownie\\_selftest%'";
    postgres.connect("postgres").await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn every_migration_can_be_taken_back_and_nothing_stays() {
    let postgres = Postgres::private().unwrap();
    let output = migrator(&postgres.url("postgres"), &["selftest", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["findings"], serde_json::json!([]));
    let count = 4 + 2 * u64::try_from(brownie_migration::names().len()).unwrap();
    assert_eq!(report["comparisons"], count);
    assert_eq!(left(&postgres).await, 0);

    // As somebody who may make databases, and is a member of the two roles that things are handed to.
    let dba =
        r#"CREATE ROLE dba LOGIN CREATEDB; GRANT "brownie-migrator", "brownie-lookup" TO dba"#;
    postgres.execute(dba).unwrap();
    let output = migrator(&postgres.url_as("dba", "postgres"), &["selftest"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output), "every migration can be taken back and applied again\n");
    assert_eq!(left(&postgres).await, 0);
}

#[tokio::test]
async fn a_selftest_that_fails_or_is_stopped_leaves_no_database() {
    let postgres = cluster();
    let roles = "CREATE ROLE nobody_much LOGIN; CREATE ROLE maker LOGIN CREATEDB";
    postgres.execute(roles).unwrap();
    let output = migrator(&postgres.url_as("nobody_much", "postgres"), &["selftest"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ALTER ROLE ... CREATEDB"), "{}", stderr(&output));

    // The migration of the roles fails: this one may not hand anything to them.
    let output = migrator(&postgres.url_as("maker", "postgres"), &["selftest"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("all migrations up failed"), "{message}");
    assert!(message.contains(r#"GRANT "brownie-migrator" TO maker"#), "{message}");
    assert_eq!(left(&postgres).await, 0);

    let mut child = Command::new(harness::binary("brownie-migrator"))
        .arg("selftest")
        .env("DATABASE_URL", postgres.url("postgres"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while left(&postgres).await == 0 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "none was made");
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(left(&postgres).await, 0);
}
