//! How connections are opened.

use std::{collections::BTreeSet, fmt};

use async_trait::async_trait;
use native_tls::TlsConnector;
use postgres_native_tls::MakeTlsConnector;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, error::SqlState};

use crate::{Error, Result};

/// Opens connections to a PostgreSQL server. It is asked each time, so that an implementation can
/// hand out certificates that have changed since.
#[async_trait]
pub trait Dial: fmt::Debug + Send + Sync {
    /// Opens a connection to a database of the server; to its own if none is named.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and [`Error::Refused`].
    async fn dial(&self, database: Option<&str>) -> Result<Client>;

    /// Tells whether the server takes one connection and no second, as an embedded one does. A second
    /// waits until the first is closed.
    fn is_single(&self) -> bool {
        false
    }
}

/// A server whose settings do not change.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: Option<MakeTlsConnector>,
}

impl Server {
    /// Returns a server that is reached like this. Without `tls`, connections are not encrypted.
    pub fn new(config: Config, tls: Option<TlsConnector>) -> Self {
        Self { config, tls: tls.map(MakeTlsConnector::new) }
    }
}

/// The configuration has the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Dial for Server {
    async fn dial(&self, database: Option<&str>) -> Result<Client> {
        let mut config = self.config.clone();
        if let Some(database) = database {
            config.dbname(database);
        }
        config.application_name("brownie-backup");
        match self.tls.clone() {
            Some(tls) => {
                let (client, connection) = config.connect(tls).await.map_err(refusal)?;
                drop(tokio::spawn(connection));
                Ok(client)
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(refusal)?;
                drop(tokio::spawn(connection));
                Ok(client)
            }
        }
    }
}

/// SQLSTATE class 28 (authorization), or a database that does not exist, is an answer.
fn refusal(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(code) if code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME => {
            Error::Refused(error)
        }
        _ => Error::Unreachable(error),
    }
}

/// For how long settings are to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settle {
    /// Until the transaction ends.
    Transaction,
    /// Until the connection does.
    Session,
}

/// Sets what long work needs: no limit of time, and texts that are the same everywhere.
pub(crate) async fn settle(client: &Client, settle: Settle) -> Result<()> {
    // Not every release has all of them.
    const SQL: &str = "SELECT set_config(name, value, $1) FROM (VALUES
            ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
            ('idle_session_timeout', '0'), ('transaction_timeout', '0'),
            ('lock_timeout', '30s'), ('search_path', 'pg_catalog'),
            ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'),
            ('extra_float_digits', '3'), ('bytea_output', 'hex'), ('client_encoding', 'UTF8'))
            AS wanted (name, value)
        WHERE EXISTS (SELECT FROM pg_settings WHERE pg_settings.name = wanted.name)";
    let is_local = settle == Settle::Transaction;
    let set = client.query(SQL, &[&is_local]).await;
    set.map(drop).map_err(Error::database("setting up a connection"))
}

/// How often to look for a pooler, which may give us the same server process by chance.
const LOOKS: usize = 8;

/// Refuses when connections share server processes, as they do behind a pooler in transaction mode.
/// It takes two to see that.
pub(crate) async fn find_pooler(clients: &[Client]) -> Result<()> {
    let mut backends: Vec<BTreeSet<String>> = vec![BTreeSet::new(); clients.len()];
    for _ in 0..LOOKS {
        for (client, seen) in clients.iter().zip(&mut backends) {
            // Prepares nothing, as a query would: behind a pooler, that is left to others.
            let messages = client.simple_query("SELECT pg_backend_pid()").await;
            for message in messages.map_err(Error::database("looking for a pooler"))? {
                if let SimpleQueryMessage::Row(row) = message {
                    seen.extend(row.get(0).map(str::to_owned));
                }
            }
        }
    }
    let all: BTreeSet<&String> = backends.iter().flatten().collect();
    if backends.iter().all(|seen| seen.len() == 1) && all.len() == clients.len() {
        Ok(())
    } else {
        Err(Error::Pooler)
    }
}

/// Quotes a name for SQL.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text for SQL; `standard_conforming_strings` is on since PostgreSQL 9.1.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
