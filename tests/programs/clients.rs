//! Clients that are not ours: the original's, a fuzzer that has only the document, a browser.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use harness::{Postgres, Service, is_long};

/// Returns the interpreter that has what the scripts of `tests/clients` need.
fn python() -> PathBuf {
    harness::parts().join("clients/bin/python")
}

/// Runs a script of `tests/clients` against a service; fails as it fails.
fn run(script: &str, service: &Service, arguments: &[&str]) -> String {
    let path = harness::root().join("tests/clients").join(script);
    let Output { status, stdout, stderr } = Command::new(python())
        .arg(path)
        .args(arguments)
        .env("BASE_URL", service.base())
        .env("METADATA_JWT_SECRET", harness::JWT_SECRET)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{script}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// Runs the original's flows; every deviation that it tells of is in the papers.
fn original(service: &Service) {
    let told = run("original", service, &[&service.base()]);
    let design = std::fs::read_to_string(harness::root().join("docs/API-DESIGN.md")).unwrap();
    let (_, deviations) = told.split_once("| deviation | what it is |\n|---|---|\n").unwrap();
    let deviations: Vec<&str> =
        deviations.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(deviations.len() > 20, "{told}");
    for deviation in deviations {
        assert!(design.contains(deviation), "docs/API-DESIGN.md lacks: {deviation}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_s_client_works_on_postgresql() {
    let database = Postgres::shared().database();
    original(&Service::server(database.url()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_s_client_works_standalone() {
    let dir = tempfile::tempdir().unwrap();
    original(&Service::standalone(&dir.path().join("data")).await.unwrap());
}

/// Screenshots are left in `target/pages`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_without_a_network_reads_the_pages_and_tries_them_out() {
    let database = Postgres::shared().database();
    let service = Service::server(database.url()).await.unwrap();
    let screenshots = harness::root().join("target/pages");
    std::fs::create_dir_all(&screenshots).unwrap();
    print!("{}", run("pages.py", &service, &[&service.base(), &screenshots.display().to_string()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_forged_token_comes_in() {
    let database = Postgres::shared().database();
    run("tokens.py", &Service::server(database.url()).await.unwrap(), &[]);
}

/// Schemathesis: no 5xx, no status and no form of an answer that the document does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fuzzer_finds_nothing_that_the_document_does_not_say() {
    let database = Postgres::shared().database();
    let service = Service::server(database.url()).await.unwrap();
    let long = is_long().then_some("--long");
    print!("{}", run("fuzzer", &service, long.as_slice()));
}
