//! What the papers say about backups, done: every block of commands, in order.

use std::{path::Path, process::Command};

use crate::{
    postgres::Postgres,
    world::{Worker, inside},
};

/// Returns the blocks of commands of a page, as one script.
fn script(page: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(here.join("../../docs").join(page)).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let script: String = blocks.collect();
    assert!(script.lines().count() > 6, "{page}");
    script
}

/// Runs a script; the first command that fails ends it. Returns what it prints.
fn bash(pg: &Postgres, script: &str, dir: &Path, variables: &[(&str, &str)]) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_brownie-backup")).parent().unwrap();
    let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", programs.display(), pg.bin.display());
    let mut command = Command::new("bash");
    command.args(["-euxo", "pipefail", "-c", script]).current_dir(dir).env_clear();
    command.env("PATH", path).env("LOG_LEVEL", "warn").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{error}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_does_what_it_says() {
    let pg = Postgres::alone();
    let database = pg.filled(1, 1).await;
    let url = pg.url("postgres", &database);
    let dir = tempfile::tempdir().unwrap();
    let said = bash(&pg, &script("BACKUP.md"), dir.path(), &[("DATABASE_URL", &url)]);
    assert!(said.contains("first was restored and compared"), "{said}");
    assert!(said.contains("rotated 1") && said.contains("metadata_again is first"), "{said}");
    assert_eq!(inside(&pg, "metadata_again").await, inside(&pg, &database).await);
    let teams = std::fs::read_to_string(dir.path().join("teams.copy")).unwrap();
    assert_eq!(teams.lines().count(), 20, "{teams}");
    assert!(!dir.path().join("backup.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_brings_a_database_back() {
    let pg = Postgres::alone();
    let database = pg.filled(1, 1).await;
    let worker = Worker::local(&pg, &database);
    worker.json(&["backup", "--name", "nightly"]);
    let before = inside(&pg, &database).await;
    // Then somebody wrecks it.
    let wreck = "DELETE FROM stats; UPDATE incidents SET title = 'wrecked'";
    pg.connect(&database).await.batch_execute(wreck).await.unwrap();
    let (url, identity) = (pg.url("postgres", &database), worker.dir.path().join("identity"));
    let destination = worker.directory().display().to_string();
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("BACKUP_DESTINATION", &destination),
        ("BACKUP_AGE_RECIPIENTS", &crate::world::keys().0),
        ("BACKUP_AGE_IDENTITY_FILE", identity.to_str().unwrap()),
    ];
    let said =
        bash(&pg, &script("runbooks/RUNBOOK-disaster-recovery.md"), worker.dir.path(), &variables);
    assert!(said.contains("brownie_restored is nightly"), "{said}");
    assert!(said.contains(&format!("{database}_before_")), "{said}");
    let open = "SELECT count(*) FROM sessions WHERE revoked_at IS NULL";
    let client = pg.connect(&database).await;
    assert_eq!(client.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 0);
    // All but the sessions, which were ended, is as it was.
    let without = |all: Vec<(String, i64, String)>| -> Vec<_> {
        all.into_iter().filter(|(table, ..)| table != "sessions").collect()
    };
    assert_eq!(without(inside(&pg, &database).await), without(before.clone()));
    assert_eq!(inside(&pg, "brownie_restored").await, before);
    assert!(worker.names().contains(&"after-recovery".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_organization_comes_back_as_its_page_says() {
    let pg = Postgres::alone();
    let database = pg.filled(1, 1).await;
    let client = pg.connect(&database).await;
    let first = "(SELECT min(id::text)::uuid FROM organizations)";
    let named = format!("UPDATE organizations SET slug = 'acme' WHERE id = {first}");
    client.batch_execute(&named).await.unwrap();
    let worker = Worker::local(&pg, &database);
    let (url, identity) = (pg.url("postgres", &database), worker.dir.path().join("identity"));
    let destination = worker.directory().display().to_string();
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("BACKUP_DESTINATION", &destination),
        ("BACKUP_AGE_RECIPIENTS", &crate::world::keys().0),
        ("BACKUP_AGE_IDENTITY_FILE", identity.to_str().unwrap()),
    ];
    bash(&pg, &script("organization-restore.md"), worker.dir.path(), &variables);
    let of = "SELECT string_agg(slug || ' ' || (SELECT count(*) FROM incidents WHERE org_id = o.id), ', '
        ORDER BY slug) FROM organizations AS o WHERE slug LIKE 'acme%'";
    let found: String = client.query_one(of, &[]).await.unwrap().get(0);
    let count = found.split(' ').nth(1).unwrap().trim_end_matches(',');
    assert_ne!(count, "0");
    assert_eq!(found, format!("acme {count}, acme-2 {count}, acme-monday {count}"));
    let restored = "SELECT count(*) FROM audit_log WHERE action = 'organization.restored'";
    assert_eq!(client.query_one(restored, &[]).await.unwrap().get::<_, i64>(0), 1);
}
