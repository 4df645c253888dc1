//! Prometheus, Alertmanager and `postgres_exporter` as processes, and somebody who is told of alerts.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Result, ensure};
use harness::{PATIENCE, Postgres, Service, poll};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// The alerts that were told of, each with its status.
type Told = Arc<Mutex<Vec<(String, String)>>>;

/// Processes that look at a service every second, by our rules; only, nothing need last.
pub(crate) struct Watch {
    prometheus: String,
    children: Vec<Child>,
    told: Told,
    dir: tempfile::TempDir,
}

impl Drop for Watch {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Watch {
    pub(crate) fn start(service: &Service, postgres: &Postgres) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let [prometheus, alertmanager, exporter] =
            [harness::free_port()?, harness::free_port()?, harness::free_port()?];
        for entry in fs::read_dir(harness::root().join("monitoring/prometheus/rules"))?.flatten() {
            let text = fs::read_to_string(entry.path())?;
            let hasty: String =
                text.lines()
                    .map(|line| {
                        if line.trim_start().starts_with("for: ") {
                            "        for: 1s"
                        } else {
                            line
                        }
                    })
                    .map(|line| format!("{line}\n"))
                    .collect();
            fs::write(dir.path().join(entry.file_name()), hasty)?;
        }
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['*.yml']\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n\
             scrape_configs:\n\
             - {{job_name: brownie-server, static_configs: [{{targets: ['{}']}}]}}\n\
             - {{job_name: postgres, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}\n",
            service.base().trim_start_matches("http://")
        );
        fs::write(dir.path().join("prometheus.yaml"), config)?;
        let (told, hook) = receiver()?;
        let config = format!(
            "route: {{receiver: hook, group_wait: 0s, group_interval: 1s, group_by: [alertname]}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{hook}/', send_resolved: true}}]}}]\n"
        );
        fs::write(dir.path().join("alertmanager.yaml"), config)?;
        let mut watch = Self {
            prometheus: format!("http://127.0.0.1:{prometheus}"),
            children: Vec::new(),
            told,
            dir,
        };
        watch.run(
            "prometheus-alertmanager",
            &[
                "--config.file=alertmanager.yaml",
                "--storage.path=alertmanager",
                "--cluster.listen-address=",
                &format!("--web.listen-address=127.0.0.1:{alertmanager}"),
            ],
            None,
        )?;
        let source = format!(
            "postgresql://postgres@/postgres?host={}&port={}&sslmode=disable",
            postgres.socket().display(),
            postgres.port()
        );
        let listen = format!("--web.listen-address=127.0.0.1:{exporter}");
        watch.run("prometheus-postgres-exporter", &[&listen], Some(&source))?;
        let listen = format!("--web.listen-address=127.0.0.1:{prometheus}");
        let arguments = ["--config.file=prometheus.yaml", "--storage.tsdb.path=series", &listen];
        watch.run("prometheus", &arguments, None)?;
        Ok(watch)
    }

    fn run(&mut self, program: &str, arguments: &[&str], source: Option<&str>) -> Result<()> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(source) = source {
            command.env("DATA_SOURCE_NAME", source);
        }
        self.children.push(command.spawn()?);
        Ok(())
    }

    /// Where Prometheus answers.
    pub(crate) fn prometheus(&self) -> &str {
        &self.prometheus
    }

    /// Waits until a panel's query has something to show.
    pub(crate) async fn has_data(&self, expr: &str) -> Result<()> {
        let expr = expr.replace("$__rate_interval", "1m").replace("$instance", ".*");
        let mut url = url::Url::parse(&format!("{}/api/v1/query", self.prometheus))?;
        url.query_pairs_mut().append_pair("query", &expr);
        let client = reqwest::Client::new();
        poll(format!("there is data for {expr}"), PATIENCE, async || {
            let said: Value = client.get(url.clone()).send().await?.json().await?;
            let found = said["data"]["result"].as_array().is_some_and(|found| !found.is_empty());
            ensure!(said["status"] == "success" && found, "{said}");
            Ok(())
        })
        .await;
        Ok(())
    }

    /// Waits until the receiver has been told of an alert.
    pub(crate) async fn told(&self, alert: &str, status: &str) -> Result<()> {
        poll(format!("{alert} is {status}"), Duration::from_mins(1), async || {
            let heard = self.told.lock().map(|told| told.clone()).unwrap_or_default();
            ensure!(heard.iter().any(|(name, how)| name == alert && how == status), "{heard:?}");
            Ok(())
        })
        .await;
        Ok(())
    }
}

/// Listens for Alertmanager's messages, and notes each alert with its status.
fn receiver() -> Result<(Told, u16)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let listener = TcpListener::from_std(listener)?;
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let notes = Arc::clone(&notes);
            tokio::spawn(async move {
                let mut message = Vec::new();
                let mut chunk = [0; 4096];
                loop {
                    match socket.read(&mut chunk).await {
                        Ok(0) | Err(_) => return,
                        Ok(length) => message.extend_from_slice(&chunk[..length]),
                    }
                    let text = String::from_utf8_lossy(&message).into_owned();
                    let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
                    let Ok(body) = serde_json::from_str::<Value>(body) else { continue };
                    for alert in body["alerts"].as_array().into_iter().flatten() {
                        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                        let note = (of(&alert["labels"]["alertname"]), of(&alert["status"]));
                        notes.lock().unwrap().push(note);
                    }
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    let _ = socket.write_all(answer).await;
                    message.clear();
                }
            });
        }
    });
    Ok((told, port))
}
