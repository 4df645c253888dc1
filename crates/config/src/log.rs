//! How the programs log, and where they send traces.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use url::Url;

use crate::{Reader, Secret, Variable};

const LOG_LEVEL: Variable = Variable {
    name: "LOG_LEVEL",
    aliases: &["METADATA_LOG_LEVEL"],
    default: Some("info"),
    secret: false,
    help: "error, warn, info, debug or trace; or a filter such as brownie=debug,info.",
};
const LOG_FORMAT: Variable = Variable {
    name: "LOG_FORMAT",
    aliases: &[],
    default: None,
    secret: false,
    help: "json, or text for people; json unless set, text in brownie-standalone and brownie-migrator.",
};
const LOG_FILE: Variable = Variable {
    name: "LOG_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "The file that a service writes lines to instead of standard error. docs/logging.md tells what is in them.",
};
const LOG_FILE_MAX_MB: Variable = Variable {
    name: "LOG_FILE_MAX_MB",
    aliases: &[],
    default: Some("100"),
    secret: false,
    help: "How many megabytes (2^20 bytes) LOG_FILE may have; then it becomes LOG_FILE.1, and begins anew.",
};
const LOG_FILE_KEEP: Variable = Variable {
    name: "LOG_FILE_KEEP",
    aliases: &[],
    default: Some("5"),
    secret: false,
    help: "How many files before LOG_FILE are kept.",
};
const LOG_AUDIT: Variable = Variable {
    name: "LOG_AUDIT",
    aliases: &[],
    default: Some("true"),
    secret: false,
    help: "Whether there is a line for each audited change, besides its row in the audit log.",
};
const LOG_PERFORMANCE: Variable = Variable {
    name: "LOG_PERFORMANCE",
    aliases: &["LOG_LOG_PERFORMANCE"],
    default: Some("true"),
    secret: false,
    help: "Whether there is a line for each statement that is slower than LOG_SLOW_QUERY_THRESHOLD.",
};
const LOG_SLOW_QUERY_THRESHOLD: Variable = Variable {
    name: "LOG_SLOW_QUERY_THRESHOLD",
    aliases: &[],
    default: Some("1.0"),
    secret: false,
    help: "From how many seconds on a statement is slow.",
};
const OTEL_EXPORTER_OTLP_ENDPOINT: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    aliases: &[],
    default: None,
    secret: false,
    help: "Where brownie-server sends traces: the URL of a collector that speaks OTLP over HTTP, such as http://localhost:4318. Nowhere unless set.",
};
const OTEL_EXPORTER_OTLP_HEADERS: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_HEADERS",
    aliases: &[],
    default: None,
    secret: true,
    help: "Headers for the collector: name=value, with commas between them.",
};
const OTEL_TRACES_SAMPLER_ARG: Variable = Variable {
    name: "OTEL_TRACES_SAMPLER_ARG",
    aliases: &[],
    default: Some("1.0"),
    secret: false,
    help: "Which part of the traces that begin here is sent, 0 to 1. One that a caller began is sent if the caller says so.",
};

pub(crate) static VARIABLES: &[Variable] = &[
    LOG_LEVEL,
    LOG_FORMAT,
    LOG_FILE,
    LOG_FILE_MAX_MB,
    LOG_FILE_KEEP,
    LOG_AUDIT,
    LOG_PERFORMANCE,
    LOG_SLOW_QUERY_THRESHOLD,
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_TRACES_SAMPLER_ARG,
];

/// How a program logs.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A filter.
    pub level: String,
    /// Whether lines are JSON.
    pub json: bool,
    /// Where lines go instead of standard error.
    pub file: Option<LogFileSettings>,
    /// Whether each audited change has a line.
    pub audit: bool,
    /// How long a statement takes that is worth a line; none if none is.
    pub slow_statement: Option<Duration>,
    /// Where traces go.
    pub traces: Option<TraceSettings>,
}

/// A file for lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileSettings {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes it may have.
    pub max_bytes: u64,
    /// How many files before it are kept.
    pub keep: u32,
}

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The URL of the collector.
    pub endpoint: String,
    /// What to send along.
    pub headers: BTreeMap<String, Secret>,
    /// Which part of them goes there, 0 to 1.
    pub ratio: f64,
}

