use sea_orm::entity::prelude::*;

use super::JsonText;

super::table! {
    "agent_configs"

    #[sea_orm(primary_key, auto_increment = false)]
    org_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    team_id: Uuid,
    name: String,
    description: Option<String>,
    agent_type: String,
    is_active: bool,
    config: JsonText,
    execution_timeout_seconds: i32,
    max_retries: i32,
    retry_delay_seconds: i32,
    triggers: JsonText,
    conditions: JsonText,
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

super::tenant_entity!(AgentConfig, OrgId);
