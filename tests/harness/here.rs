//! An organization on a running server, as clients meet it.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{Client, Database, InProcess, PATIENCE, Postgres, until};

/// A server with an organization in it.
#[derive(Debug)]
pub struct Here<S = InProcess> {
    /// What serves it.
    pub service: S,
    /// The admin who founded the organization.
    pub admin: Client,
    /// The organization's id.
    pub org_id: String,
    /// Its first team's.
    pub team_id: String,
    /// The admin's.
    pub user_id: String,
    /// What it is kept in.
    pub database: Database,
}

/// Settings for many requests at once that wait for one row: on a machine that does something else, too, the
/// last of them wait longer than they would in production.
pub const PATIENT: &[(&str, &str)] = &[("DB_POOL_TIMEOUT", "60"), ("DB_LOCK_TIMEOUT", "60")];

/// A server that can be asked.
pub trait Serves {
    /// Returns the URL it answers at.
    fn base(&self) -> String;
}

impl Here {
    /// Starts a server in this process, and founds an organization.
    ///
    /// # Errors
    /// When either is refused.
    pub async fn new() -> Result<Self> {
        Self::with_settings(&[]).await
    }

    /// As [`Here::new`], with settings of the test's own.
    ///
    /// # Errors
    /// As [`Here::new`].
    pub async fn with_settings(settings: &[(&str, &str)]) -> Result<Self> {
        let database = Postgres::shared().database();
        let service = InProcess::server_with(database.url(), settings).await?;
        Self::with(database, service).await
    }

    /// As superuser, whom row-level security does not hold.
    ///
    /// # Errors
    /// As [`Here::new`].
    pub async fn without_row_level_security() -> Result<Self> {
        let database = Postgres::shared().database();
        let allow = [("DB_ALLOW_UNWALLED_ROLE", "true")];
        let service = InProcess::server_with(database.admin_url(), &allow).await?;
        Self::with(database, service).await
    }
}

impl<S: Serves> Here<S> {
    /// Founds an organization on a server that runs.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn with(database: Database, service: S) -> Result<Self> {
        let admin = Client::anonymous(&service.base()).sign_up("acme").await?;
        let me = admin.get("/api/v1/auth/me").await?;
        let member = |name: &str| me.text(name).to_owned();
        Ok(Self {
            org_id: member("org_id"),
            team_id: member("team_id"),
            user_id: member("id"),
            service,
            admin,
            database,
        })
    }

    /// Adds somebody to the first team, and comes back as them.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn colleague(&self, username: &str, role: &str) -> Result<Client> {
        let body = json!({
            "email": format!("{username}@people.example"),
            "username": username,
            "password": "correct horse",
            "team_id": self.team_id,
            "role": role,
        });
        let path = format!("/api/v1/organizations/{}/users", self.org_id);
        let answer = self.admin.post(&path, &body).await?;
        ensure!(answer.status == 201, "{answer:?}");
        Client::anonymous(&self.service.base()).log_in(&format!("{username}@people.example")).await
    }

    /// Makes an API key, and returns its id and its text.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn api_key(&self, body: Value) -> Result<(String, String)> {
        let answer = self.admin.post("/api/v1/api-keys", &body).await?;
        ensure!(answer.status == 201, "{answer:?}");
        Ok((answer.text("id").to_owned(), answer.text("key").to_owned()))
    }

    /// Makes a configuration that is in use, for the whole organization.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn config(&self, name: &str, yaml: &str) -> Result<String> {
        let body = json!({"name": name, "config_type": "organization", "status": "active",
                          "source_format": "yaml", "source": yaml});
        let answer = self.admin.post("/api/v1/configs", &body).await?;
        ensure!(answer.status == 201, "{answer:?}");
        Ok(answer.text("id").to_owned())
    }

    /// One of each thing, and the paths to them: what to put for each parameter of a route.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn things(&self) -> Result<Vec<(&'static str, String)>> {
        let team = &self.team_id;
        let create = async |kind: &str, body: Value| -> Result<String> {
            let answer = self.admin.post(&format!("/api/v1/teams/{team}/{kind}"), &body).await?;
            ensure!(answer.status == 201, "{kind}: {answer:?}");
            Ok(answer.text("id").to_owned())
        };
        let incident = create("incidents", json!({"title": "Disk full"})).await?;
        let config = create("agent-configs", json!({"name": "Triage", "agent_type": "analysis"}));
        let config = config.await?;
        let stat = create(
            "stats",
            json!({"metric_name": "latency", "metric_type": "gauge", "value": 1.5,
                   "timestamp": "2026-11-21T12:00:00Z"}),
        );
        let stat = stat.await?;
        Ok(vec![
            ("{org_id}", self.org_id.clone()),
            ("{team_id}", team.clone()),
            ("{user_id}", self.user_id.clone()),
            ("{incident_id}", incident),
            ("{config_id}", config),
            ("{stat_id}", stat),
            ("{configuration_id}", self.config("first", "a: 1").await?),
            ("{key_id}", self.api_key(json!({"name": "first", "role": "viewer"})).await?.0),
            ("{code}", "not_found".to_owned()),
        ])
    }
}

/// Puts values for the parameters of a route.
pub fn fill(path: &str, things: &[(&str, String)]) -> String {
    things.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// Waits until a service is at work on a request, asking its port for metrics.
pub async fn until_in_flight(metrics: &Client) {
    until("a request is in flight", PATIENCE, async || {
        let page = metrics.get("/metrics").await.map(|answer| answer.text_body().to_owned());
        let page = page.unwrap_or_default();
        let mut lines = page.lines();
        let count = lines.find_map(|line| line.strip_prefix("brownie_http_requests_in_flight "));
        count.is_some_and(|count| count != "0")
    })
    .await;
}
