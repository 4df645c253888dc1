//! How the service listens.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use crate::{CertifiedKey, ListenerTls, OperatorSettings, Reader, Variable, listener};

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
    help: "The port that serves /metrics, /livez and /readyz besides the API's; 0 takes a free one.",
};
const METRICS_ENABLED: Variable = Variable {
    name: "METRICS_ENABLED",
    aliases: &[],
    default: Some("true"),
    secret: false,
    help: "Whether anything is measured: true or false.",
};
const METRICS_PUBLIC: Variable = Variable {
    name: "METRICS_PUBLIC",
    aliases: &[],
    default: None,
    secret: false,
    help: "true serves /metrics on the API's port to everybody; false to operators only. METRICS_PORT serves it in any case. false in brownie-server, true in brownie-standalone, unless set.",
};
const METRICS_INTERVAL: Variable = Variable {
    name: "METRICS_INTERVAL",
    aliases: &[],
    default: Some("30"),
    secret: false,
    help: "How many seconds lie between two looks at the whole database for metrics (organizations, users, incidents, events); one instance looks. 0 for never.",
};
const METRICS_TRACK_DATABASE_QUERIES: Variable = Variable {
    name: "METRICS_TRACK_DATABASE_QUERIES",
    aliases: &[],
    default: Some("true"),
    secret: false,
    help: "Whether each statement is measured, by operation and table: true or false.",
};
const WORKERS: Variable = Variable {
    name: "WORKERS",
    aliases: &[],
    default: None,
    secret: false,
    help: "Threads that handle requests; as many as there are cores unless set.",
};
const METADATA_MAX_CONNECTIONS: Variable = Variable {
    name: "METADATA_MAX_CONNECTIONS",
    aliases: &[],
    default: Some("10000"),
    secret: false,
    help: "The most connections of clients at a time; more wait until one is closed.",
};
const METADATA_KEEP_ALIVE: Variable = Variable {
    name: "METADATA_KEEP_ALIVE",
    aliases: &[],
    default: Some("75"),
    secret: false,
    help: "Seconds that a connection without a request is kept. Longer than a balancer in front keeps its own, or its next request meets a closed one.",
};
const METADATA_SEND_TIMEOUT: Variable = Variable {
    name: "METADATA_SEND_TIMEOUT",
    aliases: &[],
    default: Some("30"),
    secret: false,
    help: "Seconds after which a connection ends whose client takes nothing of its answer, or is gone.",
};
const METADATA_DRAIN_SECONDS: Variable = Variable {
    name: "METADATA_DRAIN_SECONDS",
    aliases: &[],
    default: Some("0"),
    secret: false,
    help: "Seconds between a signal to stop and the end of taking requests; /readyz says 503 meanwhile, so that a balancer has time to look. 0 to stop at once.",
};
const METADATA_CORS_ORIGINS: Variable = Variable {
    name: "METADATA_CORS_ORIGINS",
    aliases: &[],
    default: Some(r#"["http://localhost:3000","http://localhost:8080"]"#),
    secret: false,
    help: "Origins whose pages may call the API from a browser, as a JSON list; [] for none, [\"*\"] for all, without credentials.",
};
const METADATA_SIGNUP: Variable = Variable {
    name: "METADATA_SIGNUP",
    aliases: &[],
    default: None,
    secret: false,
    help: "open lets anybody found an organization by POST /api/v1/auth/signup; closed leaves that to the operator (brownie-migrator organization create). Closed in brownie-server, open in brownie-standalone, unless set.",
};
const METADATA_RATE_LIMIT: Variable = Variable {
    name: "METADATA_RATE_LIMIT",
    aliases: &[],
    default: Some("30000"),
    secret: false,
    help: "Requests a minute that one user or API key may send; 0 for any number.",
};
const METADATA_RATE_LIMIT_ADDRESS: Variable = Variable {
    name: "METADATA_RATE_LIMIT_ADDRESS",
    aliases: &[],
    default: Some("3000"),
    secret: false,
    help: "Requests a minute that may come from one address without a good credential; 0 for any number.",
};
const METADATA_LOGIN_GUESSES: Variable = Variable {
    name: "METADATA_LOGIN_GUESSES",
    aliases: &[],
    default: Some("12"),
    secret: false,
    help: "Wrong passwords an hour that are answered for one mailbox, from all addresses and by all instances together, half of them at once; five times as many from one address, by each instance where there is no Redis. Log-ins in progress count until they have succeeded. 0 for any number.",
};
const METADATA_ORGANIZATION_REQUESTS: Variable = Variable {
    name: "METADATA_ORGANIZATION_REQUESTS",
    aliases: &[],
    default: None,
    secret: false,
    help: "Requests of one organization that one instance handles at a time; more wait in turn. Two for each worker unless set; 0 for any number.",
};
const METADATA_TRUSTED_PROXIES: Variable = Variable {
    name: "METADATA_TRUSTED_PROXIES",
    aliases: &[],
    default: Some(""),
    secret: false,
    help: "Networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8, with commas between them.",
};
const BROWNIE_DATA_DIR: Variable = Variable {
    name: "BROWNIE_DATA_DIR",
    aliases: &[],
    default: Some("./brownie-data"),
    secret: false,
    help: "Where brownie-standalone keeps its database and its key.",
};
pub(crate) static VARIABLES: &[Variable] = &[
    METADATA_HOST,
    METADATA_PORT,
    METRICS_PORT,
    METRICS_ENABLED,
    METRICS_PUBLIC,
    METRICS_INTERVAL,
    METRICS_TRACK_DATABASE_QUERIES,
    WORKERS,
    METADATA_MAX_CONNECTIONS,
    METADATA_KEEP_ALIVE,
    METADATA_SEND_TIMEOUT,
    METADATA_DRAIN_SECONDS,
    METADATA_CORS_ORIGINS,
    METADATA_SIGNUP,
    METADATA_RATE_LIMIT,
    METADATA_RATE_LIMIT_ADDRESS,
    METADATA_LOGIN_GUESSES,
    METADATA_ORGANIZATION_REQUESTS,
    METADATA_TRUSTED_PROXIES,
    BROWNIE_DATA_DIR,
];

/// How the service listens.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// The address to listen on.
    pub host: IpAddr,
    /// The API's port.
    pub port: u16,
    /// The port of `/metrics` alone.
    pub metrics_port: u16,
    /// Whether anything is measured.
    pub metrics_enabled: bool,
    /// Whether `/metrics` of the API's port is for everybody; none where nobody said.
    pub public_metrics: Option<bool>,
    /// How often the whole database is looked at for metrics; zero for never.
    pub metrics_interval: Duration,
    /// Whether each statement is measured.
    pub metrics_track_queries: bool,
    /// Threads that handle requests; none for as many as there are cores.
    pub workers: Option<usize>,
    /// The most connections of clients at a time.
    pub max_connections: usize,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
    /// How long a client may take nothing of its answer.
    pub send_timeout: Duration,
    /// How long requests are taken after a signal to stop.
    pub drain: Duration,
    /// Origins whose pages may call the API; `*` alone for all.
    pub cors_origins: Vec<String>,
    /// Whether anybody may found an organization; none where nobody said.
    pub signup: Option<bool>,
    /// Requests a minute that one principal may send; 0 for any number.
    pub rate_limit: u32,
    /// Requests a minute that one address may send without a credential; 0 for any number.
    pub rate_limit_address: u32,
    /// Wrong passwords an hour that are answered for one mailbox; 0 for any number.
    pub login_guesses: u32,
    /// Requests of one organization in progress; 0 for any number, none for as many as suit the workers.
    pub organization_requests: Option<usize>,
    /// Proxies whose word about addresses is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether the API is served by TLS.
    pub tls: ListenerTls,
    /// Which API key a certificate stands for, by its CN.
    pub certified: BTreeMap<String, CertifiedKey>,
    /// Who operates the installation.
    pub operators: OperatorSettings,
    /// Where standalone keeps its files.
    pub data_dir: PathBuf,
}

