//! Poolers that our programs refuse, and what `doctor` says of them.

use harness::{JWT_SECRET, PgBouncer, PoolMode, Postgres, run};

use crate::doctor::{Said, server};

fn in_front(version: &str, mode: PoolMode, prepared: Option<u32>) -> PgBouncer {
    PgBouncer::start(version, Postgres::shared(), mode, prepared).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_mixes_up_statements_is_refused() {
    let database = Postgres::shared().database();
    for (version, prepared) in [("1.18", None), ("1.24", Some(0))] {
        let pooler = in_front(version, PoolMode::Transaction, prepared);
        let url = database.url_via(pooler.port());
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("METADATA_JWT_SECRET", JWT_SECRET),
            ("METADATA_PORT", "0"),
            ("METRICS_PORT", "0"),
        ];
        let output = run("brownie-server", &["--wait", "5"], &variables).unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{version}: {message}");
        assert!(message.contains("gives one client the rows of another's query"), "{message}");
        assert!(message.contains("1.21 or newer with max_prepared_statements"), "{message}");
    }
}

/// The lock that keeps migrators apart belongs to a session: through a pooler that shares sessions nothing is changed,
/// and it is said what to name instead.
#[tokio::test]
async fn a_migrator_changes_nothing_through_a_pooler_that_shares_sessions() {
    let database = Postgres::shared().database();
    for (version, prepared) in [("1.18", None), ("1.24", Some(200))] {
        let pooler = in_front(version, PoolMode::Transaction, prepared);
        let url = database.url_via(pooler.port());
        for command in [&["up"][..], &["partitions", "create"], &["purge", "--older-than", "30d"]] {
            let output = run(
                "brownie-migrator",
                &[&["--wait", "5"], command].concat(),
                &[("DATABASE_URL", &url)],
            )
            .unwrap();
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{version} {command:?}: {message}");
            assert!(message.contains("a pooler in transaction mode"), "{message}");
            assert!(message.contains("name the server itself"), "{message}");
        }
    }
}

#[tokio::test]
async fn doctor_says_for_whom_a_pooler_is_good() {
    let database = Postgres::shared().database();
    let good = in_front("1.24", PoolMode::Transaction, Some(200));
    let url = database.url_via(good.port());
    server(&url, &[]).expect("database.pooler", "ok", "of a kind that can be used");
    let said = Said::by("brownie-migrator", &[], &[("DATABASE_URL", &url)]);
    assert_eq!(said.code, Some(3));
    said.expect("database.pooler", "failed", "the lock that keeps migrators apart");
    let said = Said::by("brownie-backup", &[], &[("DATABASE_URL", &url)]);
    said.expect("role", "failed", "there is a pooler between us");

    let bad = in_front("1.18", PoolMode::Transaction, None);
    let said = server(&database.url_via(bad.port()), &[]);
    assert_eq!(said.code, Some(3));
    said.expect("database.pooler", "failed", "rows of another's query");
}
