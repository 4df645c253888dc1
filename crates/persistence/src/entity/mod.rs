//! The tables as sea-orm sees them: columns and nothing else. Private to the crate; what leaves it
//! are the domain's types. `brownie-migration` makes the tables; a test compares the two.
#![expect(unreachable_pub, reason = "sea-orm's derive makes its types pub")]

/// Names the columns that every mutable table has, for [`crate::scope`]: the resource that a row is,
/// the column
/// that says whose it is, what the audit log must not repeat, and who refers to such rows.
macro_rules! tenant_entity {
    ($resource:ident, $org_id:ident $(, secret $secret:ident)* $(, referred by $table:ident.$column:ident)*) => {
        impl crate::scope::TenantEntity for Entity {
            const RESOURCE: crate::Resource = crate::Resource::$resource;
            const ORG_ID: Column = Column::$org_id;
            const ID: Column = Column::Id;
            const VERSION: Column = Column::Version;
            const CREATED_AT: Column = Column::CreatedAt;
            const CREATED_BY: Column = Column::CreatedBy;
            const UPDATED_AT: Column = Column::UpdatedAt;
            const UPDATED_BY: Column = Column::UpdatedBy;
            const DELETED_AT: Column = Column::DeletedAt;
            const DELETED_BY: Column = Column::DeletedBy;
            const SECRETS: &'static [Column] = &[$(Column::$secret),*];
            const REFERRED_BY: &'static [(&'static str, &'static str)] =
                &[$((stringify!($table), stringify!($column))),*];

            fn key_of(row: &Model) -> (Uuid, i64) {
                (row.id, row.version)
            }
        }
    };
}
pub(crate) use tenant_entity;

pub(crate) mod agent_configs;
pub(crate) mod incidents;
pub(crate) mod memberships;
pub(crate) mod organizations;
pub(crate) mod outbox;
pub(crate) mod stats;
pub(crate) mod teams;
pub(crate) mod users;
