//! What strangers send is no label, and a database that hangs is no reason not to tell.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use harness::{ChaosProxy, Client, Dice, Mode, Postgres, Service, pass};
use reqwest::Method;

/// Each is one request of the thousands: a path, a method, a host, an agent, and headers that a careless
/// exporter would take for labels.
struct Stranger {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
}

impl Stranger {
    fn from(dice: &mut Dice) -> Self {
        let word = |dice: &mut Dice| -> String {
            let letter = |place| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[place]);
            (0..=dice.below(12)).map(|_| letter(usize::try_from(dice.below(36)).unwrap())).collect()
        };
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", ""];
        let method = match methods[usize::try_from(dice.below(8)).unwrap()] {
            "" => Method::from_bytes(word(dice).to_uppercase().as_bytes()).unwrap(),
            known => known.parse().unwrap(),
        };
        let path = match dice.below(6) {
            0 => format!("/{}", word(dice)),
            1 => format!("/api/v1/{}/{}?{}={}", word(dice), word(dice), word(dice), word(dice)),
            2 => format!("/api/v1/incidents/{}", word(dice)),
            3 => format!("/api/v1/teams/{}/incidents?status={}", word(dice), word(dice)),
            4 => format!("/problems/{}", word(dice)),
            _ => format!("/%{:02x}/../{}/", 33 + dice.below(90), word(dice)),
        };
        let headers = vec![
            ("host", format!("{}.example.com", word(dice))),
            ("user-agent", format!("{}/{}", word(dice), dice.below(1000))),
            ("x-forwarded-for", format!("203.0.113.{}", dice.below(255))),
            ("x-request-id", word(dice)),
            ("idempotency-key", word(dice)),
            ("content-type", format!("{}/{}", word(dice), word(dice))),
            ("authorization", format!("Bearer {}", word(dice))),
        ];
        Self { method, path, headers }
    }

    async fn asks(self, client: &Client) {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.send(self.method, &self.path, &headers, None).await.unwrap();
    }
}

/// The series of the metrics' page, without their numbers.
async fn series(service: &Service) -> BTreeSet<String> {
    let page = service.metrics_client().get("/metrics").await.unwrap().body;
    let lines = page.as_str().unwrap().lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// The first thousand have met every answer there is; nine thousand more add nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_strangers_add_no_series() {
    let database = Postgres::shared().database();
    let service = Service::server_with(database.url(), &[("METRICS_INTERVAL", "0")]).await.unwrap();
    let client = service.client();
    let mut dice = Dice::new(20_261_122);
    let mut crowd = async |size: usize| {
        let strangers: Vec<_> = (0..size).map(|_| Stranger::from(&mut dice)).collect();
        stream::iter(strangers).for_each_concurrent(8, |stranger| stranger.asks(&client)).await;
    };
    series(&service).await;
    crowd(1000).await;
    let known = series(&service).await;
    crowd(9000).await;
    let after = series(&service).await;
    let new: Vec<_> = after.difference(&known).collect();
    assert!(new.is_empty(), "{new:?}");
    let answered = after.iter().filter(|line| line.starts_with("brownie_http_requests_total"));
    assert!(answered.count() > 20, "they were not answered");
    assert!(after.iter().any(|line| line.contains("unmatched") && line.contains("other")));
    assert!(after.len() < 2000, "{}", after.len());
}

/// Nothing that asks the database gets an answer: first every connection falls silent, then every table
/// is locked. The numbers are told as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exporter_answers_while_the_database_hangs() {
    let database = Postgres::shared().database();
    let proxy = ChaosProxy::to(Postgres::shared().port()).await.unwrap();
    let often = [("METRICS_INTERVAL", "1")];
    let service = Service::server_with(&database.url_via(proxy.port()), &often).await.unwrap();
    let alice = service.client().sign_up("hanging").await.unwrap();
    proxy.set(Mode::Silence);
    let admin = database.connect().await;
    let locks = "BEGIN; LOCK TABLE users, organizations, sessions, seaql_migrations, memberships";
    admin.batch_execute(locks).await.unwrap();
    let waits = tokio::spawn(async move { alice.get("/api/v1/auth/me").await.unwrap().status });
    let clients = [service.metrics_client(), service.client()];
    for _ in 0..10 {
        for client in &clients {
            let began = Instant::now();
            let answer = client.get("/metrics").await.unwrap();
            assert_eq!(answer.status, 200);
            assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
            assert!(answer.body.as_str().unwrap().contains("brownie_db_connections"));
        }
        pass(Duration::from_millis(200), "ten looks over two seconds of silence").await;
    }
    assert_eq!(waits.await.unwrap(), 503, "the database hung all the while");
    admin.batch_execute("ROLLBACK").await.unwrap();
}
