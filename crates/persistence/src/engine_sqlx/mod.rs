//! The other engine, for the comparison: sqlx below sea-orm, with the hooks that its pool needs.

use std::time::Duration;

use brownie_domain::OrganizationId;
use sea_orm::{
    QueryResult, Statement,
    sqlx::{self, AssertSqlSafe, Executor, PgPool, Postgres, Row, postgres::PgPoolOptions},
};
use sea_query_sqlx::SqlxValues;
use tokio::{sync::Mutex, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{Error, PoolOptions, Result};

#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pool: PgPool,
    tasks: TaskTracker,
    limit: Duration,
}

fn failed(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(error) => Error::Database(Box::new(error)),
        other => Error::Unavailable(Some(Box::new(other))),
    }
}

impl Engine {
    pub(crate) fn new(options: &PoolOptions) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections as u32)
            .acquire_timeout(options.acquire_timeout)
            .max_lifetime(Duration::from_secs(900))
            .test_before_acquire(false)
            .before_acquire(|c, m| {
                Box::pin(async move {
                    if m.idle_for < Duration::from_secs(5) {
                        return Ok(true);
                    }
                    Ok(matches!(
                        timeout(Duration::from_millis(500), sqlx::Connection::ping(c)).await,
                        Ok(Ok(()))
                    ))
                })
            })
            .after_release(|c, _| {
                Box::pin(async move {
                    let ask = sqlx::raw_sql("select (now() <> statement_timestamp())::text");
                    match timeout(Duration::from_millis(500), ask.fetch_one(&mut *c)).await {
                        Ok(Ok(r)) => Ok(r.try_get::<String, _>(0)? != "true"),
                        Ok(Err(e)) => Err(e),
                        Err(_) => Err(sqlx::Error::PoolTimedOut),
                    }
                })
            })
            .connect_lazy(&options.url)
            .map_err(failed)?;
        Ok(Self { pool, tasks: TaskTracker::new(), limit: options.statement_timeout + Duration::from_secs(2) })
    }

    pub(crate) async fn begin(&self, org: OrganizationId) -> Result<Unit> {
        let sql = format!("BEGIN; SET LOCAL app.org_id = '{org}'");
        let tx = self.pool.begin_with(AssertSqlSafe(sql)).await.map_err(failed)?;
        Ok(Unit { tx: Mutex::new(Some(tx)) })
    }

    pub(crate) async fn read(&self, org: OrganizationId, statement: Statement) -> Result<Vec<QueryResult>> {
        let engine = self.clone();
        self.spawn(async move {
            let work = async {
                let sql = format!("BEGIN READ ONLY; SET LOCAL app.org_id = '{org}'");
                let mut tx = engine.pool.begin_with(AssertSqlSafe(sql)).await.map_err(failed)?;
                let rows = run(&mut *tx, statement).await?;
                // ROLLBACK off the path, as in STACK section 3, d2r.
                drop(tx);
                Ok(rows)
            };
            timeout(engine.limit, work).await.unwrap_or(Err(Error::Timeout))
        })
        .await
    }

    pub(crate) async fn read_unscoped(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        run(&self.pool, statement).await
    }

    pub(crate) async fn spawn<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        match self.tasks.spawn(work).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::Database(Box::new(error))),
        }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn connections(&self) -> (usize, usize) {
        (self.pool.size() as usize, self.pool.num_idle())
    }
}

async fn run<'e>(executor: impl Executor<'e, Database = Postgres>, statement: Statement) -> Result<Vec<QueryResult>> {
    let values = SqlxValues(statement.values.unwrap_or(sea_orm::sea_query::Values(vec![])));
    let rows = sqlx::query_with(AssertSqlSafe(statement.sql), values).fetch_all(executor).await.map_err(failed)?;
    Ok(rows.into_iter().map(Into::into).collect())
}

#[derive(Debug)]
pub(crate) struct Unit {
    tx: Mutex<Option<sqlx::Transaction<'static, Postgres>>>,
}

impl Unit {
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        run(&mut **self.tx.lock().await.as_mut().ok_or(Error::UnitOver)?, statement).await
    }

    pub(crate) async fn commit(&self, last: Option<[Statement; 2]>) -> Result<()> {
        for statement in last.into_iter().flatten() {
            self.rows(statement).await?;
        }
        self.tx.lock().await.take().ok_or(Error::UnitOver)?.commit().await.map_err(failed)
    }

    pub(crate) async fn roll_back(&self) {
        if let Some(tx) = self.tx.lock().await.take() {
            let _ = tx.rollback().await;
        }
    }
}
