//! All metrics there are. One that is not declared here does not exist: the pages, the dashboards and
//! the alerts are tested against this.

pub mod backup;
pub mod business;
pub mod database;
pub mod http;
pub mod process;
pub mod shared;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from the start of a process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// Returns its name, as Prometheus has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a metric counts or measures in. Base units alone, and they are in the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// So many of something.
    Count,
    /// A length of time.
    Seconds,
    /// A moment, in seconds since 1970.
    Timestamp,
    /// Memory, or files.
    Bytes,
    /// Yes (1) or no (0).
    Flag,
}

impl Unit {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::Timestamp => "unix seconds",
            Self::Bytes => "bytes",
            Self::Flag => "0 or 1",
        }
    }
}

/// A metric of the catalogue.
#[derive(Debug)]
pub struct Metric {
    /// Its name, with the unit where there is one.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// Its labels, each with a bounded set of values.
    pub labels: &'static [&'static str],
    /// The upper bounds of a histogram's buckets, in its unit.
    pub buckets: &'static [f64],
    /// What it tells.
    pub help: &'static str,
}

/// Metrics that belong together, as `docs/metrics.md` shows them.
#[derive(Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// Who exports them, and when.
    pub exported: &'static str,
    /// The metrics, by name.
    pub metrics: &'static [Metric],
}

/// Every metric, in the order of the page.
pub const GROUPS: &[Group] = &[
    Group {
        title: "Requests",
        exported: "Every instance of brownie-server and brownie-standalone.",
        metrics: http::METRICS,
    },
    Group {
        title: "The database",
        exported: "Every instance, about its own connections and statements.",
        metrics: database::METRICS,
    },
    Group {
        title: "Caches and certificates",
        exported: "Every instance; those of certificates by brownie-server alone, where the database is reached with them.",
        metrics: shared::METRICS,
    },
    Group {
        title: "The business",
        exported: "One instance at a time, about the whole database, where METRICS_INTERVAL is not 0; the migrations and the distribution of times by every instance. While instances change places two may tell, so ask for max(), not sum().",
        metrics: business::METRICS,
    },
    Group {
        title: "Backups",
        exported: "The instance that tells of the business, where METRICS_INTERVAL is not 0, as the backup worker last reported it; so they survive its end. Of durations what that instance saw end.",
        metrics: backup::METRICS,
    },
    Group {
        title: "The process",
        exported: "Every instance, by Prometheus' usual names.",
        metrics: process::METRICS,
    },
];

/// Returns every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    GROUPS.iter().flat_map(|group| group.metrics)
}

/// Declares metrics: a constant for each name, and the list of them.
macro_rules! metrics {
    ($($name:ident = $text:literal, $kind:ident of $unit:ident, $labels:tt $(in $buckets:expr)?, $help:literal;)+) => {
        $(#[doc = concat!("`", $text, "`; its entry in the catalogue says what it tells.")] pub const $name: &str = $text;)+

        /// The metrics of this file, by name.
        pub(in crate::catalogue) const METRICS: &[$crate::Metric] = &[$($crate::Metric {
            name: $name,
            kind: $crate::Kind::$kind,
            unit: $crate::Unit::$unit,
            labels: &$labels,
            buckets: $crate::catalogue::buckets!($($buckets)?),
            help: $help,
        },)+];
    };
}

macro_rules! buckets {
    () => {
        &[]
    };
    ($buckets:expr) => {
        $buckets
    };
}

use {buckets, metrics};