impl ServiceSettings {
    /// Reads the settings. What is wrong is a problem of `reader`'s.
    pub fn read(reader: &mut Reader) -> Self {
        let tls = listener::tls(reader);
        Self {
            tls,
            certified: listener::principals(reader, tls),
            operators: OperatorSettings::read(reader, tls),
            host: reader
                .parse(&METADATA_HOST, "an IP address")
                .unwrap_or(IpAddr::from([127, 0, 0, 1])),
            port: reader.parse(&METADATA_PORT, "a port").unwrap_or_default(),
            metrics_port: reader.parse(&METRICS_PORT, "a port").unwrap_or_default(),
            metrics_enabled: reader.parse(&METRICS_ENABLED, "true or false").unwrap_or(true),
            public_metrics: reader.parse(&METRICS_PUBLIC, "true or false"),
            metrics_interval: reader
                .parse(&METRICS_INTERVAL, "a whole number of seconds")
                .map(Duration::from_secs)
                .unwrap_or_default(),
            metrics_track_queries: reader
                .parse(&METRICS_TRACK_DATABASE_QUERIES, "true or false")
                .unwrap_or(true),
            workers: reader.parse(&WORKERS, "a whole number"),
            max_connections: reader
                .parse(&METADATA_MAX_CONNECTIONS, "a whole number")
                .filter(|connections| *connections > 0)
                .unwrap_or(10_000),
            keep_alive: reader.seconds(&METADATA_KEEP_ALIVE).unwrap_or(Duration::from_secs(75)),
            send_timeout: reader.seconds(&METADATA_SEND_TIMEOUT).unwrap_or(Duration::from_secs(30)),
            drain: reader
                .parse(&METADATA_DRAIN_SECONDS, "a whole number of seconds")
                .map(Duration::from_secs)
                .unwrap_or_default(),
            cors_origins: origins(reader),
            signup: signup(reader),
            rate_limit: reader.parse(&METADATA_RATE_LIMIT, "a whole number").unwrap_or_default(),
            rate_limit_address: reader
                .parse(&METADATA_RATE_LIMIT_ADDRESS, "a whole number")
                .unwrap_or_default(),
            login_guesses: reader
                .parse(&METADATA_LOGIN_GUESSES, "a whole number")
                .unwrap_or_default(),
            organization_requests: reader.parse(&METADATA_ORGANIZATION_REQUESTS, "a whole number"),
            trusted_proxies: proxies(reader),
            data_dir: reader.text(&BROWNIE_DATA_DIR).unwrap_or_default().into(),
        }
    }
}

