//! The audit log: who did what, written by [`crate::record`] in the transactions that did it.

use brownie_domain::{
    AuditId, Document, Page, PageRequest, Position, RequestId, Timestamp, UserId,
};
use sea_orm::{DbBackend, Statement, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Error, OrgScope, Result, entity::JsonText};

/// One change to one row.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Which entry.
    pub id: AuditId,
    /// When, by the clock of the service that did it.
    pub occurred_at: Timestamp,
    /// `user`, `api_key`, `job` or `system`.
    pub actor_kind: String,
    /// Who, if it has an id.
    pub actor_id: Option<Uuid>,
    /// Who, if it has a name instead.
    pub actor_name: Option<String>,
    /// The request in which it was done.
    pub request_id: RequestId,
    /// What was done, such as `incident.updated`.
    pub action: String,
    /// The kind of thing.
    pub resource: String,
    /// Which one.
    pub resource_id: Uuid,
    /// Its version afterwards.
    pub version: i64,
    /// What changed: for each column its value before and after. None where there is nothing to say.
    pub changes: Option<Document>,
}

/// Which entries are wanted. What is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About this thing.
    pub resource_id: Option<Uuid>,
    /// About things of this kind.
    pub resource: Option<String>,
    /// By this user.
    pub actor: Option<UserId>,
    /// Of this action, such as `team.deleted`.
    pub action: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// The audit log of an organization: what [`OrgScope::audit_log`] gives out.
#[derive(Debug)]
pub struct AuditLog<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// Who did what in the organization.
    pub fn audit_log(&self) -> AuditLog<'_, Mode> {
        AuditLog { scope: self }
    }
}

impl<Mode> AuditLog<'_, Mode> {
    /// Returns the entries that match, the latest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(&self, filter: AuditFilter, page: PageRequest) -> Result<Page<AuditEntry>> {
        let (rows, is_cut) = self.scope.page_of(self.statement(filter, page)).await?;
        let entries = rows.iter().map(AuditEntry::read).collect::<Result<Vec<_>>>()?;
        let position =
            |entry: &AuditEntry| Position { at: entry.occurred_at, id: entry.id.as_uuid() };
        Ok(Page::from_rows(entries, is_cut, page, position))
    }

    /// Ids are made in the order of time, and the log is partitioned by them: so a time is a bound
    /// on ids, and whole partitions are passed over.
    fn statement(&self, filter: AuditFilter, page: PageRequest) -> Statement {
        let AuditFilter { resource_id, resource, actor, action, since, until } = filter;
        let mut values: Vec<Value> = vec![self.scope.org_id().as_uuid().into()];
        let mut sql = "SELECT id, occurred_at, actor_kind, actor_id, actor_name, request_id, \
             action, resource, resource_id, version, changes FROM audit_log WHERE org_id = $1"
            .to_owned();
        let mut also = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {condition}").replace('?', &format!("${}", values.len())));
        };
        if let Some(id) = resource_id {
            also("resource_id = ?", id.into());
        }
        if let Some(resource) = resource {
            also("resource = ?", resource.into());
        }
        if let Some(actor) = actor {
            also("actor_id = ?", actor.as_uuid().into());
        }
        if let Some(action) = action {
            also("action = ?", action.into());
        }
        if let Some(since) = since {
            also("id >= ?", lowest_id_at(since).into());
        }
        if let Some(until) = until {
            also("id < ?", lowest_id_at(until).into());
        }
        if let Some(after) = page.after() {
            also("id < ?", after.id.into());
        }
        sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", page.limit() + 1));
        Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
    }
}

/// Returns the lowest id that can be made at an instant (RFC 9562 section 5.7: it begins with the
/// milliseconds).
fn lowest_id_at(instant: Timestamp) -> Uuid {
    let millis = u128::try_from(instant.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

fn changes(row: &Row) -> Result<Option<Document>> {
    let changes: Option<JsonText> = row.try_get("changes")?;
    let changes = changes.map(JsonText::into_document).transpose();
    changes.map_err(|error| Error::Database(Box::new(error)))
}

impl AuditEntry {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: AuditId::from_uuid(row.try_get("id")?),
            occurred_at: row.try_get("occurred_at")?,
            actor_kind: row.try_get("actor_kind")?,
            actor_id: row.try_get("actor_id")?,
            actor_name: row.try_get("actor_name")?,
            request_id: RequestId::from_uuid(row.try_get("request_id")?),
            action: row.try_get("action")?,
            resource: row.try_get("resource")?,
            resource_id: row.try_get("resource_id")?,
            version: row.try_get("version")?,
            changes: changes(row)?,
        })
    }
}
