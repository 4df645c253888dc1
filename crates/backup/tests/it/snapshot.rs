//! A backup is one state of the database, whatever goes on meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use brownie_backup::Create;
use brownie_test_servers::unique;

use crate::{
    postgres::Postgres,
    world::{Place, back_up, bring_back, encrypted, into},
};

/// Writers go on that keep one thing true in every transaction: there are as many audit rows as the
/// versions of incidents add up to. It holds in what is restored, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_meanwhile_is_there_as_a_whole_or_not_at_all() {
    let pg = Postgres::debian();
    let database = pg.filled(20, 2).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for _ in 0..2 {
        let (client, done) = (pg.connect(&database).await, Arc::clone(&done));
        writers.push(tokio::spawn(async move {
            let mut count = 0;
            while !done.load(Ordering::SeqCst) {
                let sql = "WITH changed AS (
                        UPDATE incidents SET version = version + 1, title = 'changed'
                        WHERE id = (SELECT id FROM incidents OFFSET floor(random() * 5000) LIMIT 1)
                        RETURNING org_id, id, version)
                    INSERT INTO audit_log (org_id, id, occurred_at, actor_kind, request_id, action,
                        resource, resource_id, version)
                    SELECT org_id, gen_random_uuid(), now(), 'job', gen_random_uuid(), 'update',
                        'incident', id, version FROM changed";
                client.batch_execute(sql).await.unwrap();
                count += 1;
            }
            count
        }));
    }
    let place = Place::new();
    for (name, jobs) in [("one", 1), ("two", 2), ("four", 4)] {
        let how = Create { jobs, part_bytes: 1 << 20, ..encrypted(name) };
        let manifest = back_up(pg, &database, &place.store, how).await.unwrap();
        assert!(!manifest.database.lsn.is_empty());
    }
    done.store(true, Ordering::SeqCst);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    let mut seen = Vec::new();
    for name in ["one", "two", "four"] {
        let target = format!("restored_{}", unique());
        bring_back(pg, &place.store, name, into(&target)).await.unwrap();
        let sql =
            "SELECT (SELECT sum(version)::bigint FROM incidents), (SELECT count(*) FROM audit_log)";
        let row = pg.connect(&target).await.query_one(sql, &[]).await.unwrap();
        let (versions, audited): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(versions, audited, "{name}");
        seen.push(audited);
    }
    assert!(seen.is_sorted() && seen[0] < seen[2], "{seen:?}");
}

/// A reader with a cursor must not be told what it was told before.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_sequence_goes_on_where_it_stood() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let next = "SELECT nextval('outbox_position')";
    let client = pg.connect(&database).await;
    client.batch_execute("SELECT setval('outbox_position', 123456)").await.unwrap();
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let target = format!("restored_{}", unique());
    bring_back(pg, &place.store, "one", into(&target)).await.unwrap();
    let restored = pg.connect(&target).await;
    assert_eq!(restored.query_one(next, &[]).await.unwrap().get::<_, i64>(0), 123_457);
    // Partitions that there were are there, with their rows in them.
    let months = "SELECT tableoid::regclass::text, count(*) FROM stats GROUP BY 1 ORDER BY 1";
    let of = async |client: &tokio_postgres::Client| -> Vec<(String, i64)> {
        let rows = client.query(months, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    let there = of(&client).await;
    assert!(there.iter().any(|(name, _)| name == "stats_2026_08"), "{there:?}");
    assert_eq!(of(&restored).await, there);
}
