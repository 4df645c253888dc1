//! The verbs that write.

use brownie_domain::{Timestamp, Version};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbBackend, EntityTrait, IdenStatic, Iterable, QueryFilter,
    QuerySelect, QueryTrait, Select, Value,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict, Query, ReturningClause},
};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Conn, OrgScope, TenantEntity, Writing, changes, life, models};
use crate::{Error, Result, record::Verb};

/// How many rows one statement writes at most, where many are to be written.
const BATCH: u64 = 1000;

impl OrgScope<Writing> {
    /// Returns a live row and keeps others from changing it until the unit ends. Whoever counts
    /// rows against a limit locks first what the limit is written on.
    pub(crate) async fn lock<E: TenantEntity>(&self, id: Uuid) -> Result<E::Model> {
        self.locked::<E>(id, LockType::NoKeyUpdate).await
    }

    /// Returns a live row and keeps others from holding or changing it: nothing can be put into it
    /// until the unit ends.
    pub(crate) async fn lock_out<E: TenantEntity>(&self, id: Uuid) -> Result<E::Model> {
        self.locked::<E>(id, LockType::Update).await
    }

    /// Returns a live row and keeps it so until the unit ends, while others hold it, too. Whoever
    /// puts something into a thing that can be deleted holds it.
    pub(crate) async fn hold<E: TenantEntity>(&self, id: Uuid) -> Result<E::Model> {
        self.locked::<E>(id, LockType::KeyShare).await
    }

    async fn locked<E: TenantEntity>(&self, id: Uuid, lock: LockType) -> Result<E::Model> {
        let select = self.select_locked::<E>(id, lock);
        let row = self.all::<E>(select).await?.into_iter().next();
        row.ok_or(Error::NotFound { resource: E::RESOURCE })
    }

    fn select_locked<E: TenantEntity>(&self, id: Uuid, lock: LockType) -> Select<E> {
        self.select::<E>().filter(E::ID.eq(id)).lock(lock)
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
        self.insert_with::<E>(id, row).await?.ok_or(Error::UnitOver)
    }

    /// Writes a new row into a thing that must be live, and holds that: both in one flight. Returns
    /// none if `conflict` finds the row there already.
    pub(crate) async fn insert_into<P: TenantEntity, E: TenantEntity>(
        &self,
        into: Uuid,
        row: E::ActiveModel,
        conflict: Option<OnConflict>,
    ) -> Result<Option<E::Model>> {
        let parent = self.select_locked::<P>(into, LockType::KeyShare).build(DbBackend::Postgres);
        let id = self.sources.ids.next(self.now());
        let (insert, changes) = self.insertion::<E>(id, row, conflict)?;
        let (held, rows) = match &self.conn {
            Conn::Unit(unit) => unit.rows_of_both(parent, insert).await,
            Conn::Pool(_) => Err(Error::UnitOver),
        }
        // A thing that was never there is found missing by the row that refers to it.
        .map_err(|error| match error {
            Error::InvalidReference { field }
                if field.strip_suffix("_id") == Some(P::RESOURCE.as_str()) =>
            {
                Error::NotFound { resource: P::RESOURCE }
            }
            other => other,
        })?;
        if held.is_empty() {
            // The row is written, into nothing: the unit must not be committed over this.
            if let Conn::Unit(unit) = &self.conn {
                unit.fail().await;
            }
            return Err(Error::NotFound { resource: P::RESOURCE });
        }
        self.inserted::<E>(id, &rows, changes)
    }

    async fn insert_with<E: TenantEntity>(
        &self,
        id: Uuid,
        row: E::ActiveModel,
    ) -> Result<Option<E::Model>> {
        let (insert, changes) = self.insertion::<E>(id, row, None)?;
        let rows = self.rows(insert).await?;
        self.inserted::<E>(id, &rows, changes)
    }

    fn inserted<E: TenantEntity>(
        &self,
        id: Uuid,
        rows: &[Row],
        changes: Option<Box<RawValue>>,
    ) -> Result<Option<E::Model>> {
        let row = models::<E>(rows)?.into_iter().next();
        if row.is_some() {
            self.record::<E>(Verb::Created, id, Version::FIRST, changes);
        }
        Ok(row)
    }

