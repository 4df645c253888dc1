//! The one catalogue of metric names, and the exporter that prints them.
//!
//! A metric is declared here or it does not exist: `docs/metrics.md` is tested against this list.

use std::{sync::OnceLock, time::Duration};

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric of the catalogue.
#[derive(Debug)]
pub struct Metric {
    /// Its name, with the unit where there is one.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// Its labels, each with a bounded set of values.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// Which program this is: always 1.
pub const BUILD_INFO: &str = "brownie_build_info";
/// What was done with the short-lived state that instances share.
pub const CACHE_OPERATIONS: &str = "brownie_cache_operations_total";
/// Whether that state is where it should be.
pub const CACHE_UP: &str = "brownie_cache_up";
/// When certificates end.
pub const CERTIFICATE_EXPIRY: &str = "brownie_certificate_expiry_timestamp_seconds";
/// Whether the certificates in use are those that there are.
pub const CERTIFICATE_REFUSED: &str = "brownie_certificate_refused";
/// What came of looking for new certificates.
pub const CERTIFICATE_RELOADS: &str = "brownie_certificate_reloads_total";
/// Requests answered.
pub const HTTP_REQUESTS: &str = "brownie_http_requests_total";
/// How long answers took.
pub const HTTP_REQUEST_DURATION: &str = "brownie_http_request_duration_seconds";
/// Connections to the database.
pub const DB_CONNECTIONS: &str = "brownie_db_connections";
/// Log lines that were lost.
pub const LOG_LINES_DROPPED: &str = "brownie_log_lines_dropped_total";

/// What was done again because it failed in a way that allows it.
pub const DB_RETRIES: &str = "brownie_db_retries_total";

/// All metrics, by name.
pub const CATALOGUE: &[Metric] = &[
    Metric {
        name: BUILD_INFO,
        kind: Kind::Gauge,
        labels: &["version"],
        help: "Always 1; the label says which version runs.",
    },
    Metric {
        name: CACHE_OPERATIONS,
        kind: Kind::Counter,
        labels: &["operation", "outcome"],
        help: "Operations on limits, log-in delays and cached values, by outcome: allowed, denied, hit, miss or done; besides, failed each time that Redis was asked in vain.",
    },
    Metric {
        name: CACHE_UP,
        kind: Kind::Gauge,
        labels: &[],
        help: "0 while Redis is away and this instance answers by itself, otherwise 1.",
    },
    Metric {
        name: CERTIFICATE_EXPIRY,
        kind: Kind::Gauge,
        labels: &["role"],
        help: "When the certificates in use end, in seconds since 1970, by role: ca (the first of the bundle to end, of those that are not over), client and server (the first of the chain), crl (when the next revocation list is due).",
    },
    Metric {
        name: CERTIFICATE_REFUSED,
        kind: Kind::Gauge,
        labels: &[],
        help: "1 while new certificates cannot be read or used and those before them serve on, otherwise 0.",
    },
    Metric {
        name: CERTIFICATE_RELOADS,
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "New certificates, by outcome: taken (they are in use) or refused (those before them serve on; counted once for each different reason).",
    },
    Metric {
        name: DB_CONNECTIONS,
        kind: Kind::Gauge,
        labels: &["state"],
        help: "Open connections to the database, by state: busy or idle.",
    },
    Metric {
        name: DB_RETRIES,
        kind: Kind::Counter,
        labels: &["cause"],
        help: "Reads and units of work that were done again, by cause: contention (a serialization failure or a deadlock) or connection (it was lost before anything could take effect).",
    },
    Metric {
        name: HTTP_REQUEST_DURATION,
        kind: Kind::Histogram,
        labels: &["method", "route"],
        help: "Seconds from a request's last header to its answer's first. The route is the template, or unmatched.",
    },
    Metric {
        name: HTTP_REQUESTS,
        kind: Kind::Counter,
        labels: &["method", "route", "status"],
        help: "Requests answered, by method, route template and status.",
    },
    Metric {
        name: LOG_LINES_DROPPED,
        kind: Kind::Counter,
        labels: &[],
        help: "Log lines that were lost because what takes them was full, or too slow.",
    },
];

/// Bounds of the request durations, in seconds.
const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Prints the metrics of this process.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter")
    }
}

impl Exporter {
    /// Begins recording, once for the process; later calls return the same exporter.
    ///
    /// # Errors
    /// When another recorder is in place.
    pub fn install() -> Result<Self, metrics_exporter_prometheus::BuildError> {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        if let Some(handle) = INSTALLED.get() {
            return Ok(Self(handle.clone()));
        }
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(
                Matcher::Full(HTTP_REQUEST_DURATION.to_owned()),
                DURATION_BUCKETS,
            )?
            .install_recorder()?;
        for metric in CATALOGUE {
            match metric.kind {
                Kind::Counter => describe_counter!(metric.name, metric.help),
                Kind::Gauge => describe_gauge!(metric.name, metric.help),
                Kind::Histogram => describe_histogram!(metric.name, metric.help),
            }
        }
        gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self(INSTALLED.get_or_init(|| handle).clone()))
    }

    /// Returns the metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// How often [`Exporter::upkeep`] wants to be called.
    pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

    /// Folds what histograms have gathered. Left undone, they grow for ever.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_metrics_are_the_exported_ones() {
        let page = include_str!("../../../docs/metrics.md");
        for metric in CATALOGUE {
            let row = format!(
                "| `{}` | {} | {} | {} |",
                metric.name,
                format!("{:?}", metric.kind).to_lowercase(),
                metric.labels.join(", "),
                metric.help
            );
            assert!(page.contains(&row), "docs/metrics.md should have the row:\n{row}");
        }
        assert_eq!(page.matches("| `brownie_").count(), CATALOGUE.len());
    }

    #[test]
    fn the_catalogue_is_in_order() {
        assert!(CATALOGUE.is_sorted_by_key(|metric| metric.name.replace("_total", "~")));
    }
}
