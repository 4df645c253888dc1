//! What the papers say, done.

use std::{fs, process::Command};

use harness::{Postgres, Service};

fn page(path: &str) -> String {
    fs::read_to_string(harness::root().join(path)).unwrap()
}

/// Returns the shell block of the README that follows the walk-through's mark.
fn walk_through() -> String {
    let readme = page("README.md");
    let (_, rest) = readme.split_once("<!-- walk-through").unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Runs the walk-through as printed, on another port; the first command that fails ends it.
fn walk(service: &Service) {
    let script = walk_through().replace("http://127.0.0.1:8000", &service.base());
    let output = Command::new("bash").args(["-euxo", "pipefail", "-c", &script]).output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains(r#""status":"in_progress""#), "{stdout}");
    assert!(stdout.contains(r#"{"message":"Incident deleted successfully"}"#), "{stdout}");
    assert!(stdout.contains(r#""event":"incident.restored""#), "{stdout}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_can_be_walked_through_on_postgresql() {
    let database = Postgres::shared().database();
    let mut service = Service::server(database.url()).await.unwrap();
    walk(&service);
    assert!(service.stop().unwrap().success(), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_can_be_walked_through_standalone_and_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service::standalone(&dir.path().join("data")).await.unwrap();
    walk(&service);
    assert!(service.stop().unwrap().success(), "{}", service.log());

    let again = Service::standalone(&dir.path().join("data")).await.unwrap();
    again.client().log_in("ada@example.com").await.unwrap();
}

/// Every command of the runbooks about migrations, in their order, on a database of its own.
#[tokio::test]
async fn the_runbooks_of_migrations_do_what_they_say() {
    let folder = harness::binary("brownie-migrator").parent().unwrap().to_owned();
    for runbook in ["RUNBOOK-database-migration.md", "RUNBOOK-db-api-changes.md"] {
        let database = Postgres::shared().empty_database();
        let text = page(&format!("docs/runbooks/{runbook}"));
        let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let script = format!("PATH=\"$BIN:$PATH\"\n{}", blocks.collect::<String>());
        assert!(script.lines().count() > 3, "{runbook}");
        let output = Command::new("bash")
            .args(["-euxo", "pipefail", "-c", &script])
            .env("BIN", &folder)
            .env("DATABASE_URL", database.admin_url())
            .env("LOG_LEVEL", "warn")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{runbook}: {said}");
    }
}
