//! `brownie-server doctor`: what the server needs, and whether it is there.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use brownie_api::Settings;
use brownie_auth::{KeyRing, Oidc, Tokens};
use brownie_cache::{About, Seen};
use brownie_certs::{Keeper, Role};
use brownie_config::{
    CertSettings, DatabaseSettings, ListenerTls, LogFileSettings, LogSettings, OidcSettings,
    Reader, RedisSettings, ServiceSettings, TokenSettings,
};
use brownie_doctor::{Check, DATABASE, Finding, How, Keepers, Place, Report, Wanted};
use brownie_domain::{Clock, RandomIds, SystemClock};
use brownie_logging::chain;
use brownie_persistence::{Error, PoolOptions, Store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{ServerSettings, by_certificates, visitor};

const PROGRAM: &str = "brownie-server";
const FOOTING: &[&str] = &["role", "database.pooler"];
const REDIS: &str = "redis";
const KEYS: &str = "keys";
const OIDC: &str = "oidc";
const PORTS: &str = "ports";
const LISTENER: &str = "listener.certificates";
/// Files that are open besides connections: logs, sockets, what the runtime has.
const FILES: u64 = 64;

/// Looks at everything, says what was found, and ends the process.
pub async fn run(how: How, json: bool) -> ! {
    let mut reader = Reader::from_process();
    let ServerSettings { database, certs, service } = ServerSettings::read(&mut reader);
    let log = LogSettings::read(&mut reader, true);
    let examined = brownie_doctor::settings(reader);
    let mut findings = Vec::new();
    if examined.are_good() {
        let checks = checks(database, &certs, service, log.file);
        findings = brownie_doctor::run(checks, how.timeout).await;
    }
    Report::new(PROGRAM, &examined, findings).tell_and_leave(json)
}

fn checks(
    database: DatabaseSettings,
    certs: &CertSettings,
    settings: Settings,
    log_file: Option<LogFileSettings>,
) -> Vec<Check> {
    let Settings { service, tokens, oidc, cache } = settings;
    let (certificates, keepers) = brownie_doctor::certificates(&database, certs);
    let wanted = Wanted {
        url: database.url.clone(),
        keepers: keepers.clone(),
        connections: database.pool_size,
    };
    let open = service.max_connections.saturating_add(database.pool_size) as u64;
    vec![
        certificates,
        brownie_doctor::database(wanted),
        footing(database.clone(), keepers.clone()),
        brownie_doctor::schema(database.url, keepers),
        listener(service.tls, certs.clone()),
        redis(cache.redis, tokens.secret.is_some()),
        keys(tokens.clone()),
        issuer(oidc, tokens),
        ports(&service),
        brownie_doctor::files(
            open.saturating_add(FILES),
            "for METADATA_MAX_CONNECTIONS and DB_POOL_SIZE",
        ),
        brownie_doctor::disk(&["disk"], log_file.map(log_place).into_iter().collect()),
    ]
}

/// Whether row-level security holds us, and whether a pooler is in between that can be used.
fn footing(database: DatabaseSettings, keepers: Keepers) -> Check {
    Check::new(FOOTING, move |progress| async move {
        progress.at("asking what the role may do, and who is in between");
        let store = Store::new(&PoolOptions {
            tls: keepers.keeper().map(by_certificates),
            max_connections: 1,
            ..PoolOptions::new(database.url.expose())
        });
        let footing = match store {
            Ok(store) => store.system(&visitor()).footing().await,
            Err(error) => Err(error),
        };
        let footing = match footing {
            Ok(footing) => footing,
            Err(error @ Error::Settings(_)) => {
                let remedy = "use PgBouncer 1.21 or newer with max_prepared_statements = 200, session mode, or none";
                return vec![Finding::failed("database.pooler", chain(&error), remedy)];
            }
            Err(error) => {
                let remedy = "see the server's log, and `brownie-migrator drift`";
                return vec![Finding::failed("role", chain(&error), remedy)];
            }
        };
        let pooler = if footing.pooled {
            "one in transaction mode is in between, of a kind that can be used"
        } else {
            "none in transaction mode"
        };
        let remedy = "log in as brownie-server (DATABASE_URL or DB_USER)";
        let role = match footing.unwalled {
            None => Finding::ok("role", "row-level security holds it"),
            Some(why) if database.allow_unwalled_role => Finding::warning(
                "role",
                format!("{why}, and DB_ALLOW_UNWALLED_ROLE lets it serve: not for production"),
                remedy,
            ),
            Some(why) => Finding::failed(
                "role",
                format!("{why}, so row-level security would not keep organizations apart"),
                remedy,
            ),
        };
        vec![role, Finding::ok("database.pooler", pooler)]
    })
    .after(DATABASE)
}

/// The certificates that clients are shown.
fn listener(tls: ListenerTls, certs: CertSettings) -> Check {
    Check::new(&[LISTENER], move |progress| async move {
        progress.at("reading certificates");
        vec![match Keeper::for_listener(tls, &certs, Arc::new(SystemClock)).await {
            Ok(None) => Finding::skipped(LISTENER, "METADATA_TLS is off"),
            Ok(Some((keeper, _))) => {
                brownie_doctor::described(LISTENER, Role::Server, &keeper, SystemClock.now())
            }
            Err(faults) => brownie_doctor::refused(LISTENER, &faults),
        }]
    })
}

/// What instances share. The server answers without it, each instance by itself.
fn redis(settings: Option<RedisSettings>, has_pepper: bool) -> Check {
    Check::new(&[REDIS], move |progress| async move {
        let Some(settings) = settings else {
            let why = "neither REDIS_URL nor REDIS_HOST is set: each instance has its own limits";
            return vec![Finding::skipped(REDIS, why)];
        };
        if !has_pepper {
            let remedy = "set METADATA_JWT_SECRET beside METADATA_JWT_KEYS_DIR";
            return vec![Finding::failed(
                REDIS,
                "nothing keys the digests of addresses in it, so the server does not start",
                remedy,
            )];
        }
        progress.at("asking Redis");
        vec![match brownie_cache::look(&settings).await {
            Ok(seen) => judge_redis(&settings, &seen),
            Err(error) => Finding::failed(
                REDIS,
                error.to_string(),
                "start Redis, or correct the REDIS_* settings; until then each instance answers by itself",
            ),
        }]
    })
}

fn judge_redis(settings: &RedisSettings, seen: &Seen) -> Finding {
    let way = if settings.url.expose().starts_with("rediss:") { "by TLS" } else { "not encrypted" };
    let millis = seen.latency.as_secs_f64() * 1000.0;
    let found = format!("{} answers in {millis:.1} ms, {way}", seen.place);
    if seen.latency > settings.timeout {
        let remedy = "see the way there, or raise REDIS_TIMEOUT_MS";
        return Finding::warning(REDIS, format!("{found}: too late to be used"), remedy);
    }
    let Some(About { version, role, policy, max_memory, .. }) = &seen.about else {
        let found = format!("{found}; role and policy are unknown, as this user may not ask INFO");
        return Finding::ok(REDIS, found);
    };
    let found = format!("{found}; Redis {version}, {role}, maxmemory {max_memory}, {policy}");
    if role != "master" {
        return Finding::failed(REDIS, found, "name the primary: a replica takes no writes");
    }
    if policy.starts_with("allkeys-") || *max_memory == 0 {
        return Finding::ok(REDIS, found);
    }
    Finding::warning(REDIS, found, "set maxmemory-policy allkeys-lru: when it is full, it refuses")
}

/// What signs access tokens.
fn keys(tokens: TokenSettings) -> Check {
    Check::new(&[KEYS], move |progress| async move {
        progress.at("reading keys");
        vec![match KeyRing::load(&tokens) {
            Err(error) => Finding::failed(
                KEYS,
                error.to_string(),
                "correct METADATA_JWT_KEYS_DIR, or what is in it (docs/decisions/0008)",
            ),
            Ok(ring) => match ring.signing_kid() {
                Some(kid) => Finding::ok(KEYS, format!("{kid} signs access tokens")),
                None if is_weak(&tokens) => Finding::warning(
                    KEYS,
                    "METADATA_JWT_SECRET has few different characters, and signs access tokens",
                    "make one by `openssl rand -base64 48`: whoever guesses it is everybody; log-ins end with it",
                ),
                None => Finding::ok(KEYS, "METADATA_JWT_SECRET signs access tokens"),
            },
        }]
    })
}

/// Tells whether a secret was typed rather than drawn: 32 drawn characters, even of hexadecimal
/// digits, have ten different ones but once in a hundred times.
fn is_weak(tokens: &TokenSettings) -> bool {
    let characters = tokens.secret.iter().flat_map(|secret| secret.expose().chars());
    characters.collect::<std::collections::BTreeSet<_>>().len() < 10
}

/// Whose word is believed about who somebody is.
fn issuer(settings: Option<OidcSettings>, tokens: TokenSettings) -> Check {
    Check::new(&[OIDC], move |progress| async move {
        let Some(settings) = settings else {
            return vec![Finding::skipped(OIDC, "METADATA_OIDC_ISSUER is not set")];
        };
        let Ok(ring) = KeyRing::load(&tokens) else {
            return vec![Finding::skipped(OIDC, "keys comes first")];
        };
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let tokens = Tokens::new(ring, tokens.lifetime, clock as _, ids as _);
        let issuer = settings.issuer.clone();
        progress.at("asking the issuer");
        let remedy = "see that METADATA_OIDC_ISSUER is right and can be reached from here, and METADATA_OIDC_CA_FILE";
        vec![match Oidc::new(settings, &tokens) {
            Err(error) => Finding::failed(OIDC, chain(&error), remedy),
            Ok(oidc) => match oidc.authorize().await {
                Ok(_) => Finding::ok(OIDC, format!("{issuer} answers, and says where to log in")),
                Err(error) => Finding::failed(OIDC, chain(&error), remedy),
            },
        }]
    })
}

/// Whether the ports are free, or ours already.
fn ports(service: &ServiceSettings) -> Check {
    let address = |port| SocketAddr::new(service.host, port);
    let (api, metrics) = (address(service.port), address(service.metrics_port));
    Check::new(&[PORTS], move |progress| async move {
        progress.at("asking who listens");
        let wanted = [(api, "METADATA_PORT"), (metrics, "METRICS_PORT")];
        let mut taken = Vec::new();
        for (address, variable) in wanted.into_iter().filter(|(address, _)| address.port() != 0) {
            match is_free(address) {
                Ok(true) => {}
                Ok(false) => taken.push((address, variable)),
                Err(error) => {
                    let remedy = format!("correct METADATA_HOST or {variable}");
                    let found = format!("{address} cannot be listened on: {error}");
                    return vec![Finding::failed(PORTS, found, remedy)];
                }
            }
        }
        if taken.is_empty() {
            return vec![Finding::ok(PORTS, format!("{api} and {metrics} are free"))];
        }
        // The port of the metrics is never encrypted.
        if taken.len() == wanted.len() && is_ours(metrics).await {
            return vec![Finding::ok(PORTS, format!("a server of ours is on {api} and {metrics}"))];
        }
        let found: Vec<String> = taken
            .iter()
            .map(|(address, _)| format!("somebody else listens on {address}"))
            .collect();
        let variables: Vec<&str> = taken.iter().map(|(_, variable)| *variable).collect();
        let remedy = format!("stop what listens there (ss -ltnp), or set {}", variables.join(", "));
        vec![Finding::failed(PORTS, found.join("\n"), remedy)]
    })
}

/// Binds without listening: a server that starts at this moment is not in its way.
fn is_free(address: SocketAddr) -> std::io::Result<bool> {
    let here = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    here.set_reuseaddr(true)?;
    match here.bind(address) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error),
    }
}

async fn is_ours(mut metrics: SocketAddr) -> bool {
    if metrics.ip().is_unspecified() {
        let localhost: std::net::IpAddr = match metrics {
            SocketAddr::V4(_) => [127, 0, 0, 1].into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        metrics.set_ip(localhost);
    }
    let ask = async {
        let mut stream = TcpStream::connect(metrics).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        // Whoever listens there may talk without end.
        stream.take(1 << 20).read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).contains("brownie_"))
    };
    tokio::time::timeout(Duration::from_secs(2), ask).await.is_ok_and(|ours| ours.unwrap_or(false))
}

fn log_place(file: LogFileSettings) -> Place {
    let LogFileSettings { path, max_bytes, keep } = file;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Place {
        path: directory.unwrap_or(Path::new(".")).to_owned(),
        variable: "LOG_FILE",
        wanted: max_bytes.saturating_mul(u64::from(keep) + 1),
    }
}
