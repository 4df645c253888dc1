//! Everything is replaced, one after the other, while requests come without a pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use harness::{Client, PATIENCE, Service, is_long, pass, poll, until};
use serde_json::json;

use super::{
    Cluster, Pair,
    bao::Bao,
    client,
    world::{self, Ca},
};

/// Asks and writes until told to stop; returns how often, and what was not as it should be.
struct Load {
    over: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    async fn on(service: &Service) -> Self {
        let founder = service.client().sign_up("acme").await.unwrap();
        let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..6).map(|number| {
            tokio::spawn(ask(founder.clone(), number, Arc::clone(&over), Arc::clone(&count)))
        });
        Self { tasks: tasks.collect(), over, count }
    }

    /// Waits until some more have been answered.
    async fn goes_on(&self) {
        let count = || self.count.load(Ordering::Relaxed);
        let before = count();
        until("requests are answered", PATIENCE, async || count() > before + 10).await;
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.unwrap());
        }
        (self.count.load(Ordering::Relaxed), failures)
    }
}

async fn ask(
    client: Client,
    number: usize,
    over: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) -> Vec<String> {
    let me = client.get("/api/v1/auth/me").await.unwrap();
    let path = format!("/api/v1/teams/{}/incidents", me.text("team_id"));
    let mut failures = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let answer = if number.is_multiple_of(2) {
            client.get(&path).await.map(|answer| (answer.status, 200))
        } else {
            let body = json!({"title": "while certificates change"});
            client.post(&path, &body).await.map(|answer| (answer.status, 201))
        };
        match answer {
            Ok((status, expected)) if status == expected => {}
            other => failures.push(format!("{other:?}")),
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    failures
}

fn generations(service: &Service) -> usize {
    service.log().matches("certificate in use").count()
}

/// Waits until the service uses its `number`th certificates, or newer.
async fn reaches(service: &Service, number: usize) {
    poll(format!("generation {number} is used"), PATIENCE, async || {
        ensure!(generations(service) >= number, "{}", service.log());
        Ok(())
    })
    .await;
}

async fn serials(cluster: &Cluster) -> Vec<String> {
    let sql =
        "SELECT DISTINCT client_serial::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE usename = 'brownie-server' AND ssl ORDER BY 1";
    let client = cluster.postgres.connect("postgres").await.unwrap();
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Waits until every session shows this certificate. One is replaced when it is used: by a request, or
/// by the look at the whole database.
async fn shown_by_all(cluster: &Cluster, pair: &Pair) -> Vec<String> {
    let serial = pair.certificate.serial_number().to_bn().unwrap().to_dec_str().unwrap();
    let wanted = [serial.to_string()];
    poll("all sessions show the new certificate", PATIENCE, async || {
        let shown = serials(cluster).await;
        ensure!(shown == wanted, "they show {shown:?}, and not only {wanted:?}");
        Ok(shown)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ca_server_and_client_are_replaced_under_load_without_a_failed_request() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let cluster = Cluster::of(&old).await;
    let dir = client(&old, "brownie-server");
    let path = dir.path().to_str().unwrap();
    // The session that looks at the whole database is replaced when it looks.
    let often = ("METRICS_INTERVAL", "1");
    let settings = [("CERT_DIR", path), ("CERT_RELOAD_SECONDS", "0.3"), often];
    let service = Service::server_with(&cluster.url("brownie-server"), &settings).await.unwrap();
    let quiet = cluster.postgres.log().unwrap().len();
    let load = Load::on(&service).await;
    load.goes_on().await;

    // Both sides believe both authorities, in either order.
    cluster.believe(&(new.pem() + &old.pem())).await;
    dir.put("ca.crt", old.pem() + &new.pem());
    reaches(&service, 2).await;
    cluster.show(&new.server()).await;
    dir.put_pair("client", &new.client("brownie-server"));
    reaches(&service, 3).await;
    dir.put("ca.crt", new.pem());
    reaches(&service, 4).await;
    cluster.believe(&new.pem()).await;
    let newest = new.client("brownie-server");
    dir.put_pair("client", &newest);
    reaches(&service, 5).await;
    let last = shown_by_all(&cluster, &newest).await;
    let log = cluster.postgres.log().unwrap();
    assert!(!log[quiet..].contains("FATAL"), "{}", &log[quiet..]);

    // A bad one is refused, and said to be.
    dir.put("client.key", world::key_pem(&world::ec()));
    let refused = async || service.metrics_client().get("/metrics").await.unwrap().body.to_string();
    until("the certificate is refused", PATIENCE, async || {
        refused().await.contains("brownie_certificate_refused 1")
    })
    .await;
    let ready = service.client().get("/readyz").await.unwrap();
    assert_eq!(
        (ready.status, ready.body["certificates"]["status"].as_str()),
        (200, Some("refused"))
    );
    load.goes_on().await;
    assert_eq!(serials(&cluster).await, last);

    let (count, failures) = load.end().await;
    eprintln!("{count} requests, 5 generations of certificates");
    assert!(failures.is_empty(), "{} of {count}: {:?}", failures.len(), failures.first());
    assert!(count > 50, "{count}");
}

/// Ten minutes of certificates that live for sixty seconds, or forty seconds of ten.
fn pace() -> (Duration, &'static str, usize) {
    if is_long() {
        (Duration::from_mins(10), "60s", 11)
    } else {
        (Duration::from_secs(40), "12s", 4)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_issues_short_lived_certificates_without_a_failed_request() {
    let bao = Bao::start().await;
    bao.pki().await;
    bao.allow().await;
    let ca = Ca::new("servers");
    let cluster = Cluster::of(&ca).await;
    let root = bao.get("pki/cert/ca").await;
    cluster.believe(root["data"]["certificate"].as_str().unwrap()).await;
    let ca_file = world::Dir::new();
    ca_file.put("ca.crt", ca.pem());

    let (long, ttl, wanted) = pace();
    let token = bao.token("20m", &["brownie"]).await;
    let servers = ca_file.file("ca.crt");
    let bundle = root["data"]["certificate"].as_str().unwrap().to_owned() + "\n" + &ca.pem();
    ca_file.put("ca.crt", bundle);
    let settings = [
        ("VAULT_ENABLED", "true"),
        ("VAULT_ADDR", bao.address.as_str()),
        ("VAULT_TOKEN", token.as_str()),
        ("VAULT_PKI_ROLE", "brownie"),
        ("VAULT_PKI_TTL", ttl),
        ("VAULT_PKI_CA_FILE", servers.to_str().unwrap()),
    ];
    let service = Service::server_with(&cluster.url("brownie-server"), &settings).await.unwrap();
    let load = Load::on(&service).await;
    pass(long, "certificates of a minute, for as long as the test is to take").await;
    let (count, failures) = load.end().await;
    let used = generations(&service);
    eprintln!("{count} requests in {long:?}, {used} certificates of {ttl}");
    assert!(failures.is_empty(), "{} of {count}: {:?}", failures.len(), failures.first());
    assert!(used >= wanted, "{used} certificates");
}
