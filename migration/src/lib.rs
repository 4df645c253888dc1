//! The schema of the metadata database, and who may change it when.
//!
//! [`History`] is the list of migrations. [`apply`] brings a database to the newest of them, with any
//! number of processes trying at once; [`status`] tells where a database stands; [`maintain`] makes
//! the partitions to come and drops the old ones; [`drift()`] compares a database with what the
//! migrations make, and [`selftest()`] the ways up and down with each other; [`Standing`] is the rule
//! by which a service decides whether it can serve such a database.
//!
//! A migration is a pair of files in `src/sql` and a line in the list below. Once released it is
//! frozen: what came after it was tried on what it made.

mod catalog;
mod check;
mod concurrently;
mod drift;
mod history;
mod ledger;
mod lock;
mod partitions;
mod run;
mod selftest;
mod standing;
mod steps;
mod tunnel;

use sea_orm_migration::prelude::*;

pub use catalog::{Catalog, Fact, Kind};
pub use check::{Check, check};
pub use drift::{Difference, Drift, describe, drift};
pub use history::{History, Source};
pub use ledger::Applied;
pub use partitions::{End, Maintained, TimeTable, maintain};
pub use run::{Database, Error, Report, apply, status};
pub use selftest::{Finding, SelftestError, Tested, selftest};
pub use standing::{LEDGER, Standing, WINDOW};
pub use steps::{Back, Step, apply_to, pending, revert};
pub use tunnel::{TunnelError, reach};

macro_rules! sql_migrations {
    ($($name:literal,)+) => {
        vec![$(Source {
            name: $name,
            up: include_str!(concat!("sql/", $name, ".up.sql")),
            down: include_str!(concat!("sql/", $name, ".down.sql")),
        },)+]
    };
}

/// Returns the migrations of this release, the oldest first.
fn shipped() -> Vec<Source> {
    sql_migrations![
        "m20261121_000001_updated_at",
        "m20261121_000002_organizations",
        "m20261121_000003_teams",
        "m20261121_000004_users",
        "m20261121_000005_memberships",
        "m20261121_000006_incidents",
        "m20261121_000007_agent_configs",
        "m20261121_000008_configs",
        "m20261121_000009_stats",
        "m20261121_000010_audit_log",
        "m20261121_000011_outbox",
        "m20261121_000012_idempotency_keys",
        "m20261121_000013_outbox_position",
        "m20261121_000014_audit_changes",
        "m20261121_000015_deleted_indexes",
        "m20261121_000016_partitions",
        "m20261121_000017_roles",
        "m20261121_000018_lookups",
        "m20261121_000019_grants",
        "m20261121_000020_walls",
        "m20261121_000021_reference_indexes",
        "m20261121_000022_incident_search",
        "m20261121_000023_sessions",
        "m20261121_000024_api_keys",
        "m20261121_000025_config_bodies",
        "m20261121_000026_business_figures",
        "m20261122_000027_operations",
        "m20261130_000028_search_without_column",
        "m20261130_000029_organization_access_ends",
        "m20261130_000030_events_settled",
        "m20261201_000031_login_guesses",
        "m20261201_000032_operations_proof",
    ]
}

/// The migrations of this release, as sea-orm-migration's own commands want them.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        shipped().into_iter().map(|source| Box::new(source) as _).collect()
    }
}

/// Returns the names of all migrations of this release, the oldest first.
pub fn names() -> Vec<String> {
    History::shipped().names()
}

/// Returns the texts of all migrations of this release, the oldest first.
pub fn sources() -> impl Iterator<Item = Source> {
    shipped().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_none_is_twice() {
        let names = names();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }

    #[test]
    fn every_file_in_sql_is_a_migration_or_its_way_back() {
        let mut expected: Vec<String> = names()
            .iter()
            .flat_map(|name| [format!("{name}.down.sql"), format!("{name}.up.sql")])
            .collect();
        expected.sort();
        let mut found: Vec<String> =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
        found.sort();
        assert_eq!(found, expected);
    }
}
