//! What it is told, by variables and by arguments.

use crate::{
    postgres::Postgres,
    world::{Worker, inside, keys},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_at_the_store_alone_needs_no_database() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let with = Worker::local(pg, &database);
    with.json(&["backup", "--name", "one"]);
    let destination = with.directory().display().to_string();
    let without = Worker::new(&[("BACKUP_DESTINATION", &destination)]);
    assert_eq!(without.names(), ["one"]);
    assert_eq!(without.json(&["status"])["backups"], 1);
    assert_eq!(without.json(&["verify", "one"])["verified"], "one");
    assert_eq!(without.json(&["keys", "rotate", "one"])["rotated"][0], "one");
    // The others say what is missing, before they do anything.
    for command in [
        &["backup"][..],
        &["drill", "one"],
        &["restore", "one"],
        &["delete", "one"],
        &["cleanup", "--dry-run"],
    ] {
        let output = without.run(command);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {error}");
        assert!(error.contains("DATABASE_URL must be set"), "{error}");
    }
    assert_eq!(without.names(), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_predecessors_variables_are_done_or_refused() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let worker = Worker::local(pg, &database)
        .without("DATABASE_URL")
        .with("BACKUP_DB_HOST", "127.0.0.1")
        .with("BACKUP_DB_PORT", &pg.port.to_string())
        .with("BACKUP_DB_NAME", &database)
        .with("BACKUP_DB_USER", "brownie-backup")
        .with("BACKUP_DB_SSL_MODE", "disable")
        .with("BACKUP_COMPRESSION", "true")
        .with("BACKUP_ENCRYPTION", "true")
        .with("BACKUP_VERIFY_BACKUP", "false")
        // Those of the service beside it.
        .with("DB_HOST", "nowhere.invalid");
    let made = worker.json(&["backup", "--name", "one"]);
    assert_eq!(made["verified"], false);
    let worker = worker.with("BACKUP_COMPRESSION", "false").with("BACKUP_CERT_DIR", "/certs");
    let output = worker.run(&["list"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("BACKUP_COMPRESSION cannot be false"), "{error}");
    let output = worker.without("BACKUP_COMPRESSION").run(&["list"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.contains("BACKUP_CERT_DIR"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_leads_nowhere_but_to_a_backup() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let worker = Worker::local(pg, &database);
    worker.json(&["backup", "--name", "one"]);
    let before = inside(pg, &database).await;
    let long = "x".repeat(1000);
    for name in
        ["../one", "one/../one", "a/b", "/etc", "..", ".", "", " ", "-x", "a b", "\u{e4}", &long]
    {
        for command in [
            vec!["verify", "--", name],
            vec!["delete", "--", name],
            vec!["restore", "--target-db", "never", "--", name],
            vec!["drill", "--", name],
            vec!["keys", "rotate", "--", name],
        ] {
            let output = worker.run(&command);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{name:?}: {error}");
            assert!(error.contains("cannot be the name of a backup"), "{name:?}: {error}");
            assert!(error.len() < 2000, "{error}");
        }
        let output = worker.run(&["backup", &format!("--name={name}")]);
        assert_eq!(output.status.code(), Some(2), "{name:?}");
    }
    for target in ["postgres", "template1", "brownie_scratch_1", "", &long] {
        let error = worker.refused(&["restore", "one", "--target-db", target]);
        assert!(error.contains("cannot be restored into"), "{error}");
    }
    assert_eq!(worker.names(), ["one"]);
    let entries = std::fs::read_dir(worker.dir.path()).unwrap().count();
    assert_eq!(entries, 2, "the identity, and the backups");
    assert_eq!(inside(pg, &database).await, before);
}

#[test]
fn a_private_key_that_is_not_there_is_named() {
    let worker = Worker::new(&[("BACKUP_DESTINATION", "backups")])
        .with("BACKUP_AGE_IDENTITY_FILE", "/no/such/file");
    let error = worker.refused(&["verify", "one"]);
    assert!(error.contains("/no/such/file cannot be read"), "{error}");
    assert!(!error.contains(&keys().0));
}
