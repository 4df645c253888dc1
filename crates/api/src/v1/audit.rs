//! `/audit-log` and `/incidents/{incident_id}/timeline`: who did what.

use brownie_domain::{
    AuditId, Document, IncidentId, List, RequestId, ShortLabel, Timestamp, UserId,
};
use brownie_persistence::{AuditEntry, AuditFilter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Problem,
    access::{Item, Org, perm},
    answer::PageOf,
    body::{Path, When},
    query::{Limit, Paging, Query},
};

/// Which entries, and which part of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// How many at most.
    limit: Option<Limit>,
    /// Where the page before ended: its `next_cursor`.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
    /// About this thing.
    resource_id: Option<Uuid>,
    /// About things of this kind, such as `incident`.
    resource: Option<ShortLabel>,
    /// By this user.
    actor_id: Option<UserId>,
    /// Of this action, such as `team.deleted`.
    action: Option<ShortLabel>,
    /// At or after.
    since: Option<When>,
    /// Before.
    until: Option<When>,
}

/// One change to one row.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub(crate) struct AuditView {
    id: AuditId,
    occurred_at: Timestamp,
    /// `user`, `api_key`, `job` or `system`.
    #[schemars(example = &"user")]
    actor_kind: String,
    actor_id: Option<Uuid>,
    /// Of an actor that has no id.
    actor_name: Option<String>,
    request_id: RequestId,
    /// What was done.
    #[schemars(example = &"incident.updated")]
    action: String,
    #[schemars(example = &"incident")]
    resource: String,
    resource_id: Uuid,
    /// The version it left behind.
    version: i64,
    /// For each column that changed: its value before and after. Secrets are not repeated.
    #[schemars(example = serde_json::json!({"status": {"before": "open", "after": "resolved"}}))]
    #[schemars(with = "Option<Value>")]
    changes: Option<Document>,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry {
            id,
            occurred_at,
            actor_kind,
            actor_id,
            actor_name,
            request_id,
            action,
            resource,
            resource_id,
            version,
            changes,
        } = entry;
        Self {
            id,
            occurred_at,
            actor_kind,
            actor_id,
            actor_name,
            request_id,
            action,
            resource,
            resource_id,
            version,
            changes,
        }
    }
}

pub(crate) async fn list(
    access: Org<perm::AuditRead>,
    Query(query): Query<AuditQuery>,
) -> Result<PageOf<AuditView>, Problem> {
    let AuditQuery { limit, cursor, resource_id, resource, actor_id, action, since, until } = query;
    let page = Paging::of(limit, cursor.as_deref(), List::AuditLog)?;
    let filter = AuditFilter {
        resource_id,
        resource: resource.map(Into::into),
        actor: actor_id,
        action: action.map(Into::into),
        since: since.map(|when| when.0),
        until: until.map(|when| when.0),
    };
    let entries = access.read().audit_log().list(filter, page).await?;
    Ok(PageOf::of(List::AuditLog, entries, AuditView::from))
}

/// What happened to an incident, for those who may see it.
pub(crate) async fn timeline(
    access: Item<perm::IncidentsRead>,
    Path(id): Path<IncidentId>,
    Query(paging): Query<Paging>,
) -> Result<PageOf<AuditView>, Problem> {
    let page = Paging::of(paging.limit, paging.cursor.as_deref(), List::AuditLog)?;
    let entries = access
        .read(|scope, gate| async move {
            let pass = gate.admit(scope.incidents().get(id).await?.team_id)?;
            let about = Some(id.as_uuid());
            let filter = AuditFilter { resource_id: about, ..AuditFilter::default() };
            Ok((pass, scope.audit_log().list(filter, page).await?))
        })
        .await?;
    Ok(PageOf::of(List::AuditLog, entries, AuditView::from))
}
