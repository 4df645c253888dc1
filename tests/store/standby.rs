//! A standby is no primary: neither when a connection is opened, nor later, nor behind a pooler.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use brownie_persistence::{Error, PoolOptions, Store};
use harness::{Founded, PATIENCE, PgBouncer, Postgres, new_team, until};
use tokio::net::{TcpListener, TcpStream};

/// Leads connections to wherever it is told to, as a name does whose address changes: those that are open stay.
#[derive(Clone)]
struct Name {
    port: u16,
    leads_to: Arc<AtomicU16>,
}

impl Name {
    async fn of(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = Self {
            port: listener.local_addr().unwrap().port(),
            leads_to: Arc::new(AtomicU16::new(port)),
        };
        let leads_to = Arc::clone(&name.leads_to);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let to = SocketAddr::from(([127, 0, 0, 1], leads_to.load(Ordering::Relaxed)));
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(to).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        name
    }

    fn lead_to(&self, port: u16) {
        self.leads_to.store(port, Ordering::Relaxed);
    }
}

fn store(port: u16, max_lifetime: Duration) -> Store {
    let url = format!("postgres://brownie-server@127.0.0.1:{port}/x?sslmode=disable");
    Store::new(&PoolOptions { max_connections: 4, max_lifetime, ..PoolOptions::new(&url) }).unwrap()
}

/// FAULTS S3b: a standby, which shows rows as they once were, is refused by name; a pool whose address leads to one
/// is not half on it when its connections have been replaced; and when it is promoted, the service is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3b_a_standby_is_refused_and_a_promoted_one_is_taken() {
    let mut primary = Postgres::trusting().unwrap();
    primary.migrated("x").unwrap();
    let founding = store(primary.port(), Duration::MAX);
    let org = Founded::new(&founding, "switch").await;
    let standby = primary.standby().unwrap();
    let read = async |store: &Store| store.org(&org.ctx).teams().get(org.team_id).await;
    let write = async |store: &Store, slug: &str| {
        let slug = slug.to_owned();
        store
            .write(&org.ctx, move |tx| {
                let new = new_team(&slug);
                async move { tx.teams().create(new).await }
            })
            .await
    };
    let admin = standby.connect("x").await.unwrap();
    until("the standby has the organization", PATIENCE, async || {
        let sql = "SELECT count(*) FROM teams";
        admin.query_one(sql, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 1)
    })
    .await;

    // When it is opened.
    let said = read(&store(standby.port(), Duration::MAX)).await.unwrap_err();
    assert!(
        matches!(&said, Error::Unavailable(Some(why)) if why.to_string().contains("standby")),
        "{said:?}"
    );

    // When its name leads elsewhere: what is open goes on with the primary until it is old, and nothing is ever
    // read of the standby, nor said to be written.
    let name = Name::of(primary.port()).await;
    let service = store(name.port, Duration::from_secs(2));
    write(&service, "before").await.unwrap();
    name.lead_to(standby.port());
    let began = Instant::now();
    until("all connections are old", PATIENCE, async || {
        let read = read(&service).await;
        assert!(!matches!(read, Err(Error::NotFound { .. })), "{read:?}");
        began.elapsed() > Duration::from_secs(3) && read.is_err()
    })
    .await;
    assert!(write(&service, "refused").await.is_err());

    // When it is promoted, having what was written: replication is not synchronous here.
    until("the standby has what was written", PATIENCE, async || {
        let sql = "SELECT count(*) FROM teams WHERE slug = 'before'";
        admin.query_one(sql, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 1)
    })
    .await;
    primary.crash().unwrap();
    admin.query_one("SELECT pg_promote()", &[]).await.unwrap();
    let promoted = Instant::now();
    until("the service writes again", PATIENCE, async || write(&service, "after").await.is_ok())
        .await;
    assert!(promoted.elapsed() < Duration::from_secs(3), "{:?}", promoted.elapsed());
    let kept = "SELECT count(*) FROM teams WHERE slug IN ('before', 'after')";
    assert_eq!(admin.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 2);
}

/// The same behind a pooler, whose own connections lead to a standby from some moment on, while ours stay open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3b_a_pooler_that_leads_to_a_standby_is_noticed_by_each_read() {
    let primary = Postgres::trusting().unwrap();
    primary.migrated("x").unwrap();
    let standby = primary.standby().unwrap();
    let founding = store(primary.port(), Duration::MAX);
    let org = Founded::new(&founding, "pooled").await;
    let name = Name::of(primary.port()).await;
    let pooler = PgBouncer::before("1.24", name.port).unwrap();
    let service = store(pooler.port(), Duration::MAX);
    let read = async || service.org(&org.ctx).teams().get(org.team_id).await;
    read().await.unwrap();
    name.lead_to(standby.port());
    pooler.reconnect().await.unwrap();
    for _ in 0..20 {
        let said = read().await;
        assert!(matches!(said, Err(Error::Unavailable(_))), "{said:?}");
    }
    assert!(!service.is_writable());
    name.lead_to(primary.port());
    pooler.reconnect().await.unwrap();
    until("it reads again", PATIENCE, async || read().await.is_ok()).await;
}
