use sea_orm::entity::prelude::*;

super::table! {
    "organizations"

    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    name: String,
    slug: String,
    description: Option<String>,
    is_active: bool,
    max_teams: i32,
    max_users_per_team: i32,
    created_at: DateTimeUtc,
    created_by: Option<Uuid>,
    updated_at: DateTimeUtc,
    updated_by: Option<Uuid>,
    deleted_at: Option<DateTimeUtc>,
    deleted_by: Option<Uuid>,
    version: i64,
}

super::tenant_entity!(Organization, Id);
