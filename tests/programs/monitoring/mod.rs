//! What an operator sees: alerts, dashboards, runbooks and exported numbers name the same things.

mod live;
mod picture;
mod promql;
mod strangers;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use brownie_metrics::{Kind, all};
use harness::{Postgres, Service};
use serde_json::Value;

/// Series of others' exporters that may be asked for, and what for.
const FOREIGN: &[(&str, &str)] = &[
    ("up", "Prometheus: whether a target can be scraped"),
    ("ALERTS", "Prometheus: in tests of alerts"),
    ("pg_up", "postgres_exporter: whether the server answers"),
    ("pg_database_size_bytes", "postgres_exporter: the size of each database"),
    ("pg_replication_lag", "postgres_exporter 0.11: on a replica, seconds"),
    ("pg_replication_lag_seconds", "postgres_exporter from 0.12 on: the same"),
    ("pg_settings_max_connections", "postgres_exporter: what the server allows"),
    ("pg_stat_activity_count", "postgres_exporter: sessions by state"),
    ("redis_up", "redis_exporter: whether Redis answers"),
    ("redis_memory_max_bytes", "redis_exporter: maxmemory"),
    ("redis_memory_used_bytes", "redis_exporter: memory in use"),
];

fn folder() -> PathBuf {
    harness::root().join("monitoring")
}

fn files(directory: &str, suffix: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(folder().join(directory))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{directory}");
    found
}

/// Returns what a line of YAML of ours says after `key`, without its quotes.
fn said<'a>(line: &'a str, key: &str) -> Option<String> {
    let text: &'a str = line.trim_start().trim_start_matches("- ").strip_prefix(key)?.trim();
    let bare = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    Some(bare.map_or_else(|| text.to_owned(), |bare| bare.replace("''", "'")))
}

/// An alert, as its rule has it.
struct Alert {
    name: String,
    runbook: String,
}

fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for (_, text) in files("prometheus/rules", ".yml") {
        for line in text.lines() {
            if let Some(name) = said(line, "alert:") {
                alerts.push(Alert { name, runbook: String::new() });
            }
            if let Some(url) = said(line, "runbook_url:") {
                alerts.last_mut().unwrap().runbook = url;
            }
        }
    }
    assert!(alerts.len() > 50);
    alerts
}

/// Every query that we ask anywhere, with where.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for (path, text) in files("prometheus/rules", ".yml") {
        let exprs = text.lines().filter_map(|line| said(line, "expr:"));
        queries.extend(exprs.map(|expr| (path.clone(), expr)));
    }
    for (path, text) in files("grafana/dashboards", ".json") {
        for (title, expr) in panels(&serde_json::from_str(&text).unwrap()) {
            queries.push((format!("{path}: {title}"), expr));
        }
    }
    queries
}

fn panels(dashboard: &Value) -> Vec<(String, String)> {
    let of = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |at| (title.clone(), at["expr"].as_str().unwrap().to_owned()))
    };
    dashboard["panels"].as_array().unwrap().iter().flat_map(of).collect()
}

/// Returns the series that ours export, with the labels of each.
fn exported() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut series = BTreeMap::new();
    for metric in all() {
        let labels: BTreeSet<&str> =
            metric.labels.iter().copied().chain(["job", "instance"]).collect();
        if metric.kind != Kind::Histogram {
            series.insert(metric.name.to_owned(), labels);
            continue;
        }
        for (suffix, more) in [("_bucket", Some("le")), ("_sum", None), ("_count", None)] {
            let labels = labels.iter().copied().chain(more).collect();
            series.insert(format!("{}{suffix}", metric.name), labels);
        }
    }
    series
}

#[test]
fn only_what_is_exported_is_asked_for() {
    let exported = exported();
    let recorded: BTreeSet<String> = files("prometheus/rules", "recording.yml")[0]
        .1
        .lines()
        .filter_map(|line| said(line, "record:"))
        .collect();
    let mut used = BTreeSet::new();
    for (place, expr) in queries() {
        for promql::Series { name, labels } in promql::series(&expr) {
            used.insert(name.clone());
            if recorded.contains(&name) || FOREIGN.iter().any(|(foreign, _)| *foreign == name) {
                continue;
            }
            let known = exported.get(&name);
            let known = known.unwrap_or_else(|| panic!("{place}: nobody exports {name}: {expr}"));
            for label in labels {
                assert!(known.contains(label.as_str()), "{place}: {name} has no {label}: {expr}");
            }
        }
    }
    for (foreign, _) in FOREIGN.iter().filter(|(foreign, _)| *foreign != "ALERTS") {
        assert!(used.contains(*foreign), "nobody asks for {foreign}");
    }
    assert!(recorded.iter().all(|name| used.contains(name)), "recorded for nobody");
}

