//! The tables as sea-orm sees them: columns and nothing else. Private to the crate; what leaves it
//! are the domain's types. `brownie-migration` makes the tables; a test compares the two.
#![expect(unreachable_pub, reason = "sea-orm's derive makes its types pub")]

pub(crate) use json::{JsonText, raw};
use tokio_postgres::Row;

/// Reads a model from a row whose columns are the model's, in its order, whatever comes after them.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error>;
}

/// Declares a table: its columns, in the order in which they are selected.
macro_rules! table {
    (
        $name:literal
        $($(#[$key:meta])* $column:ident: $type:ty,)+
    ) => {
        #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
        #[sea_orm(table_name = $name)]
        pub struct Model {
            $($(#[$key])* pub $column: $type,)+
        }

        #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}

        impl crate::entity::FromRow for Model {
            fn from_row(row: &tokio_postgres::Row) -> Result<Self, tokio_postgres::Error> {
                let mut columns = 0..row.len();
                let mut next = || columns.next().unwrap_or(row.len());
                Ok(Self { $($column: row.try_get(next())?,)+ })
            }
        }
    };
}
pub(crate) use table;

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
pub(crate) mod api_keys;
pub(crate) mod configs;
pub(crate) mod incidents;
mod json;
pub(crate) mod memberships;
pub(crate) mod organizations;
pub(crate) mod outbox;
pub(crate) mod stats;
pub(crate) mod teams;
pub(crate) mod users;
