//! How the service listens and logs.

use std::{net::IpAddr, path::PathBuf};

use crate::{Reader, Variable};

const METADATA_HOST: Variable = Variable {
    name: "METADATA_HOST",
    aliases: &[],
    default: Some("127.0.0.1"),
    secret: false,
    help: "The address to listen on; 0.0.0.0 for all.",
};
const METADATA_PORT: Variable = Variable {
    name: "METADATA_PORT",
    aliases: &[],
    default: Some("8000"),
    secret: false,
    help: "The API's port; 0 takes a free one.",
};
const METRICS_PORT: Variable = Variable {
    name: "METRICS_PORT",
    aliases: &[],
    default: Some("8001"),
    secret: false,
    help: "The port that serves /metrics besides the API's; 0 takes a free one.",
};
const WORKERS: Variable = Variable {
    name: "WORKERS",
    aliases: &[],
    default: None,
    secret: false,
    help: "Threads that handle requests; as many as there are cores unless set.",
};
const BROWNIE_DATA_DIR: Variable = Variable {
    name: "BROWNIE_DATA_DIR",
    aliases: &[],
    default: Some("./brownie-data"),
    secret: false,
    help: "Where brownie-standalone keeps its database and its key.",
};
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

pub(crate) static VARIABLES: &[Variable] =
    &[METADATA_HOST, METADATA_PORT, METRICS_PORT, WORKERS, BROWNIE_DATA_DIR, LOG_LEVEL, LOG_FORMAT];

/// How the service listens.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// The address to listen on.
    pub host: IpAddr,
    /// The API's port.
    pub port: u16,
    /// The port of `/metrics` alone.
    pub metrics_port: u16,
    /// Threads that handle requests; none for as many as there are cores.
    pub workers: Option<usize>,
    /// Where standalone keeps its files.
    pub data_dir: PathBuf,
}

impl ServiceSettings {
    /// Reads the settings. What is wrong is a problem of `reader`'s.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            host: reader
                .parse(&METADATA_HOST, "an IP address")
                .unwrap_or(IpAddr::from([127, 0, 0, 1])),
            port: reader.parse(&METADATA_PORT, "a port").unwrap_or_default(),
            metrics_port: reader.parse(&METRICS_PORT, "a port").unwrap_or_default(),
            workers: reader.parse(&WORKERS, "a whole number"),
            data_dir: reader.text(&BROWNIE_DATA_DIR).unwrap_or_default().into(),
        }
    }
}

/// How the programs log.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A filter.
    pub level: String,
    /// Whether lines are JSON.
    pub json: bool,
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
        Self { level, json }
    }
}
