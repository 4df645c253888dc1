//! The API as clients meet it, on the real server with a real PostgreSQL.

mod auth;
mod bad_input;
mod configs;
mod drain;
mod edges;
mod events;
pub(crate) mod good;
mod holes;
mod hostile;
mod incidents;
mod insight;
mod isolation;
mod limits;
mod permissions;
mod repeat;
mod resources;
mod throttling;

use anyhow::Result;
use harness::{Client, Database, Postgres, Service};
use serde_json::{Value, json};

/// A server with an organization in it.
pub(crate) struct Here {
    pub(crate) service: Service,
    /// The admin who founded the organization.
    pub(crate) admin: Client,
    pub(crate) org_id: String,
    pub(crate) team_id: String,
    pub(crate) user_id: String,
    pub(crate) database: Database,
}

impl Here {
    pub(crate) async fn new() -> Result<Self> {
        let database = Postgres::shared().database();
        let service = Service::server(database.url()).await?;
        Self::with(database, service).await
    }

    /// As superuser, whom row-level security does not hold.
    async fn without_row_level_security() -> Result<Self> {
        let database = Postgres::shared().database();
        let allow = [("DB_ALLOW_UNWALLED_ROLE", "true")];
        let service = Service::server_with(database.admin_url(), &allow).await?;
        Self::with(database, service).await
    }

    pub(crate) async fn with(database: Database, service: Service) -> Result<Self> {
        let admin = service.client().sign_up("acme").await?;
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
    async fn colleague(&self, username: &str, role: &str) -> Result<Client> {
        let body = json!({
            "email": format!("{username}@people.example"),
            "username": username,
            "password": "correct horse",
            "team_id": self.team_id,
            "role": role,
        });
        let path = format!("/api/v1/organizations/{}/users", self.org_id);
        let answer = self.admin.post(&path, &body).await?;
        anyhow::ensure!(answer.status == 201, "{answer:?}");
        self.service.client().log_in(&format!("{username}@people.example")).await
    }

    /// Makes an API key, and returns its id and its text.
    pub(crate) async fn api_key(&self, body: Value) -> Result<(String, String)> {
        let answer = self.admin.post("/api/v1/api-keys", &body).await?;
        anyhow::ensure!(answer.status == 201, "{answer:?} {}", self.service.log());
        Ok((answer.text("id").to_owned(), answer.text("key").to_owned()))
    }

    /// Makes a configuration that is in use, for the whole organization.
    pub(crate) async fn config(&self, name: &str, yaml: &str) -> Result<String> {
        let body = json!({"name": name, "config_type": "organization", "status": "active",
                          "source_format": "yaml", "source": yaml});
        let answer = self.admin.post("/api/v1/configs", &body).await?;
        anyhow::ensure!(answer.status == 201, "{answer:?} {}", self.service.log());
        Ok(answer.text("id").to_owned())
    }

    /// One of each thing, and the paths to them: what to put for each parameter of a route.
    pub(crate) async fn things(&self) -> Result<Vec<(&'static str, String)>> {
        let team = &self.team_id;
        let create = async |kind: &str, body: Value| -> Result<String> {
            let answer = self.admin.post(&format!("/api/v1/teams/{team}/{kind}"), &body).await?;
            anyhow::ensure!(answer.status == 201, "{kind}: {answer:?}");
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

/// Returns the query that a route needs.
pub(crate) fn good_query(path: &str) -> &'static str {
    good::query(path)
}

/// Puts values for the parameters of a route.
pub(crate) fn fill(path: &str, things: &[(&str, String)]) -> String {
    things.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}
