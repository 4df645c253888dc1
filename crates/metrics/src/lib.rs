//! The one catalogue of metric names, and the exporter that prints them.
//!
//! A metric is declared in [`catalogue`] or it does not exist: `docs/metrics.md` is made of it.

pub mod catalogue;
mod exporter;
mod page;

pub use catalogue::{
    GROUPS, Group, Kind, Metric, Unit, all, backup::*, business::*, database::*, http::*,
    process::*, shared::*,
};
pub use exporter::{Exporter, InstallError};
pub use page::page;

#[cfg(test)]
mod tests {
    use super::*;

    /// Names say what they are (Prometheus' "Metric and label naming").
    #[test]
    fn names_say_what_they_are() {
        for Metric { name, kind, unit, labels, buckets, help } in all() {
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert_eq!(!buckets.is_empty(), *kind == Kind::Histogram, "{name}");
            assert!(buckets.is_sorted(), "{name}");
            assert!(labels.is_sorted() && help.ends_with('.'), "{name}");
            let base = name.trim_end_matches("_total");
            match unit {
                Unit::Seconds | Unit::Timestamp => assert!(base.ends_with("_seconds"), "{name}"),
                Unit::Bytes => assert!(base.ends_with("_bytes"), "{name}"),
                Unit::Count | Unit::Flag => assert!(!base.ends_with("_seconds"), "{name}"),
            }
            assert!(name.starts_with("brownie_") || name.starts_with("process_"), "{name}");
        }
    }

    #[test]
    fn no_name_is_declared_twice() {
        let mut names: Vec<&str> = all().map(|metric| metric.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// What people grep for who know the original, and what its rules assumed.
    #[test]
    fn who_knows_the_original_finds_ours() {
        for wanted in ["request_duration", "errors_total", "db_connections_active"] {
            assert!(all().any(|metric| metric.name.contains(wanted)), "{wanted}");
        }
    }
}