    /// Returns the statement that writes a new row, and what the audit log will say of it.
    fn insertion<E: TenantEntity>(
        &self,
        id: Uuid,
        row: E::ActiveModel,
        conflict: Option<OnConflict>,
    ) -> Result<(sea_orm::Statement, Option<Box<RawValue>>)> {
        let (row, changes) = self.stamped_new::<E>(id, row)?;
        let mut insert = E::insert(row).into_query();
        if let Some(conflict) = conflict {
            insert.on_conflict(conflict);
        }
        Ok((DbBackend::Postgres.build(insert.returning(all_columns::<E>())), changes))
    }

    /// Completes a new row with what every row has. Returns what the audit log will say of it, too.
    pub(super) fn stamped_new<E: TenantEntity>(
        &self,
        id: Uuid,
        mut row: E::ActiveModel,
    ) -> Result<(E::ActiveModel, Option<Box<RawValue>>)> {
        let now = self.now();
        let actor = self.actor();
        let changes = changes::of_insert::<E>(&row)?;
        row.set(E::ID, id.into());
        row.set(E::ORG_ID, self.ctx.org_id.as_uuid().into());
        row.set(E::VERSION, Version::FIRST.get().into());
        row.set(E::CREATED_AT, now.into());
        row.set(E::CREATED_BY, actor.clone());
        row.set(E::UPDATED_AT, now.into());
        row.set(E::UPDATED_BY, actor);
        Ok((row, changes))
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
        let changes = self.gone::<E>(self.now());
        self.write_guarded::<E>(Verb::Deleted, id, expected, changes, true).await
    }

    /// Brings a deleted row back if it is ours and still at `expected`.
    pub(crate) async fn restore<E: TenantEntity>(
        &self,
        id: Uuid,
        expected: Version,
    ) -> Result<E::Model> {
        self.write_guarded::<E>(Verb::Restored, id, expected, back::<E>(), false).await
    }

    /// The one statement that changes a row that was named: guarded by organization, life and
    /// version.
    async fn write_guarded<E: TenantEntity>(
        &self,
        verb: Verb,
        id: Uuid,
        expected: Version,
        changes: E::ActiveModel,
        live: bool,
    ) -> Result<E::Model> {
        let returning = changes::returning::<E>(&changes);
        let mut update = E::update_many()
            .set(self.stamped::<E>(changes))
            .col_expr(E::VERSION, Expr::col(E::VERSION).add(1))
            .filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid()))
            .filter(E::ID.eq(id))
            .filter(E::VERSION.eq(expected.get()))
            .filter(life::<E>(live))
            .into_query();
        let rows = self.rows(DbBackend::Postgres.build(update.returning(returning))).await?;
        let Some(row) = models::<E>(&rows)?.into_iter().next() else {
            return Err(self.explain_miss::<E>(id, expected, live).await?);
        };
        let changes = rows.first().map_or(Ok(None), changes::of_update)?;
        let (_, version) = E::key_of(&row);
        self.record::<E>(verb, id, Version::try_from(version).unwrap_or(expected), changes);
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

    /// Marks all live rows of which `which` holds as deleted at one instant, so that
    /// [`Self::restore_all`] finds the same ones again.
    pub(crate) async fn delete_all<E: TenantEntity>(
        &self,
        which: Expr,
        at: Timestamp,
    ) -> Result<()> {
        self.write_all::<E>(Verb::Deleted, &which.and(life::<E>(true)), &self.gone::<E>(at)).await
    }

    /// Brings back all rows of which `which` holds and that were deleted at one instant.
    pub(crate) async fn restore_all<E: TenantEntity>(
        &self,
        which: Expr,
        at: Timestamp,
    ) -> Result<()> {
        let which = which.and(E::DELETED_AT.eq(at));
        self.write_all::<E>(Verb::Restored, &which, &back::<E>()).await
    }

    /// Writes in batches, so that no statement takes long, each after locking what it writes: a row
    /// that somebody changes meanwhile is looked at again. `which` holds of no row any more once the
    /// row is written.
    async fn write_all<E: TenantEntity>(
        &self,
        verb: Verb,
        which: &Expr,
        changes: &E::ActiveModel,
    ) -> Result<()> {
        loop {
            let some = self.lock_some::<E>(which.clone(), false).await?;
            if some.is_empty() {
                return Ok(());
            }
            let mut update = E::update_many()
                .set(self.stamped::<E>(changes.clone()))
                .col_expr(E::VERSION, Expr::col(E::VERSION).add(1))
                .filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid()))
                .filter(E::ID.is_in(some))
                .into_query();
            let statement = DbBackend::Postgres.build(update.returning(key_columns::<E>()));
            self.record_all::<E>(verb, statement).await?;
        }
    }

    /// Removes for good some rows that were deleted before `before` and that nothing refers to.
    /// Returns how many: none when there are no more. What somebody is at work on is left alone.
    pub(crate) async fn remove_some<E: TenantEntity>(&self, before: Timestamp) -> Result<u64> {
        let some = self.lock_some::<E>(removable::<E>(before, "true"), true).await?;
        if some.is_empty() {
            return Ok(0);
        }
        let mut delete = E::delete_many()
            .filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid()))
            .filter(E::ID.is_in(some))
            .into_query();
        let statement = DbBackend::Postgres.build(delete.returning(key_columns::<E>()));
        self.record_all::<E>(Verb::Purged, statement).await
    }

    /// Locks some rows of which `which` holds, and goes on holding once they are locked. Passes over
    /// those that others have locked, or waits for them.
    async fn lock_some<E: TenantEntity>(&self, which: Expr, pass_over: bool) -> Result<Vec<Uuid>> {
        let mut select = E::find()
            .select_only()
            .column(E::ID)
            .filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid()))
            .filter(which)
            .limit(BATCH)
            .into_query();
        if pass_over {
            select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        } else {
            select.lock(LockType::Update);
        }
        let rows = self.rows(DbBackend::Postgres.build(&select)).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Runs a statement that returns the keys of what it wrote, and records each.
    async fn record_all<E: TenantEntity>(
        &self,
        verb: Verb,
        statement: sea_orm::Statement,
    ) -> Result<u64> {
        let rows = self.rows(statement).await?;
        for row in &rows {
            let id = row.try_get(E::ID.as_str())?;
            let version: i64 = row.try_get(E::VERSION.as_str())?;
            self.record::<E>(verb, id, Version::try_from(version).unwrap_or(Version::FIRST), None);
        }
        Ok(rows.len() as u64)
    }

    pub(super) fn record<E: TenantEntity>(
        &self,
        verb: Verb,
        id: Uuid,
        version: Version,
        changes: Option<Box<RawValue>>,
    ) {
        let now = self.now();
        self.records.add(E::RESOURCE, verb, id, version, changes, now, &self.sources);
    }

    fn actor(&self) -> Value {
        self.ctx.actor.user_id().map(|id| id.as_uuid()).into()
    }

    fn stamped<E: TenantEntity>(&self, mut changes: E::ActiveModel) -> E::ActiveModel {
        changes.set(E::UPDATED_AT, self.now().into());
        changes.set(E::UPDATED_BY, self.actor());
        changes
    }

    fn gone<E: TenantEntity>(&self, at: Timestamp) -> E::ActiveModel {
        let mut changes = <E::ActiveModel as ActiveModelTrait>::default();
        changes.set(E::DELETED_AT, Some(at).into());
        changes.set(E::DELETED_BY, self.actor());
        changes
    }
}

