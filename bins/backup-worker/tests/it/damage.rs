//! What is stored was changed: refused by name, and no database is touched. `crates/backup` tries every
//! object; this is what an operator sees.

use std::fs;

use brownie_backup::Hash;

use crate::{
    postgres::Postgres,
    world::{Worker, inside},
};

/// Changes a manifest, its checksum included.
fn edit(worker: &Worker, from: &str, to: &str) {
    let path = worker.directory().join("one/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let (_, document) = text.split_once("\"document\":").unwrap();
    let document = document.strip_suffix('}').unwrap();
    assert!(document.contains(from), "{document}");
    let document = document.replacen(from, to, 1);
    let sha256 = Hash::of(document.as_bytes());
    fs::write(&path, format!("{{\"sha256\":\"{sha256}\",\"document\":{document}}}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_edited_is_refused_and_nothing_is_touched() {
    let pg = Postgres::alone();
    let database = pg.filled(1, 1).await;
    let before = inside(&pg, &database).await;
    let databases = pg.databases().await;
    let worker = Worker::local(&pg, &database);
    worker.json(&["backup", "--name", "one"]);
    let path = worker.directory().join("one/manifest.json");
    let good = fs::read(&path).unwrap();
    let restore: &[&str] =
        &["restore", "one", "--target-db", &database, "--force", "--confirm", &database];
    let refused = |expected: &str| {
        for command in [&["verify", "one"][..], &["drill", "one"], restore] {
            let error = worker.refused(command);
            assert!(error.contains(expected), "{command:?}: {error}");
        }
    };
    // Without its checksum.
    fs::write(
        &path,
        String::from_utf8(good.clone()).unwrap().replacen("\"rows\":", "\"rows\":1", 1),
    )
    .unwrap();
    refused("one/manifest.json is damaged");
    // By somebody who knows of it: the rows, the table, the objects are not what it says.
    for (from, to, expected) in [
        ("\"format\":1", "\"format\":99", "made by a newer release (its format is 99)"),
        ("\"name\":\"one\"", "\"name\":\"two\"", "one/manifest.json"),
        ("\"stored_bytes\":", "\"stored_bytes\":9", "one/"),
        ("-00001.copy", "-00002.copy", "is missing"),
        ("-00001.copy", "/../../x.copy", "is missing"),
    ] {
        fs::write(&path, &good).unwrap();
        edit(&worker, from, to);
        refused(expected);
        let listed = worker.json(&["list"]);
        assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed}");
    }
    // With a key to sign with, whatever was edited.
    fs::write(&path, &good).unwrap();
    let worker = worker.with("BACKUP_SIGNING_KEY", &"k".repeat(32));
    let error = worker.refused(&["verify", "one"]);
    assert!(error.contains("only what was signed with it is trusted"), "{error}");
    assert_eq!(pg.databases().await, databases);
    assert_eq!(inside(&pg, &database).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_newer_schema_is_named_as_one() {
    let pg = Postgres::alone();
    let database = pg.filled(1, 1).await;
    let worker = Worker::local(&pg, &database);
    let later =
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 1)";
    pg.connect(&database).await.batch_execute(later).await.unwrap();
    worker.json(&["backup", "--name", "one"]);
    for command in [&["drill", "one"][..], &["restore", "one", "--target-db", "never"]] {
        let error = worker.refused(command);
        assert!(
            error.contains("one was made by a newer release") && error.contains("m29990101"),
            "{error}"
        );
    }
    assert!(!pg.databases().await.contains(&"never".to_owned()));
}
