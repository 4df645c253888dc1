//! The door: the only module that selects, inserts or updates rows.
//!
//! Whatever goes through it names the organization, skips what is deleted, checks versions, and
//! leaves an audit row and an event beside each change. Resources build on these verbs and have no
//! others; `clippy.toml` forbids sea-orm's own everywhere else.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the module that all row access goes through"
)]

use std::{marker::PhantomData, sync::Arc};

use brownie_domain::{
    Clock, IdSource, OrganizationId, Page, PageRequest, Position, Timestamp, Version,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QueryResult, QuerySelect, QueryTrait, Select, Statement, Value,
    sea_query::{Expr, ExprTrait, LockType, OnConflict, Query, ReturningClause},
};
use uuid::Uuid;

use crate::{
    Error, OrgContext, Resource, Result,
    engine::{Engine, Unit},
    record::{Records, Verb},
};

/// A table whose rows belong to exactly one organization, with the columns of every such table.
pub(crate) trait TenantEntity: EntityTrait {
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
        Self {
            conn: Conn::Pool(engine),
            ctx,
            sources,
            records: Records::default(),
            mode: PhantomData,
        }
    }
}

impl OrgScope<Writing> {
    pub(crate) fn writing(unit: Unit, ctx: OrgContext, sources: Sources) -> Self {
        Self {
            conn: Conn::Unit(Box::new(unit)),
            ctx,
            sources,
            records: Records::default(),
            mode: PhantomData,
        }
    }

    /// Makes what was done last, together with its audit rows and events.
    pub(crate) async fn commit(&self) -> Result<()> {
        match &self.conn {
            Conn::Unit(unit) => unit.commit(self.records.statements(&self.ctx)).await,
            Conn::Pool(_) => Ok(()),
        }
    }

    pub(crate) async fn roll_back(&self) {
        if let Conn::Unit(unit) = &self.conn {
            unit.roll_back().await;
        }
    }
}

impl<Mode> OrgScope<Mode> {
    pub(crate) fn org_id(&self) -> OrganizationId {
        self.ctx.org_id
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.sources.clock.now()
    }

    /// Begins every read: the live rows of this organization.
    pub(crate) fn select<E: TenantEntity>(&self) -> Select<E> {
        E::find().filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid())).filter(E::DELETED_AT.is_null())
    }

    /// Returns the rows of a selection.
    pub(crate) async fn all<E: TenantEntity>(&self, select: Select<E>) -> Result<Vec<E::Model>> {
        models::<E>(&self.rows(select.build(DbBackend::Postgres)).await?)
    }

    /// Returns the row of a selection that has at most one.
    pub(crate) async fn one<E: TenantEntity>(&self, select: Select<E>) -> Result<Option<E::Model>> {
        Ok(self.all::<E>(select.limit(1)).await?.into_iter().next())
    }

    /// Returns a live row by its id.
    pub(crate) async fn get<E: TenantEntity>(&self, id: Uuid) -> Result<E::Model> {
        self.one::<E>(self.select::<E>().filter(E::ID.eq(id)))
            .await?
            .ok_or(Error::NotFound { resource: E::RESOURCE })
    }

    /// Returns how many rows a selection has.
    pub(crate) async fn count<E: TenantEntity>(&self, select: Select<E>) -> Result<i64> {
        let count = select.select_only().column_as(Expr::col(E::ID).count(), "count");
        match self.rows(count.build(DbBackend::Postgres)).await?.first() {
            Some(row) => row.try_get("", "count").map_err(unreadable),
            None => Ok(0),
        }
    }

    /// Returns a page of a selection, newest first by `at`, then by id.
    pub(crate) async fn page<E: TenantEntity>(
        &self,
        mut select: Select<E>,
        at: E::Column,
        request: PageRequest,
        position: impl Fn(&E::Model) -> Position,
    ) -> Result<Page<E::Model>> {
        if let Some(after) = request.after() {
            // One comparison of rows, which an index on (…, at, id) answers in one descent.
            let here = Expr::tuple([Expr::col(at), Expr::col(E::ID)]);
            let there = Expr::tuple([Expr::val(after.at), Expr::val(after.id)]);
            select = select.filter(here.lt(there));
        }
        let select = select.order_by_desc(at).order_by_desc(E::ID).limit(request.limit() + 1);
        Ok(Page::from_rows(self.all::<E>(select).await?, request, position))
    }

    async fn rows(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        match &self.conn {
            Conn::Pool(engine) => engine.read(self.ctx.org_id, statement).await,
            Conn::Unit(unit) => unit.rows(statement).await,
        }
    }
}

