use sea_orm::entity::prelude::*;

use super::JsonText;

super::table! {
    "teams"

    #[sea_orm(primary_key, auto_increment = false)]
    org_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    name: String,
    slug: String,
    description: Option<String>,
    is_active: bool,
    permissions: JsonText,
    created_at: DateTimeUtc,
    created_by: Option<Uuid>,
    updated_at: DateTimeUtc,
    updated_by: Option<Uuid>,
    deleted_at: Option<DateTimeUtc>,
    deleted_by: Option<Uuid>,
    version: i64,
}

super::tenant_entity!(
    Team, OrgId,
    referred by users.team_id, referred by memberships.team_id, referred by incidents.team_id,
    referred by agent_configs.team_id, referred by api_keys.team_id, referred by configs.team_id,
    referred by stats.team_id
);
