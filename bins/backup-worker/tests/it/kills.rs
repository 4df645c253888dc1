//! Killed with SIGKILL at any moment: there is a whole backup or none, the next run succeeds, and what
//! was left is removed. Six moments each; thirty in `tests/run.sh --long`.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use brownie_test_servers::{Dice, ObjectStore, PATIENCE, Protocol, is_long, pass_blocking, until};
use serde_json::json;

use crate::{
    postgres::Postgres,
    world::{Worker, filled, inside},
};

fn moments() -> u64 {
    if is_long() { 30 } else { 6 }
}

/// Kills a run after some of the time that a whole one takes, another part of it each time.
fn kill(worker: &Worker, arguments: &[&str], whole: Duration, moment: u64, dice: &mut Dice) {
    let whole = u64::try_from(whole.as_millis()).unwrap();
    // A twentieth more than all of it: the last moments count, too.
    let slice = whole * 21 / 20 / moments();
    let delay = slice * moment + dice.below(slice.max(1));
    let mut run = worker.spawn(arguments);
    pass_blocking(Duration::from_millis(delay), "the moment of the kill");
    run.kill().unwrap();
    run.wait().unwrap();
    eprintln!("killed after {delay} of {whole} ms: {arguments:?}");
}

pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

async fn backups_are_killed(pg: &Postgres, database: &str, worker: &Worker) -> usize {
    let before = inside(pg, database).await;
    let begun = Instant::now();
    worker.json(&["backup", "--name", "whole"]);
    let whole = begun.elapsed();
    let mut dice = Dice::new(7);
    for moment in 0..moments() {
        let name = format!("killed-{moment}");
        kill(worker, &["backup", "--name", &name], whole, moment, &mut dice);
        // What is listed is whole: one that was killed while it was verified is.
        let listed = worker.names();
        if listed.contains(&name) {
            worker.json(&["verify", &name]);
        }
        let next = format!("next-{moment}");
        let made = worker.json(&["backup", "--name", &next]);
        assert_eq!(made["verified"], true);
        assert_eq!(worker.names().len(), listed.len() + 1);
    }
    worker.json(&["cleanup", "--orphans-older-than", "0m"]);
    let left = worker.json(&["cleanup", "--orphans-older-than", "0m", "--dry-run"]);
    assert_eq!((&left["orphans"], &left["uploads"]), (&json!([]), &json!([])), "{left}");
    let names = worker.names();
    for name in &names {
        worker.json(&["verify", name]);
    }
    assert_eq!(inside(pg, database).await, before);
    names.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_killed_at_any_moment_is_whole_or_in_no_list() {
    let pg = Postgres::alone();
    let database = filled(&pg, 10).await;
    let worker = Worker::local(&pg, &database);
    let listed = backups_are_killed(&pg, &database, &worker).await;
    // Each backup has the files of one run, and there is nothing half-written.
    let all = files(&worker.directory());
    assert!(!all.iter().any(|file| file.contains('#')), "{all:?}");
    let keys: BTreeSet<_> = all.iter().filter(|file| file.ends_with("key.age")).collect();
    assert_eq!(keys.len(), listed, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_that_goes_to_s3() {
    let pg = Postgres::alone();
    let database = filled(&pg, 10).await;
    let store = ObjectStore::start(Protocol::S3).unwrap();
    let worker = Worker::on(&pg, &database, &store.variables(""));
    backups_are_killed(&pg, &database, &worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_killed_at_any_moment_has_changed_nothing() {
    let pg = Postgres::alone();
    let database = filled(&pg, 10).await;
    let worker = Worker::local(&pg, &database);
    worker.json(&["backup", "--name", "one"]);
    let original = inside(&pg, &database).await;
    let admin = pg.connect("postgres").await;
    // What is to be replaced is another database.
    let target = pg.filled(1, 1).await;
    let other = inside(&pg, &target).await;
    let begun = Instant::now();
    worker.json(&["drill", "one"]);
    let whole = begun.elapsed();
    let mut dice = Dice::new(11);
    for moment in 0..moments() {
        let (fresh, over) = (format!("fresh_{moment}"), format!("over_{moment}"));
        admin.batch_execute(&format!("CREATE DATABASE {over} TEMPLATE {target}")).await.unwrap();
        let (name, arguments) = if moment % 2 == 0 {
            (&fresh, vec!["restore", "one", "--target-db", &fresh])
        } else {
            (&over, vec!["restore", "one", "--target-db", &over, "--force", "--confirm", &over])
        };
        kill(&worker, &arguments, whole, moment, &mut dice);
        // A swap of names that was sent is done all the same, and whoever connects meanwhile is refused.
        let busy = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())";
        until("the server is done with what was killed", PATIENCE, async || {
            !admin.query_one(busy, &[]).await.unwrap().get::<_, bool>(0)
        })
        .await;
        // It has the name when it is whole, and not before.
        if pg.databases().await.contains(&fresh) {
            assert_eq!(inside(&pg, &fresh).await, original, "{fresh}");
        }
        let found = inside(&pg, &over).await;
        assert!(found == other || (name == &over && found == original), "{over}");

        if found == other {
            worker.json(&["restore", "one", "--target-db", &over, "--force", "--confirm", &over]);
            assert_eq!(inside(&pg, &over).await, original);
        } else {
            worker.json(&["drill", "one"]);
        }
        let databases = pg.databases().await;
        let scratch = databases.iter().find(|name| name.starts_with("brownie_scratch_"));
        assert_eq!(scratch, None);
        let kept = databases.iter().find(|name| name.starts_with(&format!("{over}_before_")));
        assert_eq!(inside(&pg, kept.unwrap()).await, other);
        for name in
            databases.iter().filter(|name| name.starts_with("fresh_") || name.starts_with("over_"))
        {
            let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
            admin.batch_execute(&drop).await.unwrap();
        }
        assert_eq!(inside(&pg, &database).await, original);
    }
}