impl<Mode> OrgScope<Mode> {
    /// Returns how many rows `remove_some` would remove in the end: those that will only be
    /// referred to by what is removed before them are counted.
    pub(crate) async fn count_removable<E: TenantEntity>(&self, before: Timestamp) -> Result<i64> {
        let stays =
            format!("(by.deleted_at IS NULL OR by.deleted_at >= '{}')", before.to_rfc3339());
        let select = E::find()
            .filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid()))
            .filter(removable::<E>(before, &stays));
        self.count::<E>(select).await
    }
}

fn back<E: TenantEntity>() -> E::ActiveModel {
    let mut changes = <E::ActiveModel as ActiveModelTrait>::default();
    changes.set(E::DELETED_AT, None::<Timestamp>.into());
    changes.set(E::DELETED_BY, None::<Uuid>.into());
    changes
}

/// Deleted before an instant, and not referred to by any row of which `stays` holds.
fn removable<E: TenantEntity>(before: Timestamp, stays: &str) -> Expr {
    let table = E::default().to_string();
    let mut which = E::DELETED_AT.lt(before);
    for (by, column) in E::REFERRED_BY {
        which = which.and(Expr::cust(format!(
            "NOT EXISTS (SELECT FROM \"{by}\" AS by WHERE by.org_id = \"{table}\".org_id \
             AND by.\"{column}\" = \"{table}\".id AND {stays})"
        )));
    }
    which
}

fn all_columns<E: EntityTrait>() -> ReturningClause {
    Query::returning().columns(E::Column::iter())
}

fn key_columns<E: TenantEntity>() -> ReturningClause {
    Query::returning().columns([E::ID, E::VERSION])
}