impl OrgScope<Writing> {
    /// Returns a live row and keeps others from changing it until the unit ends. Whoever counts
    /// rows against a limit locks first what the limit is written on.
    pub(crate) async fn lock<E: TenantEntity>(&self, id: Uuid) -> Result<E::Model> {
        let select = self.select::<E>().filter(E::ID.eq(id)).lock(LockType::NoKeyUpdate);
        self.all::<E>(select)
            .await?
            .into_iter()
            .next()
            .ok_or(Error::NotFound { resource: E::RESOURCE })
    }

    /// Begins a look at what was deleted: the rows of this organization that are not live.
    pub(crate) fn select_deleted<E: TenantEntity>(&self) -> Select<E> {
        E::find().filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid())).filter(life::<E>(false))
    }

    /// Returns a deleted row.
    pub(crate) async fn deleted<E: TenantEntity>(&self, id: Uuid) -> Result<E::Model> {
        let row = self.one(self.select_deleted::<E>().filter(E::ID.eq(id))).await?;
        row.ok_or(Error::NotFound { resource: E::RESOURCE })
    }

    /// Writes a new row under a new id.
    pub(crate) async fn insert<E: TenantEntity>(&self, row: E::ActiveModel) -> Result<E::Model> {
        let now = self.now();
        self.insert_as::<E>(self.sources.ids.next(now), row).await
    }

    /// Writes a new row under an id that was made before.
    pub(crate) async fn insert_as<E: TenantEntity>(
        &self,
        id: Uuid,
        row: E::ActiveModel,
    ) -> Result<E::Model> {
        self.insert_with::<E>(id, row, None).await?.ok_or(Error::UnitOver)
    }

    /// Writes a new row, unless `conflict` finds that it is there already.
    pub(crate) async fn insert_unless<E: TenantEntity>(
        &self,
        row: E::ActiveModel,
        conflict: OnConflict,
    ) -> Result<Option<E::Model>> {
        let now = self.now();
        self.insert_with::<E>(self.sources.ids.next(now), row, Some(conflict)).await
    }

    async fn insert_with<E: TenantEntity>(
        &self,
        id: Uuid,
        mut row: E::ActiveModel,
        conflict: Option<OnConflict>,
    ) -> Result<Option<E::Model>> {
        let now = self.now();
        let actor: Value = self.ctx.actor.user_id().map(|id| id.as_uuid()).into();
        row.set(E::ID, id.into());
        row.set(E::ORG_ID, self.ctx.org_id.as_uuid().into());
        row.set(E::VERSION, Version::FIRST.get().into());
        row.set(E::CREATED_AT, now.into());
        row.set(E::CREATED_BY, actor.clone());
        row.set(E::UPDATED_AT, now.into());
        row.set(E::UPDATED_BY, actor);
        let mut insert = E::insert(row).into_query();
        if let Some(conflict) = conflict {
            insert.on_conflict(conflict);
        }
        let statement = DbBackend::Postgres.build(insert.returning(all_columns::<E>()));
        let row = models::<E>(&self.rows(statement).await?)?.into_iter().next();
        if row.is_some() {
            self.record::<E>(Verb::Created, id, Version::FIRST);
        }
        Ok(row)
    }

    /// Applies `changes` if the row is live, ours, and still at `expected`.
    pub(crate) async fn update<E: TenantEntity>(
        &self,
        id: Uuid,
        expected: Version,
        changes: E::ActiveModel,
    ) -> Result<E::Model> {
        self.write_guarded::<E>(Verb::Updated, id, expected, changes, true).await
    }

    /// Marks the row deleted if it is live, ours, and still at `expected`.
    pub(crate) async fn delete<E: TenantEntity>(
        &self,
        id: Uuid,
        expected: Version,
    ) -> Result<E::Model> {
        let mut changes = <E::ActiveModel as ActiveModelTrait>::default();
        changes.set(E::DELETED_AT, Some(self.now()).into());
        changes.set(E::DELETED_BY, self.ctx.actor.user_id().map(|id| id.as_uuid()).into());
        self.write_guarded::<E>(Verb::Deleted, id, expected, changes, true).await
    }

    /// Brings a deleted row back if it is ours and still at `expected`.
    pub(crate) async fn restore<E: TenantEntity>(
        &self,
        id: Uuid,
        expected: Version,
    ) -> Result<E::Model> {
        let mut changes = <E::ActiveModel as ActiveModelTrait>::default();
        changes.set(E::DELETED_AT, None::<Timestamp>.into());
        changes.set(E::DELETED_BY, None::<Uuid>.into());
        self.write_guarded::<E>(Verb::Restored, id, expected, changes, false).await
    }

    /// The one statement that changes a row: guarded by organization, life and version.
    async fn write_guarded<E: TenantEntity>(
        &self,
        verb: Verb,
        id: Uuid,
        expected: Version,
        mut changes: E::ActiveModel,
        live: bool,
    ) -> Result<E::Model> {
        changes.set(E::UPDATED_AT, self.now().into());
        changes.set(E::UPDATED_BY, self.ctx.actor.user_id().map(|id| id.as_uuid()).into());
        let mut update = E::update_many()
            .set(changes)
            .col_expr(E::VERSION, Expr::col(E::VERSION).add(1))
            .filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid()))
            .filter(E::ID.eq(id))
            .filter(E::VERSION.eq(expected.get()))
            .filter(life::<E>(live))
            .into_query();
        let statement = DbBackend::Postgres.build(update.returning(all_columns::<E>()));
        let Some(row) = models::<E>(&self.rows(statement).await?)?.into_iter().next() else {
            return Err(self.explain_miss::<E>(id, expected, live).await?);
        };
        let (_, version) = E::key_of(&row);
        self.record::<E>(verb, id, Version::try_from(version).unwrap_or(expected));
        Ok(row)
    }

    /// Finds out why a guarded write met no row.
    async fn explain_miss<E: TenantEntity>(
        &self,
        id: Uuid,
        expected: Version,
        live: bool,
    ) -> Result<Error> {
        let select = E::find()
            .filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid()))
            .filter(E::ID.eq(id))
            .filter(life::<E>(live));
        let row = self.all::<E>(select).await?.into_iter().next();
        let Some(actual) = row.and_then(|row| Version::try_from(E::key_of(&row).1).ok()) else {
            return Ok(Error::NotFound { resource: E::RESOURCE });
        };
        Ok(Error::VersionConflict { resource: E::RESOURCE, expected, actual })
    }

    fn record<E: TenantEntity>(&self, verb: Verb, id: Uuid, version: Version) {
        let now = self.now();
        self.records.add(E::RESOURCE, verb, id, version, now, &self.sources);
    }
}

fn life<E: TenantEntity>(live: bool) -> Expr {
    if live { E::DELETED_AT.is_null() } else { E::DELETED_AT.is_not_null() }
}

fn all_columns<E: EntityTrait>() -> ReturningClause {
    use sea_orm::Iterable;
    Query::returning().columns(E::Column::iter())
}

fn models<E: EntityTrait>(rows: &[QueryResult]) -> Result<Vec<E::Model>> {
    rows.iter().map(|row| E::Model::from_query_result(row, "").map_err(unreadable)).collect()
}

fn unreadable(error: sea_orm::DbErr) -> Error {
    Error::Database(Box::new(error))
}
