use sea_orm::entity::prelude::*;

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
    config: Json,
    execution_timeout_seconds: i32,
    max_retries: i32,
    retry_delay_seconds: i32,
    triggers: Json,
    conditions: Json,
    tags: Json,
    config_metadata: Json,
    created_at: DateTimeUtc,
    created_by: Option<Uuid>,
    updated_at: DateTimeUtc,
    updated_by: Option<Uuid>,
    deleted_at: Option<DateTimeUtc>,
    deleted_by: Option<Uuid>,
    version: i64,
}

super::tenant_entity!(AgentConfig, OrgId);