/// A number that is named in a paper is there.
#[test]
fn the_papers_name_numbers_that_there_are() {
    let names = exported();
    let mut seen = 0;
    for directory in ["docs", "docs/runbooks", "monitoring"] {
        let pages = fs::read_dir(harness::root().join(directory)).unwrap().flatten();
        for path in
            pages.map(|entry| entry.path()).filter(|path| path.extension() == Some("md".as_ref()))
        {
            let text = fs::read_to_string(&path).unwrap();
            let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            for word in text.split(|letter| !is_word(letter)) {
                let is_metric = ["_total", "_seconds", "_bytes", "_bucket", "_count"]
                    .iter()
                    .any(|suffix| word.ends_with(suffix));
                if !(word.starts_with("brownie_") && is_metric) {
                    continue;
                }
                let is_known = names.contains_key(word) || all().any(|metric| metric.name == word);
                assert!(is_known, "{}: {word}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 35, "{seen}");
}

#[test]
fn every_alert_has_its_section_and_every_section_its_alert() {
    let page = harness::root().join("docs/runbooks/RUNBOOK-incident-response.md");
    let page = fs::read_to_string(page).unwrap();
    let sections: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let base = "https://docs.brownie-metadata.com/runbooks/RUNBOOK-incident-response#";
    for Alert { name, runbook } in alerts() {
        assert_eq!(runbook, format!("{base}{}", name.to_lowercase()));
        let section = page.split(&format!("### {name}\n")).nth(1).unwrap_or_default();
        let section = section.split("\n#").next().unwrap();
        for part in ["**Means.**", "**Look.**", "**Act.**", "**Verify.**"] {
            assert!(section.contains(part), "{name}: {part}");
        }
    }
    let names: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(sections, names);
    for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(names.iter().any(|name| name.to_lowercase() == link), "#{link}");
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_stay_silent() {
    let tests: String =
        files("prometheus/tests", ".yml").into_iter().map(|(_, text)| text).collect();
    for Alert { name, .. } in alerts() {
        for way in ["fires", "stays silent"] {
            let mark = format!("- name: {name} {way}\n");
            let test = tests.split(&mark).nth(1).unwrap_or_else(|| panic!("no test: {name} {way}"));
            let test = test.split("- name:").next().unwrap();
            assert!(test.contains(&format!("alertname=\"{name}\"")), "{name}");
            assert_eq!(test.contains("value: 1}]"), way == "fires", "{name} {way}");
        }
    }
    let folder = folder().join("prometheus");
    for (path, _) in files("prometheus/tests", ".yml") {
        run(&folder, "promtool", &["test", "rules", &path]);
    }
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; tests/install.sh"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn prometheus_and_alertmanager_take_their_configuration() {
    run(&folder(), "promtool", &["check", "config", "prometheus/prometheus.yml"]);
    run(&folder(), "amtool", &["check-config", "alertmanager/alertmanager.yml"]);
    let config = fs::read_to_string(folder().join("alertmanager/alertmanager.yml")).unwrap();
    for line in config.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for secret in ["password:", "api_url:", "routing_key:", "service_key:", "token:"] {
            assert!(said(line, secret).is_none(), "a secret belongs in a file: {line}");
        }
    }
}

#[test]
fn every_severity_reaches_whom_it_is_for() {
    let routes = fs::read_to_string(folder().join("alertmanager/routes.txt")).unwrap();
    let routes: Vec<_> = routes.lines().filter_map(|line| line.split_once(": ")).collect();
    let file = "--config.file=alertmanager/alertmanager.yml";
    for (receiver, labels) in routes.iter().filter(|(receiver, _)| !receiver.starts_with('#')) {
        let expected = format!("--verify.receivers={receiver}");
        let mut arguments = vec!["config", "routes", "test", file, &expected];
        arguments.extend(labels.split(' '));
        run(&folder(), "amtool", &arguments);
    }
    for severity in ["critical", "warning", "info"] {
        assert!(routes.iter().any(|(_, labels)| labels.contains(&format!("severity={severity}"))));
    }
}

#[test]
fn the_dashboards_are_those_of_their_maker() {
    let made = tempfile::tempdir().unwrap();
    let maker = folder().join("grafana/make.py");
    run(&folder(), "python3", &[&maker.to_string_lossy(), &made.path().to_string_lossy()]);
    for (path, text) in files("grafana/dashboards", ".json") {
        let name = Path::new(&path).file_name().unwrap();
        assert_eq!(fs::read_to_string(made.path().join(name)).unwrap(), text, "{path}");
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let ids: Vec<_> = dashboard["panels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|panel| panel["id"].as_u64())
            .collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{path}");
    }
}

/// Returns the blocks of a language in a runbook.
fn blocks(runbook: &str, language: &str) -> Vec<String> {
    let page = fs::read_to_string(harness::root().join("docs/runbooks").join(runbook)).unwrap();
    let begin = format!("```{language}\n");
    let blocks = page.split(begin.as_str()).skip(1);
    blocks.filter_map(|rest| Some(rest.split("```").next()?.to_owned())).collect()
}

/// Every statement of the runbooks, on whatever PostgreSQL the tests run on.
#[tokio::test]
async fn the_sql_of_the_runbooks_can_be_run() {
    let database = Postgres::shared().database();
    let monitor = database.connect_as("brownie-monitor").await;
    let admin = database.connect().await;
    for (runbook, least) in
        [("RUNBOOK-incident-response.md", 6), ("RUNBOOK-scaling.md", 2), ("RUNBOOK-sharding.md", 1)]
    {
        let blocks = blocks(runbook, "sql");
        assert!(blocks.len() >= least, "{runbook}");
        for block in blocks {
            admin.batch_execute(&block).await.unwrap_or_else(|error| panic!("{block}: {error:?}"));
            // It sees no rows and owns no sequence, so neither the outbox nor what is whose.
            if !block.contains("outbox") && !block.contains("organizations") {
                let outcome = monitor.batch_execute(&block).await;
                outcome.unwrap_or_else(|error| panic!("{block}: {error:?}"));
            }
        }
    }
}

/// And the commands of the one about scaling, which only look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_scaling_can_be_run() {
    let database = Postgres::shared().database();
    let service = Service::server(database.url()).await.unwrap();
    let script = blocks("RUNBOOK-scaling.md", "sh").concat();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script]).env("API", service.base());
    let output = bash.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("brownie_db_connections_max"), "{said}");
}
