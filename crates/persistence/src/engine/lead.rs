//! Being the one instance that does what one is enough for.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::time::timeout;
use tokio_postgres::Row;

use super::Engine;
use crate::{Error, Result};

/// The lock of whoever leads. The upper half is that of the outbox's locks plus one, so that they
/// never meet.
const LOCK: i64 = 0x4253_0000_0000_0001;

/// The place of the leader: a connection of its own, whose session holds a lock for as long as it
/// lives, with the generation of certificates it was opened with. Behind a pooler, and where there is
/// one connection alone, everybody leads.
#[derive(Debug, Default)]
pub(crate) struct Lead(Option<(ClientWrapper, u64)>);

impl Engine {
    /// Runs a reading statement if this instance leads, or can take the lead; `None` if another one
    /// has it.
    pub(crate) async fn lead(&self, lead: &mut Lead, sql: &str) -> Result<Option<Vec<Row>>> {
        if self.is_pooled() || self.doubt.is_none() {
            let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql);
            return self.read_unscoped(statement).await.map(Some);
        }
        let work = async {
            let is_good = |(client, generation): &(ClientWrapper, u64)| {
                !client.is_closed() && !self.connector.is_outdated(*generation)
            };
            if !lead.0.as_ref().is_some_and(is_good) {
                // The session that has the lock goes first: it would keep it from the next.
                lead.0 = None;
                lead.0 = self.take_lead().await?;
            }
            match &lead.0 {
                Some((client, _)) => Ok(Some(client.query(sql, &[]).await?)),
                None => Ok(None),
            }
        };
        let outcome = timeout(self.limit(), work).await.unwrap_or(Err(Error::Timeout));
        if outcome.is_err() {
            lead.0 = None;
        }
        outcome
    }

    async fn take_lead(&self) -> Result<Option<(ClientWrapper, u64)>> {
        let (client, generation) = self.connector.connect_now().await?;
        let limit = Duration::as_millis(&self.statement_timeout);
        client
            .batch_execute(&format!(
                "SET default_transaction_read_only = on; SET statement_timeout = {limit}"
            ))
            .await?;
        let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await?;
        Ok(row.try_get::<_, bool>(0)?.then_some((client, generation)))
    }
}
