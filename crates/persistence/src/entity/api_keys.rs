use sea_orm::entity::prelude::*;

super::table! {
    "api_keys"

    #[sea_orm(primary_key, auto_increment = false)]
    org_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    team_id: Option<Uuid>,
    name: String,
    role: String,
    scopes: Json,
    hash: Vec<u8>,
    previous_hash: Option<Vec<u8>>,
    previous_until: Option<DateTimeUtc>,
    expires_at: Option<DateTimeUtc>,
    created_at: DateTimeUtc,
    created_by: Option<Uuid>,
    updated_at: DateTimeUtc,
    updated_by: Option<Uuid>,
    deleted_at: Option<DateTimeUtc>,
    deleted_by: Option<Uuid>,
    version: i64,
}

super::tenant_entity!(ApiKey, OrgId, secret Hash, secret PreviousHash);
