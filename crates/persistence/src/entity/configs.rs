use sea_orm::entity::prelude::*;

use super::JsonText;

super::table! {
    "configs"

    #[sea_orm(primary_key, auto_increment = false)]
    org_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    team_id: Option<Uuid>,
    name: String,
    description: Option<String>,
    config_type: String,
    status: String,
    name_pattern: Option<String>,
    severity_pattern: Option<String>,
    team_pattern: Option<String>,
    source: String,
    source_format: String,
    config_json: JsonText,
    body_schema: Option<JsonText>,
    config_version: Option<String>,
    priority: i32,
    is_global: bool,
    is_active: bool,
    tags: Json,
    config_metadata: JsonText,
    created_at: DateTimeUtc,
    created_by: Option<Uuid>,
    updated_at: DateTimeUtc,
    updated_by: Option<Uuid>,
    deleted_at: Option<DateTimeUtc>,
    deleted_by: Option<Uuid>,
    version: i64,
}

super::tenant_entity!(Config, OrgId);
