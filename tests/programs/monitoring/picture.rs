//! The overview as a picture, of live data.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use harness::{Client, Postgres, Service, pass};
use serde_json::json;

use super::{folder, watch::Watch};

/// Draws the overview of the last `seconds`.
pub(crate) fn draw(watch: &Watch, seconds: u64, window: &str, picture: &Path) {
    let dashboard = folder().join("grafana/dashboards/overview.json");
    let mut draw = Command::new(folder().join("grafana/picture.py"));
    draw.arg(watch.prometheus()).arg(dashboard).arg(picture);
    let output = draw.args(["--seconds", &seconds.to_string(), "--window", window]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Reads and writes until it is time, a while between one request and the next.
async fn ask(client: Client, until: Instant, pause: Duration) {
    let me = client.get("/api/v1/auth/me").await.unwrap();
    let path = format!("/api/v1/teams/{}/incidents", me.text("team_id"));
    let mut made = String::new();
    // What fails while the database is away belongs to the picture.
    for round in 0_u32.. {
        if Instant::now() > until {
            return;
        }
        match round % 8 {
            0 => {
                let body = json!({"title": "Disk almost full", "priority": "high"});
                if let Ok(answer) = client.post(&path, &body).await
                    && answer.status == 201
                {
                    answer.text("id").clone_into(&mut made);
                }
            }
            4 => drop(client.get(&path).await),
            _ if made.is_empty() => {}
            _ => drop(client.get(&format!("/api/v1/incidents/{made}")).await),
        }
        pass(pause, "a person thinks").await;
    }
}

/// Draws `docs/images/overview.svg`: five minutes in which more and more people come, and the
/// database goes away for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "five minutes, for the papers: just it programs::monitoring::picture --profile long --run-ignored only"]
async fn the_overview_is_drawn_for_the_papers() {
    let mut postgres = Postgres::durable().unwrap();
    let url = postgres.migrated("drawn").unwrap();
    let service = Service::server_with(&url, &[("METRICS_INTERVAL", "1")]).await.unwrap();
    let watch = Watch::start(&service, &postgres).unwrap();
    let seconds = 300;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut people = Vec::new();
    for number in 0..12 {
        let client = service.client().sign_up(&format!("drawn-{number}")).await.unwrap();
        let pause = Duration::from_millis(20 + 9 * number);
        people.push(tokio::spawn(ask(client, until, pause)));
        pass(Duration::from_secs(15), "load that grows").await;
    }
    postgres.crash().unwrap();
    pass(Duration::from_secs(10), "an outage that can be seen in the picture").await;
    postgres.restart().unwrap();
    for one in people {
        one.await.unwrap();
    }
    let picture = harness::root().join("docs/images/overview.svg");
    draw(&watch, seconds, "15s", &picture);
    assert!(!fs::read_to_string(picture).unwrap().contains("no data"));
}