impl LogSettings {
    /// Reads the settings; `json` is what holds when nobody says.
    pub fn read(reader: &mut Reader, json: bool) -> Self {
        let level = reader.text(&LOG_LEVEL).unwrap_or_default().to_lowercase();
        let json = match reader.text(&LOG_FORMAT).as_deref() {
            None => json,
            Some("json") => true,
            Some("text") => false,
            Some(other) => {
                reader.problem(&LOG_FORMAT, format!("must be json or text, not {other:?}"));
                json
            }
        };
        let audit = reader.parse(&LOG_AUDIT, "true or false").unwrap_or_default();
        let performance = reader.parse(&LOG_PERFORMANCE, "true or false").unwrap_or_default();
        let slow = reader.seconds(&LOG_SLOW_QUERY_THRESHOLD);
        let (file, traces) = (LogFileSettings::read(reader), TraceSettings::read(reader));
        Self { level, json, file, audit, slow_statement: slow.filter(|_| performance), traces }
    }
}

impl LogFileSettings {
    fn read(reader: &mut Reader) -> Option<Self> {
        let path = reader.text(&LOG_FILE);
        let megabytes: u32 = reader.parse(&LOG_FILE_MAX_MB, "a whole number").unwrap_or_default();
        let keep = reader.parse(&LOG_FILE_KEEP, "a whole number").unwrap_or_default();
        if megabytes == 0 {
            reader.problem(&LOG_FILE_MAX_MB, "must be at least 1");
        }
        Some(Self { path: path?.into(), max_bytes: u64::from(megabytes) << 20, keep })
    }
}

impl TraceSettings {
    fn read(reader: &mut Reader) -> Option<Self> {
        let endpoint = reader.text(&OTEL_EXPORTER_OTLP_ENDPOINT);
        let headers = reader.secret(&OTEL_EXPORTER_OTLP_HEADERS);
        let ratio = reader.parse(&OTEL_TRACES_SAMPLER_ARG, "a number from 0 to 1").unwrap_or(1.0);
        if !(0.0..=1.0).contains(&ratio) {
            reader.problem(&OTEL_TRACES_SAMPLER_ARG, format!("must be 0 to 1, not {ratio}"));
        }
        let endpoint = endpoint?;
        let is_http = |url: Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !endpoint.parse().is_ok_and(is_http) {
            let why = "must be an http or https URL, such as http://localhost:4318";
            reader.problem(&OTEL_EXPORTER_OTLP_ENDPOINT, why);
        }
        let mut pairs = BTreeMap::new();
        let text = headers.as_ref().map(Secret::expose).unwrap_or_default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((name, value)) => {
                    pairs.insert(name.trim().to_owned(), Secret::new(value.trim()));
                }
                None => {
                    let why = "must be name=value, with commas between them";
                    reader.problem(&OTEL_EXPORTER_OTLP_HEADERS, why);
                }
            }
        }
        Some(Self { endpoint, headers: pairs, ratio })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<LogSettings, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let settings = LogSettings::read(&mut reader, true);
        reader.finish().map(|()| settings).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_originals_variables_mean_what_they_meant() {
        let settings = read(&[]).unwrap();
        assert!(settings.audit && settings.json && settings.file.is_none());
        assert_eq!(settings.slow_statement, Some(Duration::from_secs(1)));
        let settings = read(&[("LOG_SLOW_QUERY_THRESHOLD", "0.25"), ("LOG_AUDIT", "false")]);
        let settings = settings.unwrap();
        assert_eq!(
            (settings.slow_statement, settings.audit),
            (Some(Duration::from_millis(250)), false)
        );
        assert_eq!(read(&[("LOG_LOG_PERFORMANCE", "false")]).unwrap().slow_statement, None);
    }

    #[test]
    fn a_collectors_headers_are_read_and_never_shown() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer hunter2, x-scope=a=b"),
        ]);
        let traces = settings.unwrap().traces.unwrap();
        let header = |name: &str| traces.headers.get(name).map(|value| value.expose().to_owned());
        assert_eq!(header("authorization").as_deref(), Some("Bearer hunter2"));
        assert_eq!(header("x-scope").as_deref(), Some("a=b"));
        assert!(!format!("{traces:?}").contains("hunter2"), "{traces:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, value) in [
            ("LOG_FILE_MAX_MB", "0"),
            ("LOG_FILE_KEEP", "-1"),
            ("LOG_AUDIT", "perhaps"),
            ("LOG_FORMAT", "xml"),
            ("LOG_SLOW_QUERY_THRESHOLD", "0"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
            ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ] {
            let problems = read(&[(name, value)]).unwrap_err();
            assert!(problems.contains(name), "{problems}");
        }
        let bad = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ];
        let problems = read(&bad).unwrap_err();
        assert!(problems.contains("name=value") && !problems.contains("hunter2"), "{problems}");
    }
}
