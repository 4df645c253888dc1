//! A connection beside the pool, for questions that must be answered while the pool is full: probes.

use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use sea_orm::{DbBackend, Statement};
use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::Engine;
use crate::Result;

/// The connection, with the generation of certificates it was opened with. Opened when it is first asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Aside(Arc<Mutex<Option<(ClientWrapper, u64)>>>);

impl Engine {
    /// Runs a reading statement of one text for no organization. Where there is one connection alone, on that.
    pub(crate) async fn read_aside(&self, sql: &str) -> Result<Vec<Row>> {
        if self.gate.is_some() {
            return self.read_unscoped(Statement::from_string(DbBackend::Postgres, sql)).await;
        }
        let mut aside = self.aside.0.lock().await;
        // Taken out: a caller that is dropped half-way leaves no connection with an answer under way.
        let known = aside.take().filter(|(client, generation)| {
            !client.is_closed() && !self.connector.is_outdated(*generation)
        });
        let (client, generation) = match known {
            Some(known) => known,
            None => self.connector.connect_now().await?,
        };
        let rows = client.query(sql, &[]).await?;
        *aside = Some((client, generation));
        Ok(rows)
    }
}
