//! PostgreSQL as backups meet it: two releases, and everybody may come in.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use brownie_backup::{Cluster, EXCEPTIONS, MigrateByUrl, Server};
use brownie_test_servers::{Access, Postgres as Started, debian_programs, parts, unique};
use tokio_postgres::{Client, NoTls};

/// A database cluster of our own.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) bin: PathBuf,
    pub(crate) port: u16,
    _started: Started,
}

impl Postgres {
    /// PostgreSQL as Debian 12 has it, shared by all tests of backups.
    pub(crate) fn debian() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::shared("backup-debian", debian_programs().unwrap()))
    }

    /// The newest that we support, where tests/install.sh puts it, shared as well.
    pub(crate) fn newest() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::shared("backup-newest", newest_programs()))
    }

    /// One that no other test has, for those that look at the list of its databases.
    pub(crate) fn alone() -> Self {
        let bin = newest_programs();
        Self::of(bin.clone(), Started::private_of(bin, Access::Trust).unwrap())
    }

    fn shared(name: &str, bin: PathBuf) -> Self {
        let started = Started::shared_as(name, || Ok(bin.clone()), Access::Trust, |_| Ok(()));
        Self::of(bin, started)
    }

    pub(crate) fn of(bin: PathBuf, started: Started) -> Self {
        Self { bin, port: started.port(), _started: started }
    }

    /// Returns the URL of a database, for a role.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Returns the server, with a role and a database.
    pub(crate) fn server(&self, role: &str, database: &str) -> Arc<Server> {
        Arc::new(Server::new(self.url(role, database).parse().unwrap(), None))
    }

    /// Returns the server as one on which a role makes databases.
    pub(crate) fn cluster(&self, role: &str) -> Cluster {
        let migrate = MigrateByUrl::new(&self.url(role, "postgres"), Duration::from_secs(10));
        Cluster {
            dial: self.server(role, "postgres"),
            migrate: Arc::new(migrate.unwrap()),
            maintenance: "postgres".to_owned(),
        }
    }

    pub(crate) async fn connect(&self, database: &str) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres", database), NoTls).await.unwrap();
        drop(tokio::spawn(connection));
        client
    }

    /// Makes an empty database.
    pub(crate) async fn empty(&self) -> String {
        let name = format!("t_{}", unique());
        self.connect("postgres")
            .await
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        name
    }

    /// Makes a migrated database with rows in every table.
    pub(crate) async fn filled(&self, scale: u32, width: u32) -> String {
        self.filled_for(5, scale, width).await
    }

    /// Makes a migrated database with rows of so many organizations in every table. The fifth is
    /// deleted.
    pub(crate) async fn filled_for(&self, organizations: u32, scale: u32, width: u32) -> String {
        let name = self.empty().await;
        let database =
            brownie_migration::Database::new(self.url("postgres", &name), Duration::from_secs(10));
        brownie_migration::apply(&database).await.unwrap();
        let client = self.connect(&name).await;
        let settings = format!(
            "SET test.organizations = {organizations}; SET test.scale = {scale}; SET test.width = {width}"
        );
        client.batch_execute(&settings).await.unwrap();
        client.batch_execute(include_str!("rows.sql")).await.unwrap();
        name
    }

    /// Returns the names of all databases.
    pub(crate) async fn databases(&self) -> Vec<String> {
        let client = self.connect("postgres").await;
        let rows =
            client.query("SELECT datname::text FROM pg_database ORDER BY 1", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// Returns all rows of all tables that are backed up as text, table by table, and where the sequences stand: seen
/// otherwise than the crate under test sees them.
pub(crate) async fn contents(client: &Client) -> Vec<(String, i64, String)> {
    client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1";
    let mut all = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        if EXCEPTIONS.iter().any(|(name, _)| *name == table) {
            continue;
        }
        let sql = format!(
            "SELECT count(*), coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM {table} AS t"
        );
        let row = client.query_one(&sql, &[]).await.unwrap();
        all.push((table, row.get(0), row.get(1)));
    }
    let row = client.query_one("SELECT last_value FROM outbox_position", &[]).await.unwrap();
    all.push(("outbox_position".to_owned(), row.get(0), String::new()));
    all
}

fn newest_programs() -> PathBuf {
    parts().join("postgresql-18/bin")
}
