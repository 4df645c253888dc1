//! Live servers, watched.

use std::collections::BTreeMap;

use brownie_metrics::{GROUPS, all};
use harness::{PATIENCE, Postgres, Service, pass, until};
use reqwest::Method;
use serde_json::json;

use super::{exported, files, panels, picture::draw, promql, watch::Watch};

/// Does something of everything, so that everything is counted.
async fn load(service: &Service, slug: &str) {
    let client = service.client().sign_up(slug).await.unwrap();
    let me = client.get("/api/v1/auth/me").await.unwrap();
    let path = format!("/api/v1/teams/{}/incidents", me.text("team_id"));
    for number in 0..5 {
        let made = client.post(&path, &json!({ "title": format!("Disk {number} is full") })).await;
        let made = made.unwrap();
        assert_eq!(made.status, 201, "{:?}", made.body);
        if number < 2 {
            let path = format!("/api/v1/incidents/{}", made.text("id"));
            let mut etag = made.header("etag").to_owned();
            for status in ["in_progress", "resolved"] {
                let change = json!({ "status": status });
                let changed = client.patch(&path, &etag, &change).await.unwrap();
                assert_eq!(changed.status, 200, "{:?}", changed.body);
                changed.header("etag").clone_into(&mut etag);
            }
        }
    }
    let keyed = [("idempotency-key", "the-same-again")];
    for _ in 0..2 {
        let body = json!({ "title": "Once" }).to_string();
        client.send(Method::POST, &path, &keyed, Some(body)).await.unwrap();
    }
    // Nobody of this name: refused, and noted against the address.
    service.client().log_in("nobody@example.com").await.unwrap_err();
    client.with_token("nonsense").get("/api/v1/auth/me").await.unwrap();
    client.get("/api/v1/teams/nonsense").await.unwrap();
}

/// What the catalogue promises is on the page, and nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_server_exports_the_catalogue_and_nothing_else() {
    let database = Postgres::shared().database();
    let service = Service::server_with(database.url(), &[("METRICS_INTERVAL", "1")]).await.unwrap();
    load(&service, "monitored").await;
    let client = service.metrics_client();
    until("the business is counted", PATIENCE, async || {
        let page = client.get("/metrics").await.unwrap().body.to_string();
        page.contains("brownie_incidents_active 4")
    })
    .await;
    let page = client.get("/metrics").await.unwrap().body;
    let page = page.as_str().unwrap();
    let types: BTreeMap<&str, &str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for (name, kind) in &types {
        let metric = all().find(|metric| metric.name == *name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert_eq!(metric.kind.as_str(), *kind, "{name}");
    }
    // Of backups others tell.
    let elsewhere = ["brownie_backup"];
    for metric in GROUPS.iter().flat_map(|group| group.metrics) {
        if !elsewhere.iter().any(|start| metric.name.starts_with(start)) {
            assert!(types.contains_key(metric.name), "{} is not exported:\n{page}", metric.name);
        }
    }
    let exported = exported();
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        for promql::Series { name, labels } in promql::series(line.rsplit_once(' ').unwrap().0) {
            let known = &exported[&name];
            assert!(labels.iter().all(|label| known.contains(label.as_str())), "{line}");
        }
    }
    for expected in [
        "\nbrownie_organizations 1\n",
        "\nbrownie_incidents_active 4\n",
        "\nbrownie_migrations_pending 0\n",
        "brownie_audit_records_total{action=\"created\",resource=\"incident\"} 6\n",
        "brownie_incident_resolution_seconds_count{priority=\"medium\"} 2\n",
        "brownie_idempotency_total{outcome=\"replayed\"} 1\n",
        "brownie_auth_attempts_total{method=\"unreadable\",outcome=\"refused\"} 1\n",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
}

/// Two instances, one database: one of them tells, and when it is gone the other one does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_tells_of_the_business() {
    let database = Postgres::shared().database();
    let every_second = [("METRICS_INTERVAL", "1")];
    let mut first = Service::server_with(database.url(), &every_second).await.unwrap();
    tells(&first, true).await;
    let second = Service::server_with(database.url(), &every_second).await.unwrap();
    pass(std::time::Duration::from_millis(2500), "two rounds in which the second might tell, too")
        .await;
    tells(&second, false).await;
    tells(&first, true).await;
    first.stop().unwrap();
    tells(&second, true).await;
}

async fn tells(service: &Service, expected: bool) {
    let client = service.metrics_client();
    until(format!("an instance tells: {expected}"), PATIENCE, async || {
        let page = client.get("/metrics").await.unwrap().body.to_string();
        page.contains("brownie_organizations 0") == expected
    })
    .await;
}

/// Prometheus, Alertmanager and the exporter as processes: the database dies, and whoever is to know
/// gets to know; it comes back, and they hear that, too. Meanwhile every panel of the dashboards has
/// something to show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_dies_is_told_of_and_so_is_its_return() {
    let mut postgres = Postgres::private().unwrap();
    let url = postgres.migrated("monitored").unwrap();
    let service = Service::server_with(&url, &[("METRICS_INTERVAL", "1")]).await.unwrap();
    let watch = Watch::start(&service, &postgres).unwrap();
    for round in 0..4 {
        load(&service, &format!("monitored-{round}")).await;
        pass(
            std::time::Duration::from_secs(1),
            "rates need several scrapes with something between",
        )
        .await;
    }
    for (path, text) in files("grafana/dashboards", ".json") {
        for (title, expr) in panels(&serde_json::from_str(&text).unwrap()) {
            // Of a backup nobody tells yet; Redis is not here; a month has not passed.
            let elsewhere =
                ["brownie_backup", "redis_", "status=~\"5..\"", "outcome=\"failed\"", "30d"];
            if !elsewhere.iter().any(|part| expr.contains(part)) {
                watch.has_data(&expr).await.unwrap_or_else(|why| panic!("{path}: {title}: {why}"));
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let picture = dir.path().join("overview.svg");
    draw(&watch, 30, "10s", &picture);
    let drawn = std::fs::read_to_string(picture).unwrap();
    for title in ["Traffic", "Latency", "Errors", "Saturation: connections", "Busiest routes"] {
        assert!(drawn.contains(&format!(">{title}</text>")), "{title}");
    }
    assert!(drawn.matches("<path ").count() > 10 && !drawn.contains("no data"), "{drawn}");
    postgres.crash().unwrap();
    watch.told("DatabaseDown", "firing").await.unwrap();
    postgres.restart().unwrap();
    watch.told("DatabaseDown", "resolved").await.unwrap();
}
