//! A connection beside the pool, for questions that must be answered while the pool is full: probes.

use std::sync::Arc;

use deadpool::managed::Manager;
use sea_orm::{DbBackend, Statement};
use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::{
    Engine,
    connection::{Connection, Maker},
};
use crate::Result;

/// The connection, as those of the pool are. Opened when it is first asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Aside(Arc<Mutex<Option<Connection>>>);

impl Engine {
    /// Runs a reading statement of one text for no organization. Where there is one connection alone, on that.
    pub(crate) async fn read_aside(&self, sql: &str) -> Result<Vec<Row>> {
        if self.gate.is_some() {
            return self.read_unscoped(Statement::from_string(DbBackend::Postgres, sql)).await;
        }
        let mut aside = self.aside.0.lock().await;
        // Taken out: a caller that is dropped half-way leaves no connection with an answer under way.
        let connection = match aside.take() {
            Some(known) if self.connector.reuse(&known).await.is_ok() => known,
            _ => Maker(Arc::clone(&self.connector)).create().await?,
        };
        let rows = connection.query(sql, &[]).await?;
        connection.answered();
        *aside = Some(connection);
        Ok(rows)
    }
}
