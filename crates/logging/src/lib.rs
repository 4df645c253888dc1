//! Log lines: one JSON object a line for machines, text for people; on standard error, or in a file.
//! And traces, for whoever collects them.
//!
//! `docs/logging.md` tells what is in a line. Lines are written by a thread of their own: a disk that
//! is full or a pipe that nobody reads costs lines, which are counted, and never an answer.

mod file;
mod json;
#[cfg(feature = "otlp")]
mod otlp;
mod sink;
mod trace;

use std::{
    error::Error as StdError,
    io::{self, IsTerminal},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::Targets,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::{Filter, SubscriberExt},
    util::SubscriberInitExt,
};

pub use file::LogFile;
#[cfg(feature = "otlp")]
pub use otlp::Otlp;
pub use sink::lines_dropped;
pub use trace::{TraceId, TraceParent, continue_trace, end_trace};

use file::Rotating;
use json::JsonLines;
use sink::Sink;

/// The subscriber that lines are written by.
#[cfg(feature = "otlp")]
type WithLines =
    tracing_subscriber::layer::Layered<Box<dyn Layer<Registry> + Send + Sync>, Registry>;

/// What the targets of our streams begin with.
const STREAMS: &str = "brownie::";
/// The target of the one line of each request.
pub const ACCESS: &str = "brownie::access";
/// The target of the lines that tell who changed what.
pub const AUDIT: &str = "brownie::audit";
/// The target of the lines that tell what took long.
pub const PERFORMANCE: &str = "brownie::performance";
/// The target of the lines that tell who was let in, and who was not.
pub const SECURITY: &str = "brownie::security";

/// Libraries that tell what interests only their authors, or as an error of ours what is a mistake of
/// a client's (actix-http), or what a client has sent (actix-web, at debug level). A filter that names
/// them is stronger.
const QUIET: &str = "sqlx=warn,actix_http=off,actix_web=info,sea_orm_migration=warn,actix_server=warn,pglite_oxide=warn,tokio_postgres=info,hyper_util=info,reqwest=info,opentelemetry=warn";

/// What tells of lost lines.
const LOST: &str = "log lines were lost";

/// How to log.
#[derive(Debug, Clone)]
pub struct Options {
    /// A level, or a list such as `brownie=debug,info`; one that cannot be read counts as `info`.
    pub filter: String,
    /// Whether lines are JSON.
    pub json: bool,
    /// Whether there is a line for each audited change, whatever the level is.
    pub audit: bool,
    /// Where lines go instead of standard error.
    pub file: Option<LogFile>,
    /// Who collects traces, if anybody does.
    #[cfg(feature = "otlp")]
    pub otlp: Option<Otlp>,
}

impl Options {
    /// Lines on standard error, and no traces.
    pub fn new(filter: impl Into<String>, json: bool) -> Self {
        Self {
            filter: filter.into(),
            json,
            audit: true,
            file: None,
            #[cfg(feature = "otlp")]
            otlp: None,
        }
    }

    /// The streams but that of requests do not depend on the level: who sets it to `warn` wants less
    /// noise, not fewer facts. A filter that names them is stronger.
    ///
    /// One that asks for what spans say looks at every span that is entered and left; without, it is
    /// not paid for.
    fn filter(&self) -> Box<dyn Filter<Registry> + Send + Sync> {
        let audit = if self.audit { "info" } else { "off" };
        let ours = format!("{QUIET},{AUDIT}={audit},{PERFORMANCE}=info,{SECURITY}=info");
        let all = format!("{ours},{}", self.filter);
        if !all.contains('[')
            && let Ok(targets) = all.parse::<Targets>()
        {
            return Box::new(targets);
        }
        let filter = EnvFilter::try_new(all);
        Box::new(filter.unwrap_or_else(|_| EnvFilter::new(format!("{ours},info"))))
    }
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The file.
    #[error("LOG_FILE {path} cannot be written ({why}); does its directory exist, and is it ours?")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        why: io::Error,
    },
    /// The thread that writes.
    #[error("the thread that writes log lines cannot be started: {0}")]
    Thread(#[source] io::Error),
    /// The exporter of traces.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: {0}")]
    Otlp(#[source] Box<dyn StdError + Send + Sync>),
}

/// Logging under way. Dropped, it writes what waits, for a second at most.
#[must_use = "lines that wait are written when it is dropped"]
#[derive(Debug)]
pub struct Logging {
    sink: Sink,
    #[cfg(feature = "otlp")]
    traces: Option<otlp::Traces>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        #[cfg(feature = "otlp")]
        drop(self.traces.take());
        self.sink.flush();
    }
}

/// Begins logging. Called twice, the second call changes nothing.
///
/// # Errors
/// When the file or the collector's address cannot be used.
pub fn start(options: Options) -> Result<Logging, StartError> {
    let filter = options.filter();
    let notice = if options.json { json::notice } else { text_notice };
    let is_terminal = options.file.is_none() && io::stderr().is_terminal();
    let sink = match options.file {
        Some(file) => {
            let path = file.path.display().to_string();
            let file = Rotating::open(file).map_err(|why| StartError::File { path, why })?;
            Sink::start(file, notice)
        }
        None => Sink::start(io::stderr(), notice),
    };
    let sink = sink.map_err(StartError::Thread)?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if options.json {
        JsonLines(sink.clone()).with_filter(filter).boxed()
    } else {
        let lines = tracing_subscriber::fmt::layer().with_writer(sink.clone());
        lines.with_target(false).with_ansi(is_terminal).with_filter(filter).boxed()
    };
    let layers = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "otlp")]
    let (traces, layer) = match options.otlp.map(otlp::Traces::start).transpose()? {
        Some((traces, layer)) => (Some(traces), Some(layer)),
        None => (None, None),
    };
    #[cfg(feature = "otlp")]
    let layers = layers.with(layer);
    let _ = layers.try_init();
    Ok(Logging {
        sink,
        #[cfg(feature = "otlp")]
        traces,
    })
}

fn text_notice(lines: u64) -> Vec<u8> {
    let mut line = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut line));
    line.push_str(&format!("  WARN {LOST} lines={lines}\n"));
    line.into_bytes()
}

/// Returns an error and its causes on one line, outermost first.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_causes_follow_the_error() {
        let error = std::io::Error::other(std::io::Error::other("the disk is full"));
        assert!(super::chain(&error).contains("the disk is full"));
    }
}
