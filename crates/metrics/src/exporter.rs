//! What prints the metrics of this process.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::{BUILD_INFO, Kind, all};

/// Why metrics cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be recorded: another recorder is in place")]
pub struct InstallError(#[from] BuildError);

/// Prints the metrics of this process.
#[derive(Clone)]
pub struct Exporter {
    /// None where nothing is measured.
    handle: Option<PrometheusHandle>,
    process: Collector,
    figures: Arc<Mutex<String>>,
}

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
    pub fn install() -> Result<Self, InstallError> {
        static INSTALLED: OnceLock<Exporter> = OnceLock::new();
        if let Some(exporter) = INSTALLED.get() {
            return Ok(exporter.clone());
        }
        let mut builder = PrometheusBuilder::new();
        for metric in all().filter(|metric| metric.kind == Kind::Histogram) {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, metric.buckets)?;
        }
        let handle = builder.install_recorder()?;
        describe();
        gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let exporter =
            Self { handle: Some(handle), process: Collector::default(), figures: Arc::default() };
        Ok(INSTALLED.get_or_init(|| exporter).clone())
    }

    /// An exporter for a process in which nothing is measured.
    pub fn off() -> Self {
        Self { handle: None, process: Collector::default(), figures: Arc::default() }
    }

    /// Whether anything is measured.
    pub fn is_on(&self) -> bool {
        self.handle.is_some()
    }

    /// Returns the metrics in Prometheus' text format; none where nothing is measured.
    pub fn render(&self) -> Option<String> {
        let handle = self.handle.as_ref()?;
        self.process.collect();
        let mut text = handle.render();
        text.push_str(&self.figures.lock().unwrap_or_else(PoisonError::into_inner));
        Some(text)
    }

    /// Shows figures beside this process's own, in place of those shown before: what `record` sets,
    /// and nothing else. They are not of this process, and when another one tells them they must be
    /// gone from here: [`Exporter::withdraw`].
    pub fn publish(&self, record: impl FnOnce()) {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            record();
        });
        let text = recorder.handle().render();
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Shows no such figures from now on.
    pub fn withdraw(&self) {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How often [`Exporter::upkeep`] wants to be called.
    pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

    /// Folds what histograms have gathered. Left undone, they grow for ever.
    pub fn upkeep(&self) {
        if let Some(handle) = &self.handle {
            handle.run_upkeep();
        }
    }
}

fn describe() {
    for metric in all() {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_and_go_and_the_process_stays() {
        let exporter = Exporter::install().unwrap();
        exporter.publish(|| gauge!(crate::TEAMS).set(7.0));
        let both = exporter.render().unwrap();
        assert!(both.contains("\nbrownie_teams 7\n"), "{both}");
        assert!(both.contains("brownie_build_info{"), "{both}");
        let names = all().map(|metric| metric.name).filter(|name| name.starts_with("process_"));
        for name in names {
            assert!(both.contains(&format!("\n{name} ")), "{name}\n{both}");
        }
        exporter.publish(|| gauge!(crate::USERS).set(1.0));
        assert!(!exporter.render().unwrap().contains("brownie_teams"));
        assert_eq!(Exporter::off().render(), None);
        exporter.withdraw();
        assert!(!exporter.render().unwrap().contains("brownie_users"));
        assert!(exporter.render().unwrap().contains("process_open_fds"));
    }
}
