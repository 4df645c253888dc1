//! The way to Redis: a pool of connections, a time by which every question is answered or given up,
//! and a breaker.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_config::RedisSettings;
use brownie_metrics::CACHE_OPERATIONS;
use deadpool::managed::{self, Metrics, PoolError, RecycleResult};
use deadpool_redis::{
    Manager,
    redis::{
        AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo,
        ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, Script, ScriptInvocation,
        TlsCertificates, aio::MultiplexedConnection, cmd, pipe,
    },
};
use metrics::counter;
use tokio::time::timeout;

use crate::{
    breaker::{Breaker, Standing, Way},
    rule::Rule,
    scripts,
};

/// The most connections. One carries some ten thousand questions a second.
const CONNECTIONS: usize = 8;

/// A connection used so short a time ago is believed to be good; others are asked first.
const FRESH: Duration = Duration::from_secs(1);

/// The commands that are used, as an access control list names them; the crate's page has them, too.
const COMMANDS: &str = "+eval +evalsha +script|load +time +get +set +del";

/// Why the cache cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file that is named in the settings cannot be read.
    #[error("{variable} names {path}, which cannot be read: {source}")]
    File {
        /// The setting.
        variable: &'static str,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Redis' URL, or what is in the files, cannot be used.
    #[error(
        "REDIS_URL, REDIS_CA_FILE, REDIS_CERT_FILE or REDIS_KEY_FILE cannot be used: {0} (a key must be in PKCS#8: openssl pkcs8 -topk8 -nocrypt)"
    )]
    Unusable(RedisError),
    /// The pool cannot be made.
    #[error("the pool of connections to Redis cannot be made: {0}")]
    Pool(managed::BuildError),
}

/// Makes connections, and asks old ones whether they are good.
#[derive(Debug)]
struct Connections(Manager);

impl managed::Manager for Connections {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<MultiplexedConnection, RedisError> {
        self.0.create().await
    }

    async fn recycle(
        &self,
        connection: &mut MultiplexedConnection,
        metrics: &Metrics,
    ) -> RecycleResult<RedisError> {
        if metrics.last_used() < FRESH { Ok(()) } else { self.0.recycle(connection, metrics).await }
    }
}

/// Why a question was not answered.
#[derive(Debug)]
enum Failure {
    Slow,
    Refused(RedisError),
    NoConnection(PoolError<RedisError>),
}

/// Why a question of somebody who looks was not answered.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Whether the user may not ask it.
    pub(crate) is_forbidden: bool,
    /// What failed, and what to do.
    pub(crate) sentence: String,
}

/// The scripts, which Redis knows by their digests.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) limit: Script,
    pub(crate) read: Script,
}

/// A Redis.
#[derive(Debug)]
pub(crate) struct Redis {
    pool: managed::Pool<Connections>,
    breaker: Breaker,
    timeout: Duration,
    /// Host and port.
    place: String,
    /// What a try writes to.
    try_key: String,
    pub(crate) scripts: Scripts,
}

