//! What goes in comes out.

use std::time::Duration;

use brownie_backup::{EXCEPTIONS, Plan, verify};
use brownie_domain::SystemClock;
use brownie_test_servers::unique;

use crate::{
    postgres::{Postgres, contents},
    world::{Place, back_up, bring_back, encrypted, into, named, reading},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_backed_up_or_excepted_by_name() {
    let pg = Postgres::debian();
    let client = pg.connect(&pg.filled(1, 1).await).await;
    let sql = "SELECT table_name::text FROM information_schema.tables
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
          AND table_name !~ '_(default|\\d{4}_\\d{2})$' ORDER BY 1";
    let all: Vec<String> =
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let plan = Plan::read(&client).await.unwrap();
    let planned: Vec<&str> = plan.tables.iter().map(|(table, _)| table.name.as_str()).collect();
    for table in &all {
        let is_exception = EXCEPTIONS.iter().any(|(name, _)| name == table);
        assert!(planned.contains(&table.as_str()) != is_exception, "{table}");
        if is_exception {
            continue;
        }
        // The rows that these tests go by must be of every other table.
        let rows: i64 =
            client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0);
        assert!(rows > 0, "tests/it/rows.sql has none of {table}");
    }
    assert_eq!(plan.sequences, ["outbox_position"]);
    for (name, why) in EXCEPTIONS {
        assert!(all.contains(&(*name).to_owned()) && !why.is_empty(), "{name}");
    }
}

async fn there_and_back(from: &Postgres, to: &Postgres) {
    let database = from.filled(20, 3).await;
    let before = contents(&from.connect(&database).await).await;
    let place = Place::new();
    // Parts of 64 KiB: every large table has several.
    let how = brownie_backup::Create { part_bytes: 64 << 10, ..encrypted("one") };
    let manifest = back_up(from, &database, &place.store, how).await.unwrap();
    let incidents = manifest.tables.iter().find(|data| data.table.name == "incidents").unwrap();
    assert!(incidents.parts.len() > 5 && incidents.rows == 8000, "{}", incidents.parts.len());
    verify(&place.store, &named("one"), &SystemClock, &reading()).await.unwrap();

    let target = format!("restored_{}", unique());
    let restored = bring_back(to, &place.store, "one", into(&target)).await.unwrap();
    assert_eq!(restored.replaced, None);
    let client = to.connect(&target).await;
    assert_eq!(contents(&client).await, before);
    // The schema is what the migrations make: walls, references, indexes, partitions and all.
    let url = format!("postgres://postgres@127.0.0.1:{}/{target}?sslmode=disable", to.port);
    let database = brownie_migration::Database::new(url, Duration::from_secs(5));
    let drift = brownie_migration::drift(&database).await.unwrap();
    assert!(drift.differences.is_empty(), "{:?}", drift.differences);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out() {
    there_and_back(Postgres::debian(), Postgres::debian()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_old_server_to_a_new_one_and_back() {
    there_and_back(Postgres::debian(), Postgres::newest()).await;
    there_and_back(Postgres::newest(), Postgres::debian()).await;
}
