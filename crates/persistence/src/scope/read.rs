//! The verbs that read.

use brownie_domain::{Page, PageRequest, Position};
use sea_orm::{
    ColumnTrait, DbBackend, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{OrgScope, TenantEntity, life, models};
use crate::{Error, Result};

impl<Mode> OrgScope<Mode> {
    /// Begins every read: the live rows of this organization.
    pub(crate) fn select<E: TenantEntity>(&self) -> Select<E> {
        E::find().filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid())).filter(life::<E>(true))
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
            Some(row) => Ok(row.try_get("count")?),
            None => Ok(0),
        }
    }

    /// Returns a page of a selection, newest first by `at`, then by id.
    pub(crate) async fn page<E: TenantEntity>(
        &self,
        select: Select<E>,
        at: E::Column,
        request: PageRequest,
        position: impl Fn(&E::Model) -> Position,
    ) -> Result<Page<E::Model>> {
        let select = newest_first(select, at, request.after()).limit(request.limit() + 1);
        let (rows, is_cut) = self.page_of(select.build(DbBackend::Postgres)).await?;
        Ok(Page::from_rows(models::<E>(&rows)?, is_cut, request, position))
    }

    /// Begins a look at what was deleted: the rows of this organization that are not live.
    pub(crate) fn select_deleted<E: TenantEntity>(&self) -> Select<E> {
        E::find().filter(E::ORG_ID.eq(self.ctx.org_id.as_uuid())).filter(life::<E>(false))
    }

    /// Returns a row, live or deleted.
    pub(crate) async fn live_or_deleted<E: TenantEntity>(&self, id: Uuid) -> Result<E::Model> {
        let ours = E::ORG_ID.eq(self.ctx.org_id.as_uuid());
        let row = self.one(E::find().filter(ours).filter(E::ID.eq(id))).await?;
        row.ok_or(Error::NotFound { resource: E::RESOURCE })
    }

    /// Returns a deleted row.
    pub(crate) async fn deleted<E: TenantEntity>(&self, id: Uuid) -> Result<E::Model> {
        let row = self.one(self.select_deleted::<E>().filter(E::ID.eq(id))).await?;
        row.ok_or(Error::NotFound { resource: E::RESOURCE })
    }
}

/// Sorts a selection as pages are, from `after` on.
pub(crate) fn newest_first<E: TenantEntity>(
    mut select: Select<E>,
    at: E::Column,
    after: Option<Position>,
) -> Select<E> {
    if let Some(after) = after {
        // One comparison of rows, which an index on (…, at, id) answers in one descent.
        let here = Expr::tuple([Expr::col(at), Expr::col(E::ID)]);
        let there = Expr::tuple([Expr::val(after.at), Expr::val(after.id)]);
        select = select.filter(here.lt(there));
    }
    select.order_by_desc(at).order_by_desc(E::ID)
}