impl Redis {
    /// Makes ready to connect; nothing is asked yet.
    pub(crate) fn open(settings: &RedisSettings, try_key: String) -> Result<Self, CacheError> {
        let info = connection_info(settings)?;
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                format!("{host}:{port}")
            }
            other => other.to_string(),
        };
        // The time that is given is for all together: waiting for a connection, making it, asking.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let manager = Manager::new_with_config(info, config).map_err(CacheError::Unusable)?;
        let pool = managed::Pool::builder(Connections(manager))
            .max_size(CONNECTIONS)
            .build()
            .map_err(CacheError::Pool)?;
        Ok(Self {
            pool,
            breaker: Breaker::new(well(&place), settings.timeout),
            timeout: settings.timeout,
            place,
            try_key,
            scripts: Scripts {
                limit: Script::new(scripts::LIMIT),
                read: Script::new(scripts::READ),
            },
        })
    }

    /// Runs a command. None means that Redis is away and the process must answer.
    pub(crate) async fn command<T: FromRedisValue>(
        self: &Arc<Self>,
        operation: &'static str,
        command: &Cmd,
    ) -> Option<T> {
        let work = async {
            let mut connection = self.pool.get().await.map_err(Failure::NoConnection)?;
            command.query_async(&mut *connection).await.map_err(Failure::Refused)
        };
        self.answer(operation, work).await
    }

    /// Runs a script. None means that Redis is away and the process must answer.
    pub(crate) async fn script<T: FromRedisValue>(
        self: &Arc<Self>,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Option<T> {
        let work = async {
            let mut connection = self.pool.get().await.map_err(Failure::NoConnection)?;
            script.invoke_async(&mut *connection).await.map_err(Failure::Refused)
        };
        self.answer(operation, work).await
    }

    async fn answer<T>(
        self: &Arc<Self>,
        operation: &'static str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Option<T> {
        match self.breaker.way() {
            Way::Redis => {}
            Way::Process => return None,
            Way::ProcessAndTry => {
                let redis = Arc::clone(self);
                tokio::spawn(async move { redis.try_it().await });
                return None;
            }
        }
        let began = Instant::now();
        let failure = match timeout(self.timeout, work).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Slow,
        };
        self.note(began, operation, &failure);
        None
    }

    /// Runs a command for somebody who looks into Redis, whatever the breaker knows.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T, Refused> {
        let work = async {
            let mut connection = self.pool.get().await.map_err(Failure::NoConnection)?;
            command.query_async(&mut *connection).await.map_err(Failure::Refused)
        };
        work.await.map_err(|failure: Failure| Refused {
            is_forbidden: matches!(&failure, Failure::Refused(error) if error.code() == Some("NOPERM")),
            sentence: self.sentence(&failure),
        })
    }

    /// Returns host and port.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Finds out, in no more than the timeout, whether Redis does what is asked of it, unless it was
    /// found away a moment ago.
    pub(crate) async fn check(self: &Arc<Self>) -> Standing {
        if self.breaker.way() != Way::Process {
            self.try_it().await;
        }
        self.breaker.standing()
    }

    /// Returns what is known.
    pub(crate) fn standing(&self) -> Standing {
        self.breaker.standing()
    }

    /// Does what operations do: a replica answers a PING, and so does a Redis that is full.
    async fn try_it(&self) {
        let began = Instant::now();
        let rule = Rule::per(1, Duration::from_millis(1));
        let mut script = self.scripts.limit.key(&self.try_key);
        script.arg(rule.interval()).arg(rule.burst()).arg(1);
        let mut commands = pipe();
        commands.add_command(set(&self.try_key, b"0", "PX", 1_000)).ignore();
        commands.add_command(del(&self.try_key)).ignore();
        let work = async {
            let mut connection = self.pool.get().await.map_err(Failure::NoConnection)?;
            let connection = &mut *connection;
            script.invoke_async::<(u8, u64)>(connection).await.map_err(Failure::Refused)?;
            commands.exec_async(connection).await.map_err(Failure::Refused)
        };
        let failure = match timeout(self.timeout, work).await {
            Ok(Ok(())) => {
                if self.breaker.succeeded(&well(&self.place)) {
                    tracing::info!(redis = %self.place, "Redis answers again");
                }
                return;
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Slow,
        };
        self.note(began, "try", &failure);
    }

    /// Notes a failure, and lets go of all connections: some may look good and never answer.
    fn note(&self, began: Instant, operation: &'static str, failure: &Failure) {
        counter!(CACHE_OPERATIONS, "operation" => operation, "outcome" => "failed").increment(1);
        let detail = self.sentence(failure);
        if self.breaker.failed(began, detail.clone()) {
            tracing::warn!(operation, "{detail}; this instance answers by itself until it does");
        }
        self.pool.retain(|_, _| false);
    }

    /// Says what failed, and what to do. Redis' own words are about users and keys, never passwords.
    fn sentence(&self, failure: &Failure) -> String {
        let place = &self.place;
        let error = match failure {
            Failure::Refused(error) | Failure::NoConnection(PoolError::Backend(error)) => error,
            Failure::Slow | Failure::NoConnection(PoolError::Timeout(_)) => {
                return format!("Redis at {place} does not answer within {:?}", self.timeout);
            }
            Failure::NoConnection(error) => return format!("no connection to Redis: {error}"),
        };
        match error.code() {
            Some("READONLY") => {
                format!("Redis at {place} is a read-only replica; name the primary")
            }
            Some("LOADING") => format!("Redis at {place} is still loading its data"),
            Some("OOM") => {
                format!("Redis at {place} is full; give it a maxmemory-policy of allkeys-lru")
            }
            Some("NOPERM") => forbidden(place),
            Some("WRONGPASS" | "NOAUTH") => refused(place),
            _ if error.kind() == ErrorKind::AuthenticationFailed => refused(place),
            // How Redis 7 says NOPERM of what a script does.
            _ if error.detail().is_some_and(|text| text.contains("can't run this command")) => {
                forbidden(place)
            }
            _ => format!("Redis at {place} cannot be used: {error}"),
        }
    }
}

fn well(place: &str) -> String {
    format!("shared by Redis at {place}")
}

fn refused(place: &str) -> String {
    format!("Redis at {place} refuses the user or the password; see REDIS_USER and REDIS_PASSWORD")
}

fn forbidden(place: &str) -> String {
    format!("Redis at {place} does not let this user do what is needed: +@connection {COMMANDS}")
}

/// `SET key value PX|PXAT milliseconds`.
pub(crate) fn set(key: &str, value: &[u8], until: &str, millis: u64) -> Cmd {
    let mut command = cmd("SET");
    command.arg(key).arg(value).arg(until).arg(millis);
    command
}

/// `DEL key`.
pub(crate) fn del(key: &str) -> Cmd {
    let mut command = cmd("DEL");
    command.arg(key);
    command
}

fn connection_info(settings: &RedisSettings) -> Result<ConnectionInfo, CacheError> {
    let info = settings.url.expose().into_connection_info().map_err(CacheError::Unusable)?;
    if settings.ca_file.is_none() && settings.identity.is_none() {
        return Ok(info);
    }
    let root_cert =
        settings.ca_file.as_deref().map(|path| read("REDIS_CA_FILE", path)).transpose()?;
    let client_tls = match &settings.identity {
        Some((cert, key)) => Some(ClientTlsConfig {
            client_cert: read("REDIS_CERT_FILE", cert)?,
            client_key: read("REDIS_KEY_FILE", key)?,
        }),
        None => None,
    };
    let certificates = TlsCertificates { client_tls, root_cert };
    let client = Client::build_with_tls(info, certificates).map_err(CacheError::Unusable)?;
    Ok(client.get_connection_info().clone())
}

fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>, CacheError> {
    fs::read(path).map_err(|source| CacheError::File {
        variable,
        path: path.display().to_string(),
        source,
    })
}
