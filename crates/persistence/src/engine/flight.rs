//! What one statement needs: made ready on a connection, sent with its tenant, and its rows read as far as
//! they are wanted.

use std::{
    ops::Deref,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_bulkhead::Permit;
use brownie_domain::OrganizationId;
use futures_util::{
    TryStreamExt,
    future::{join, join3},
};
use sea_orm::Statement;
use tokio::time::timeout;
use tokio_postgres::{Row, RowStream};

use super::{
    Engine, Tally,
    connection::{Connection, Connector, Maker},
    statement,
    values::Parameter,
};
use crate::{Error, Result};

/// A connection on loan from the pool, and the permit to hold one.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Goes back before the permit: whoever is let in next finds it.
    pub(super) connection: deadpool::managed::Object<Maker>,
    pub(super) permit: Permit<Option<OrganizationId>>,
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Lease {
    /// Closes the connection instead of giving it back.
    pub(super) fn discard(self) {
        drop(deadpool::managed::Object::take(self.connection));
        drop(self.permit);
    }
}

/// The rows of a statement, as many as were wanted.
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// Whether there are more.
    pub(super) is_more: bool,
    /// Those, on their way. The connection answers nothing else until they are read, or this is dropped.
    rest: Option<Pin<Box<RowStream>>>,
}

/// A statement made ready on a connection.
pub(super) struct Ready {
    sql: String,
    statement: tokio_postgres::Statement,
    parameters: Vec<Parameter>,
}

impl Ready {
    /// Prepares `statement`, or finds it prepared.
    pub(super) async fn on(client: &Lease, statement: Statement) -> Result<Self> {
        let parameters = Parameter::all(statement.values);
        let types = parameters.iter().map(Parameter::declared_type).collect::<Result<Vec<_>>>()?;
        let sql = statement.sql;
        let statement = client.prepare_typed_cached(&sql, &types).await?;
        Ok(Self { sql, statement, parameters })
    }

    pub(super) async fn run(&self, client: &Lease) -> Result<Vec<Row>> {
        Ok(self.run_within(client, usize::MAX).await?.rows)
    }

    /// Reads rows until the next would make them more than `most` bytes; the first is read in any case.
    async fn run_within(&self, client: &Lease, most: usize) -> Result<Answer> {
        let started = Instant::now();
        let reading = async {
            let rows = client.query_raw(&self.statement, &self.parameters).await?;
            let (mut stream, mut rows, mut bytes) = (Box::pin(rows), Vec::new(), 0_usize);
            while let Some(row) = stream.try_next().await? {
                bytes = bytes.saturating_add(row.raw_size_bytes());
                if bytes > most && !rows.is_empty() {
                    return Ok(Answer { rows, is_more: true, rest: Some(stream) });
                }
                rows.push(row);
            }
            Ok(Answer { rows, is_more: false, rest: None })
        };
        let outcome: Result<Answer, tokio_postgres::Error> = reading.await;
        let (took, rows) =
            (started.elapsed(), outcome.as_ref().ok().map(|answer| answer.rows.len()));
        Tally::note_rows(rows.unwrap_or_default());
        if client.slow_after.is_some_and(|limit| took > limit) {
            statement::report_slow(&self.sql, took, rows);
        }
        Ok(outcome?)
    }
}

/// Runs a statement in a session whose tenant is `org`: one message each way when it has been before,
/// two messages without waiting in between when not. `join` polls its futures in order, and
/// tokio-postgres sends when first polled.
pub(super) async fn alone(
    client: &Lease,
    org: Option<OrganizationId>,
    statement: Statement,
    most: usize,
) -> Result<Answer> {
    let ready = Ready::on(client, statement).await?;
    let (turned, answer) = join(client.turn_to(org), ready.run_within(client, most)).await;
    turned?;
    answer
}

/// The same behind a pooler, where no session is ours: the tenant holds for a transaction, and
/// bracket, statement and COMMIT are on their way before the first answer is back. If the statement
/// fails, the COMMIT rolls back.
pub(super) async fn bracketed(
    client: &Lease,
    bracket: &str,
    statement: Statement,
    most: usize,
) -> Result<Answer> {
    let ready = Ready::on(client, statement).await?;
    let reading = async {
        let answer = ready.run_within(client, most).await;
        // Dropped, what is not wanted is thrown away by the driver, and the answer to COMMIT comes.
        answer.map(|answer| Answer { rest: None, ..answer })
    };
    let (begun, answer, ended) =
        join3(client.batch_execute(bracket), reading, client.batch_execute("COMMIT")).await;
    begun?;
    let answer = answer?;
    ended?;
    Ok(answer)
}

/// How long the server may go on with what nobody waits for. Asking it to stop takes a connection.
const GRACE: Duration = Duration::from_millis(50);

/// A connection with a flight under way. It is given back once the server is done with what was sent: the
/// next to use it would wait for that. What takes longer is cancelled.
pub(super) struct Lent<'a> {
    lease: Option<Lease>,
    engine: &'a Engine,
    rest: Option<Pin<Box<RowStream>>>,
}

impl<'a> Lent<'a> {
    pub(super) fn new(lease: Lease, engine: &'a Engine) -> Self {
        Self { lease: Some(lease), engine, rest: None }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Notes what came of the flight. A connection whose answers are all here goes back at once.
    pub(super) fn ends(mut self, outcome: Result<Answer>) -> Result<(Vec<Row>, bool)> {
        let Some(lease) = self.lease.take() else { return Err(Error::UnitOver) };
        lease.answered();
        self.engine.connector.note(&outcome);
        match outcome {
            Ok(Answer { rows, is_more, rest }) => {
                if rest.is_some() {
                    (self.lease, self.rest) = (Some(lease), rest);
                }
                Ok((rows, is_more))
            }
            // Closing a connection does not stop what it runs.
            Err(Error::Timeout) => {
                self.lease = Some(lease);
                Err(Error::Timeout)
            }
            Err(error @ Error::Unavailable(_)) => {
                lease.discard();
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let (rest, limit) = (self.rest.take(), self.engine.limit());
        // Where there is one connection, nobody can be asked to stop.
        let connector = self.engine.gate.is_none().then(|| Arc::clone(&self.engine.connector));
        self.engine.spawn_aside(settle(lease, rest, connector, limit));
    }
}

/// Waits until the server is done with what was sent, and gives the connection back. One that was cancelled is
/// closed: nobody says when a cancellation has arrived, and it would stop what runs next.
async fn settle(
    lease: Lease,
    mut rest: Option<Pin<Box<RowStream>>>,
    connector: Option<Arc<Connector>>,
    limit: Duration,
) {
    let grace = if connector.is_some() { GRACE } else { limit };
    if matches!(timeout(grace, drained(&lease, &mut rest)).await, Ok(Ok(()))) {
        lease.answered();
        return;
    }
    if let Some(connector) = connector {
        connector.cancel(&lease).await;
    }
    lease.discard();
}

/// Throws away what is on its way; where that is not known, waits for the answer to something else.
async fn drained(
    lease: &Lease,
    rest: &mut Option<Pin<Box<RowStream>>>,
) -> Result<(), tokio_postgres::Error> {
    match rest {
        Some(rest) => {
            while rest.try_next().await?.is_some() {}
            Ok(())
        }
        None => lease.simple_query("").await.map(drop),
    }
}
