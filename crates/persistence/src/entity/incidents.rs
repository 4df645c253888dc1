use sea_orm::entity::prelude::*;

use super::JsonText;

super::table! {
    "incidents"

    #[sea_orm(primary_key, auto_increment = false)]
    org_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    team_id: Uuid,
    title: String,
    description: Option<String>,
    status: String,
    priority: String,
    severity: String,
    source: Option<String>,
    assigned_to: Option<Uuid>,
    started_at: Option<DateTimeUtc>,
    resolved_at: Option<DateTimeUtc>,
    closed_at: Option<DateTimeUtc>,
    response_time_minutes: Option<i32>,
    resolution_time_minutes: Option<i32>,
    tags: Json,
    incident_metadata: JsonText,
    idempotency_key: Option<String>,
    created_at: DateTimeUtc,
    created_by: Option<Uuid>,
    updated_at: DateTimeUtc,
    updated_by: Option<Uuid>,
    deleted_at: Option<DateTimeUtc>,
    deleted_by: Option<Uuid>,
    version: i64,
}

super::tenant_entity!(Incident, OrgId);
