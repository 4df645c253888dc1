//! A database of a test's own, in the cluster that the tests share.

use std::thread;

use anyhow::Result;

use crate::{Postgres, postgres::enter};

/// A migrated database that is dropped with this value.
#[derive(Debug)]
pub struct Database {
    postgres: &'static Postgres,
    name: String,
    url: String,
    admin_url: String,
}

impl Database {
    pub(crate) fn new(postgres: &'static Postgres, name: String) -> Self {
        let (url, admin_url) = (postgres.url_as("brownie-server", &name), postgres.url(&name));
        Self { postgres, name, url, admin_url }
    }

    /// Returns its URL, for the role that serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns its URL, for a superuser.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Returns its URL, for another role.
    pub fn url_as(&self, role: &str) -> String {
        self.postgres.url_as(role, &self.name)
    }

    /// Returns its URL through a proxy on another port.
    pub fn url_via(&self, port: u16) -> String {
        self.url.replace(&format!(":{}/", self.postgres.port()), &format!(":{port}/"))
    }

    /// Opens a connection besides the one under test, as superuser.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn connect(&self) -> tokio_postgres::Client {
        self.connect_as("postgres").await
    }

    /// Opens a connection besides the one under test, as a role.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn connect_as(&self, role: &str) -> tokio_postgres::Client {
        match enter(self.postgres.door(role, &self.name)).await {
            Ok(client) => client,
            Err(error) => panic!("no connection to the test's database: {error:#}"),
        }
    }
}

/// The tables of a migrated database that hold tenants' rows, and the column that says whose.
pub const TENANT_TABLES: &str = "SELECT c.relname::text, a.attname::text
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition
      AND a.attname = CASE c.relname WHEN 'organizations' THEN 'id' ELSE 'org_id' END
    ORDER BY c.relname";

impl Database {
    /// Returns all rows of an organization as text, table by table, to compare with later.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn rows_of(&self, org_id: uuid::Uuid) -> Vec<(String, String)> {
        let client = self.connect().await;
        let good = |outcome: Result<_, tokio_postgres::Error>| match outcome {
            Ok(value) => value,
            Err(error) => panic!("the rows cannot be read: {error}"),
        };
        let mut all = Vec::new();
        for row in good(client.query(TENANT_TABLES, &[]).await) {
            let (table, column): (String, String) = (row.get(0), row.get(1));
            let sql = format!(
                "SELECT coalesce(string_agg(to_jsonb(t)::text, E'\\n' ORDER BY t.id), '')
                 FROM {table} t WHERE {column} = $1"
            );
            let rows = good(client.query(&sql, &[&org_id]).await);
            all.push((table, rows.first().map(|row| row.get(0)).unwrap_or_default()));
        }
        all
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept as long as the run of the tests: {}", self.url);
            return;
        }
        let _ = self.postgres.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}
