//! The door: the only module that selects, inserts, updates or removes rows.
//!
//! Whatever goes through it names the organization, skips what is deleted, checks versions, and
//! leaves an audit row and an event beside each change. Resources build on these verbs and have no
//! others; `clippy.toml` forbids sea-orm's own everywhere else.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the module that all row access goes through"
)]

mod bulk;
mod changes;
mod read;
mod write;

use std::{marker::PhantomData, sync::Arc};

pub(crate) use read::newest_first;

use brownie_domain::{Clock, IdSource, OrganizationId, PageRequest, Timestamp};
use sea_orm::{EntityTrait, Statement, sea_query::Expr};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    Error, OrgContext, Resource, Result,
    engine::{Cause, Engine, Unit},
    entity::FromRow,
    principals::Principals,
    record::Records,
};

/// A table whose rows belong to exactly one organization, with the columns of every such table.
pub(crate) trait TenantEntity: EntityTrait<Model: FromRow> {
    const RESOURCE: Resource;
    const ORG_ID: Self::Column;
    const ID: Self::Column;
    const VERSION: Self::Column;
    const CREATED_AT: Self::Column;
    const CREATED_BY: Self::Column;
    const UPDATED_AT: Self::Column;
    const UPDATED_BY: Self::Column;
    const DELETED_AT: Self::Column;
    const DELETED_BY: Self::Column;
    /// Columns whose values the audit log does not repeat.
    const SECRETS: &'static [Self::Column];
    /// Who refers to rows of this table: table and column. What is referred to is not removed; a
    /// test compares this with the schema.
    const REFERRED_BY: &'static [(&'static str, &'static str)];

    /// Returns the id and the version of a row.
    fn key_of(row: &Self::Model) -> (Uuid, i64);
}

/// Where time and ids come from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}

/// A scope that reads.
#[derive(Debug, Clone, Copy)]
pub struct Reading;

/// A scope that reads and writes, in one transaction.
#[derive(Debug, Clone, Copy)]
pub struct Writing;

/// What a caller may touch: the rows of one organization.
///
/// `Mode` is [`Reading`] or [`Writing`]. The verbs that write exist on the latter only.
#[derive(Debug)]
pub struct OrgScope<Mode> {
    conn: Conn,
    ctx: OrgContext,
    sources: Sources,
    records: Records,
    /// Who must be asked for again once this has changed people's roles.
    principals: Option<Arc<Principals>>,
    mode: PhantomData<Mode>,
}

#[derive(Debug)]
enum Conn {
    /// Each statement is a transaction of its own.
    Pool(Engine),
    /// All statements are one.
    Unit(Box<Unit>),
}

impl OrgScope<Reading> {
    pub(crate) fn reading(engine: Engine, ctx: OrgContext, sources: Sources) -> Self {
        Self::new(Conn::Pool(engine), ctx, sources, None)
    }
}

impl OrgScope<Writing> {
    pub(crate) fn writing(
        unit: Unit,
        ctx: OrgContext,
        sources: Sources,
        principals: Arc<Principals>,
    ) -> Self {
        Self::new(Conn::Unit(Box::new(unit)), ctx, sources, Some(principals))
    }

    /// Makes what was done last, together with its audit rows and events.
    pub(crate) async fn commit(&self) -> Result<()> {
        let Conn::Unit(unit) = &self.conn else { return Ok(()) };
        let mut statements = self.records.statements(&self.ctx)?;
        let last = statements.pop();
        for statement in statements {
            unit.rows(statement).await?;
        }
        let outcome = unit.commit(last).await;
        if outcome.is_ok() {
            self.records.tell(&self.ctx);
            self.records.count();
        }
        // Also when nobody knows whether it took effect.
        if let Some(principals) = &self.principals
            && self.records.change_roles()
        {
            principals.forget(self.ctx.org_id);
        }
        outcome
    }

    pub(crate) async fn roll_back(&self) {
        if let Conn::Unit(unit) = &self.conn {
            unit.roll_back().await;
        }
    }

    /// Returns why the whole unit may be done again, if it failed in a way that allows it.
    pub(crate) async fn repeatable(&self) -> Option<Cause> {
        match &self.conn {
            Conn::Unit(unit) => unit.repeatable().await,
            Conn::Pool(_) => None,
        }
    }
}

impl<Mode> OrgScope<Mode> {
    fn new(
        conn: Conn,
        ctx: OrgContext,
        sources: Sources,
        principals: Option<Arc<Principals>>,
    ) -> Self {
        Self { conn, ctx, sources, records: Records::default(), principals, mode: PhantomData }
    }

    pub(crate) fn org_id(&self) -> OrganizationId {
        self.ctx.org_id
    }

    pub(crate) fn ctx(&self) -> &OrgContext {
        &self.ctx
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    pub(crate) fn new_id(&self, at: Timestamp) -> Uuid {
        self.sources.ids.next(at)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.sources.clock.now()
    }

    /// Runs a statement in this scope's bracket. For the verbs, and for functions of the schema that
    /// do what the verbs cannot.
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Vec<Row>> {
        match &self.conn {
            Conn::Pool(engine) => engine.read(self.ctx.org_id, statement).await,
            // Boxed, so that a read, which has no use for it, need not carry its room about.
            Conn::Unit(unit) => Box::pin(unit.rows(statement)).await,
        }
    }

    /// Runs a statement whose rows are a page: as many of them as [`PageRequest::MAX_BYTES`] allow, and whether
    /// there were more.
    pub(crate) async fn page_of(&self, statement: Statement) -> Result<(Vec<Row>, bool)> {
        self.rows_within(statement, PageRequest::MAX_BYTES).await
    }

    /// Runs a statement, and reads as many of its rows as have `most` bytes together. In a unit all are read:
    /// whoever asks there goes on with what is found.
    pub(crate) async fn rows_within(
        &self,
        statement: Statement,
        most: usize,
    ) -> Result<(Vec<Row>, bool)> {
        match &self.conn {
            Conn::Pool(engine) => engine.read_within(self.ctx.org_id, statement, most).await,
            Conn::Unit(unit) => Ok((Box::pin(unit.rows(statement)).await?, false)),
        }
    }
}

fn life<E: TenantEntity>(live: bool) -> Expr {
    use sea_orm::ColumnTrait;
    if live { E::DELETED_AT.is_null() } else { E::DELETED_AT.is_not_null() }
}

/// Reads rows as a table's model.
pub(crate) fn models<E: EntityTrait>(rows: &[Row]) -> Result<Vec<E::Model>>
where
    E::Model: FromRow,
{
    rows.iter().map(|row| E::Model::from_row(row).map_err(Error::from)).collect()
}
