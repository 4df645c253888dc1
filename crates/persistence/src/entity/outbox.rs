use sea_orm::entity::prelude::*;

super::table! {
    "outbox"

    #[sea_orm(primary_key, auto_increment = false)]
    org_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    occurred_at: DateTimeUtc,
    event: String,
    resource: String,
    resource_id: Uuid,
    version: i64,
    position: i64,
}