fn signup(reader: &mut Reader) -> Option<bool> {
    match reader.text(&METADATA_SIGNUP)?.as_str() {
        "open" => Some(true),
        "closed" => Some(false),
        other => {
            reader.problem(&METADATA_SIGNUP, format!("must be open or closed, not {other:?}"));
            None
        }
    }
}

/// Reads a list of origins (RFC 6454 section 6.2).
fn origins(reader: &mut Reader) -> Vec<String> {
    let text = reader.text(&METADATA_CORS_ORIGINS).unwrap_or_default();
    let Ok(origins) = serde_json::from_str::<Vec<String>>(&text) else {
        let example = "must be a JSON list of origins, such as [\"https://app.example.com\"]";
        reader.problem(&METADATA_CORS_ORIGINS, example);
        return Vec::new();
    };
    let is_origin = |text: &str| {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']))
    };
    let all = origins == ["*"];
    if let Some(bad) = origins.iter().find(|origin| !all && !is_origin(origin)) {
        let why = format!("{bad:?} is no origin: scheme, host and port, without a path");
        reader.problem(&METADATA_CORS_ORIGINS, why);
    }
    origins
}

/// Reads networks, or single addresses.
fn proxies(reader: &mut Reader) -> Vec<IpNet> {
    let text = reader.text(&METADATA_TRUSTED_PROXIES).unwrap_or_default();
    let mut networks = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => {
                let why = format!("{part:?} is no network, such as 10.0.0.0/8, and no address");
                reader.problem(&METADATA_TRUSTED_PROXIES, why);
            }
        }
    }
    networks
}
