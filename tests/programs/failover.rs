//! A three-node Patroni cluster in synchronous mode loses its leader again and again while sixteen
//! connections write: nothing that was acknowledged is lost, and the service is back as soon as the
//! cluster is.
//!
//! `tests/run.sh --failover` installs the parts and runs this; it takes about four minutes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Client, Service, pass};
use serde_json::json;
use tokio::time::timeout;
use tokio_postgres::NoTls;

const KILLS: usize = 10;
const CONNECTIONS: usize = 16;
/// How much longer than the cluster the service may take to write again.
const MARGIN: Duration = Duration::from_secs(3);

/// The cluster, ended with this value.
struct Cluster {
    dir: PathBuf,
    port: u16,
}

impl Cluster {
    fn start() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("brownie-patroni-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let mut cluster = Self { dir, port: 0 };
        let said = cluster.tell("start")?;
        let port = said.lines().find_map(|line| line.strip_prefix("writer_port="));
        cluster.port = port.context("no port")?.trim().parse()?;
        Ok(cluster)
    }

    fn tell(&self, command: &str) -> Result<String> {
        let script = harness::root().join("tests/parts/patroni.sh");
        let output = Command::new(script).arg(command).arg::<&Path>(&self.dir).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "patroni.sh {command}: {said}{error}");
        Ok(said)
    }

    fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.tell("stop").is_ok() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// When something last succeeded, and the longest it has not since this was reset.
#[derive(Default)]
struct Gap(Mutex<(Option<Instant>, Duration)>);

impl Gap {
    fn success(&self) {
        let mut gap = self.0.lock().unwrap();
        let now = Instant::now();
        if let Some(last) = gap.0.replace(now) {
            gap.1 = gap.1.max(now - last);
        }
    }

    fn take(&self) -> Duration {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) =
        timeout(Duration::from_secs(1), tokio_postgres::connect(url, NoTls)).await??;
    tokio::spawn(connection);
    Ok(client)
}

/// Writes to the cluster without us in between, to know what its own gap is.
async fn write_directly(url: String, gap: Arc<Gap>, stop: Arc<AtomicBool>) {
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        if client.is_none() {
            client = connect(&url).await.ok();
        }
        let written = match &client {
            Some(client) => {
                let insert = client.batch_execute("INSERT INTO probe DEFAULT VALUES");
                matches!(timeout(Duration::from_secs(1), insert).await, Ok(Ok(())))
            }
            None => false,
        };
        if written {
            gap.success();
        } else {
            client = None;
        }
        pass(Duration::from_millis(10), "a probe a hundred times a second").await;
    }
}

/// Writes through the service until told to stop; each number until it is answered. Returns how
/// often there was no answer.
async fn write(
    client: Client,
    path: String,
    next: Arc<AtomicUsize>,
    gap: Arc<Gap>,
    stop: Arc<AtomicBool>,
) -> Result<usize> {
    let mut unanswered = 0;
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let body =
            json!({"title": format!("Number {number}"), "idempotency_key": number.to_string()});
        loop {
            match client.post(&path, &body).await {
                Ok(answer) if matches!(answer.status, 200 | 201) => break,
                Ok(answer) => ensure!(answer.status == 503, "{answer:?}"),
                Err(_) => {}
            }
            unanswered += 1;
            pass(Duration::from_millis(20), "a client that tries again").await;
        }
        gap.success();
    }
    Ok(unanswered)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/run.sh --failover installs the parts and runs it"]
async fn a_cluster_that_loses_its_leader_loses_no_write() -> Result<()> {
    let cluster = Cluster::start()?;
    connect(&cluster.url("postgres", "postgres"))
        .await?
        .batch_execute("CREATE DATABASE brownie")
        .await?;
    let admin_url = cluster.url("postgres", "brownie");
    let database = brownie_migration::Database::new(&admin_url, Duration::from_secs(30));
    brownie_migration::apply(&database).await?;
    connect(&admin_url)
        .await?
        .batch_execute("CREATE TABLE probe (at timestamptz DEFAULT now())")
        .await?;
    let service = Service::server(&cluster.url("brownie-server", "brownie")).await?;
    let admin = service.client().sign_up("acme").await?;
    let team = admin.get("/api/v1/auth/me").await?.text("team_id").to_owned();
    let path = format!("/api/v1/teams/{team}/incidents");

    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (through_us, direct) = (Arc::new(Gap::default()), Arc::new(Gap::default()));
    let probe =
        tokio::spawn(write_directly(admin_url.clone(), Arc::clone(&direct), Arc::clone(&stop)));
    let writers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            tokio::spawn(write(
                admin.clone(),
                path.clone(),
                Arc::clone(&next),
                Arc::clone(&through_us),
                Arc::clone(&stop),
            ))
        })
        .collect();
    pass(Duration::from_secs(2), "load before the first kill").await;
    let mut gaps = Vec::new();
    for _ in 0..KILLS {
        through_us.take();
        direct.take();
        tokio::task::block_in_place(|| cluster.tell("kill-leader"))?;
        // Until both have written again for a while.
        pass(Duration::from_secs(15), "the gap is measured over a fixed time").await;
        gaps.push((direct.take(), through_us.take()));
        tokio::task::block_in_place(|| cluster.tell("revive"))?;
        pass(Duration::from_secs(1), "load between two kills").await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut unanswered = 0;
    for writer in writers {
        unanswered += writer.await??;
    }
    probe.await?;
    for (number, (cluster, us)) in gaps.iter().enumerate() {
        println!("kill {number}: the cluster's gap {cluster:.1?}, ours {us:.1?}");
    }

    let client = connect(&admin_url).await?;
    let rows = client.query("SELECT idempotency_key FROM incidents", &[]).await?;
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    for row in rows {
        *found.entry(row.get::<_, String>(0).parse()?).or_default() += 1;
    }
    let asked = next.load(Ordering::SeqCst);
    let missing = (0..asked).filter(|number| !found.contains_key(number)).count();
    let twice = found.values().filter(|count| **count > 1).count();
    println!(
        "{asked} acknowledged through {KILLS} kills, {unanswered} tries had no answer; {missing} missing, {twice} twice"
    );
    assert_eq!((missing, twice), (0, 0));
    for table in ["audit_log", "outbox"] {
        let odd = format!(
            "SELECT count(*) FROM incidents i WHERE 1 <>
            (SELECT count(*) FROM {table} r WHERE r.org_id = i.org_id AND r.resource_id = i.id)"
        );
        assert_eq!(client.query_one(&odd, &[]).await?.get::<_, i64>(0), 0, "{table}");
    }
    for (cluster, us) in gaps {
        assert!(cluster > Duration::from_secs(1), "the leader was not really lost: {cluster:?}");
        assert!(us <= cluster + MARGIN, "we took {us:?}, the cluster {cluster:?}");
    }
    Ok(())
}
