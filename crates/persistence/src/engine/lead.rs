//! Being the one instance that does what one is enough for.

use std::time::{Duration, Instant};

use deadpool_postgres::ClientWrapper;
use tokio::time::timeout;
use tokio_postgres::Row;

use super::{Engine, session::KEEP_ALIVE};
use crate::{Error, Result};

/// The lock of whoever leads. The upper half is that of the outbox's locks plus one, so that they
/// never meet.
const LOCK: i64 = 0x4253_0000_0000_0001;

/// How long the leader's session may be idle at the least.
const LEAST_IDLE: Duration = Duration::from_secs(2);
/// Looking takes at most this share of the time: a database with very much in it is looked at less
/// often.
const SHARE: u32 = 20;

/// The place of the leader: a connection of its own, whose session holds a lock for as long as it
/// lives, with the generation of certificates it was opened with. Behind a pooler, and where there is
/// one connection alone, everybody leads.
#[derive(Debug)]
pub(crate) struct Lead {
    session: Option<(ClientWrapper, u64)>,
    interval: Duration,
    /// How long to wait until the next look.
    pub(crate) rest: Duration,
}

impl Lead {
    /// One that looks every `interval`, or less often if looking takes long.
    pub(crate) fn every(interval: Duration) -> Self {
        Self { session: None, interval, rest: interval }
    }
}

impl Engine {
    /// Runs a reading statement if this instance leads, or can take the lead; `None` if another one
    /// has it. A leader that is paused, or gone without a word, loses its place before it should have looked
    /// twice.
    pub(crate) async fn lead(&self, lead: &mut Lead, sql: &str) -> Result<Option<Vec<Row>>> {
        let began = Instant::now();
        if self.is_pooled() || self.doubt.is_none() {
            let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql);
            let rows = self.read_unscoped(statement).await.map(Some);
            lead.rest = lead.interval.max(began.elapsed() * SHARE);
            return rows;
        }
        let work = async {
            let is_good = |(client, generation): &(ClientWrapper, u64)| {
                !client.is_closed() && !self.connector.is_outdated(*generation)
            };
            if !lead.session.as_ref().is_some_and(is_good) {
                // The session that has the lock goes first: it would keep it from the next.
                lead.session = None;
                lead.session = self.take_lead().await?;
            }
            let Some((client, _)) = &lead.session else { return Ok(None) };
            let rows = client.query(sql, &[]).await?;
            lead.rest = lead.interval.max(began.elapsed() * SHARE);
            let idle = (lead.rest * 2).max(LEAST_IDLE).as_millis();
            client.batch_execute(&format!("SET idle_session_timeout = {idle}")).await?;
            Ok(Some(rows))
        };
        let outcome = timeout(self.limit(), work).await.unwrap_or(Err(Error::Timeout));
        if outcome.is_err() {
            lead.session = None;
        }
        outcome
    }

    async fn take_lead(&self) -> Result<Option<(ClientWrapper, u64)>> {
        let (client, generation) = self.connector.connect_now().await?;
        let limit = self.statement_timeout.as_millis();
        client
            .batch_execute(&format!(
                "SET default_transaction_read_only = on; SET statement_timeout = {limit}; {KEEP_ALIVE}"
            ))
            .await?;
        let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await?;
        Ok(row.try_get::<_, bool>(0)?.then_some((client, generation)))
    }
}
