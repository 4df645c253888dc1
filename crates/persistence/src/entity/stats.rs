use sea_orm::entity::prelude::*;

use super::JsonText;

super::table! {
    "stats"

    #[sea_orm(primary_key, auto_increment = false)]
    org_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    team_id: Option<Uuid>,
    metric_name: String,
    metric_type: String,
    #[sea_orm(column_type = "Double")]
    value: f64,
    count: Option<i32>,
    timestamp: DateTimeUtc,
    time_window: Option<String>,
    labels: JsonText,
    description: Option<String>,
    unit: Option<String>,
    created_at: DateTimeUtc,
    created_by: Option<Uuid>,
    updated_at: DateTimeUtc,
    updated_by: Option<Uuid>,
    deleted_at: Option<DateTimeUtc>,
    deleted_by: Option<Uuid>,
    version: i64,
}

super::tenant_entity!(Stat, OrgId);
