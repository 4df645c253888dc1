use sea_orm::entity::prelude::*;

use super::JsonText;

super::table! {
    "users"

    #[sea_orm(primary_key, auto_increment = false)]
    org_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    email: String,
    username: String,
    full_name: Option<String>,
    avatar_url: Option<String>,
    password_hash: Option<String>,
    is_active: bool,
    is_verified: bool,
    oidc_subject: Option<String>,
    oidc_provider: Option<String>,
    team_id: Uuid,
    role: String,
    preferences: JsonText,
    token_generation: i64,
    created_at: DateTimeUtc,
    created_by: Option<Uuid>,
    updated_at: DateTimeUtc,
    updated_by: Option<Uuid>,
    deleted_at: Option<DateTimeUtc>,
    deleted_by: Option<Uuid>,
    version: i64,
}

super::tenant_entity!(
    User, OrgId, secret PasswordHash,
    referred by memberships.user_id, referred by incidents.assigned_to
);
