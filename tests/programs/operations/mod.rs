//! Backups that operators ask for over HTTP, on the real server, with the real worker beside it.

mod embedded;
mod forged;
mod operators;
mod schedule;
mod story;
mod workers;

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{Answer, Client, PATIENCE, Postgres, Service, binary, poll};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What the operator shows.
pub(super) const TOKEN: &str = "0e8c1cbbd6a3f1b8a17d3a3d0ea4cd4d5ba9c8f34b2f1d7c35e26e47e8a8bbaf";

/// What server and worker know, and the database does not.
pub(super) const OPERATIONS_KEY: &str = "a key of operations, of 32 characters or more";

/// A file that knows the operator by the digest of the token.
pub(super) fn tokens_file() -> tempfile::NamedTempFile {
    let digest: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("# on call\nada {digest}\n")).unwrap();
    file
}

/// A cluster with an organization in its database `ours`, a server that has an operator, and a
/// directory for backups.
pub(super) struct Place {
    pub(super) postgres: Postgres,
    pub(super) service: Service,
    /// The admin of the organization.
    pub(super) admin: Client,
    pub(super) operator: Client,
    directory: tempfile::TempDir,
    _tokens: tempfile::NamedTempFile,
}

impl Place {
    pub(super) async fn new() -> Result<Self> {
        Self::with(&[("METADATA_OPERATIONS_KEY", OPERATIONS_KEY)]).await
    }

    pub(super) async fn with(more: &[(&str, &str)]) -> Result<Self> {
        let postgres = Postgres::private()?;
        let url = postgres.migrated("ours")?;
        let tokens = tokens_file();
        let path = tokens.path().display().to_string();
        let mut settings = vec![("METADATA_OPERATOR_TOKENS_FILE", path.as_str())];
        settings.extend(more);
        let service = Service::server_with(&url, &settings).await?;
        let admin = service.client().sign_up("acme").await?;
        let operator = service.client().with_token(TOKEN);
        let directory = tempfile::tempdir()?;
        Ok(Self { postgres, service, admin, operator, directory, _tokens: tokens })
    }

    /// Starts a worker that logs in as brownie-backup, and restores as the server's administrator.
    pub(super) fn worker(&self, schedule: &str) -> Result<Worker> {
        let variables = [
            ("DATABASE_URL", self.postgres.url_as("brownie-backup", "ours")),
            ("BACKUP_RESTORE_URL", self.postgres.url_as("postgres", "ours")),
            ("METADATA_OPERATIONS_KEY", OPERATIONS_KEY.to_owned()),
            ("BACKUP_PROVIDER", "local".to_owned()),
            ("BACKUP_DESTINATION", self.directory.path().display().to_string()),
            ("BACKUP_SCHEDULE", schedule.to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
        ];
        let log = tempfile::NamedTempFile::new()?;
        let child = Command::new(binary("brownie-backup"))
            .arg("schedule")
            .env_remove("DB_HOST")
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(log.reopen()?)
            .stderr(log.reopen()?)
            .spawn()?;
        Ok(Worker { child, log })
    }

    /// Asks for an operation, and returns its id.
    pub(super) async fn ask(&self, path: &str, body: &Value) -> Result<String> {
        let answer = self.operator.post(path, body).await?;
        accepted(&answer)
    }

    pub(super) async fn operation(&self, id: &str) -> Result<Answer> {
        self.operator.get(&format!("/api/v1/operations/{id}")).await
    }

    /// Waits until these backups are listed, the newest first: a worker reports after an operation has ended.
    pub(super) async fn until_listed(&self, names: &[&str]) {
        poll(format!("{names:?} are listed"), PATIENCE, async || {
            let listed = self.operator.get("/backup/list").await?;
            let backups = listed.body["backups"].as_array().cloned().unwrap_or_default();
            let found: Vec<_> = backups.iter().map(|backup| &backup["backup_name"]).collect();
            ensure!(found == names, "{listed:?}");
            Ok(())
        })
        .await;
    }

    /// Waits until an operation is in a state, or over.
    pub(super) async fn wait_for(&self, id: &str, state: &str) -> Result<Value> {
        wait_for(&self.operator, id, state).await
    }
}

/// Returns the id of what is queued.
pub(super) fn accepted(answer: &Answer) -> Result<String> {
    ensure!(answer.status == 202, "{answer:?}");
    let id = answer.text("id").to_owned();
    ensure!(answer.header("location") == format!("/api/v1/operations/{id}"), "{answer:?}");
    Ok(id)
}

/// How long an operation may take, all its programs being built for debugging.
pub(super) const LONG: Duration = Duration::from_secs(100);

/// Waits until an operation is in a state, or over.
pub(super) async fn wait_for(operator: &Client, id: &str, state: &str) -> Result<Value> {
    let answer = poll(format!("the operation is {state}, or over"), LONG, async || {
        // A database that is being replaced has no answer for a moment.
        let answer = operator.get(&format!("/api/v1/operations/{id}")).await?;
        let ends = [state, "succeeded", "failed", "cancelled"];
        ensure!(ends.contains(&answer.text("state")), "{answer:?}");
        Ok(answer)
    })
    .await;
    ensure!(answer.text("state") == state, "it is not {state}: {answer:?}");
    Ok(answer.body)
}

/// A running `brownie-backup schedule`.
pub(super) struct Worker {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Worker {
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop).context("waiting for it")
    }

    /// Tells it to stop (SIGTERM), and waits until it has.
    pub(super) fn stop(&mut self) -> Result<ExitStatus> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- brownie-backup schedule ---\n{}", self.log());
        }
    }
}

/// Makes every backup wait, as long as this is there.
pub(super) async fn hold_back(place: &Place) -> Result<tokio_postgres::Client> {
    let client = place.postgres.connect("ours").await?;
    client.batch_execute("BEGIN; LOCK TABLE teams IN ACCESS EXCLUSIVE MODE").await?;
    Ok(client)
}
