//! The way to the database, step by step, and what it says of itself.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use brownie_config::{Address, Secret};
use brownie_domain::{Clock, SystemClock, Timestamp};
use brownie_logging::chain;
use brownie_migration::TunnelError;
use chrono::TimeDelta;
use native_tls::TlsConnector;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, config::SslMode, error::SqlState};

use crate::{Check, Finding, Keepers, Progress, certificates::CERTIFICATES, clock::judge_clock};

/// The check that everything which asks the database comes after.
pub const DATABASE: &str = "database";
/// Our clock against the database's.
pub const CLOCK: &str = "clock";
const VERSION: &str = "database.version";
const WRITABLE: &str = "database.writable";
const CONNECTIONS: &str = "database.connections";
const LATENCY: &str = "database.latency";

/// What a program wants of the database.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where it is.
    pub url: Secret,
    /// With which certificates.
    pub keepers: Keepers,
    /// How many connections it may come to open.
    pub connections: usize,
}

/// Looks whether the database can be reached: by name, by TCP, by TLS, by log-in, each told apart; and
/// at its version, at whether it takes writes, its connections, its latency and its clock.
pub fn database(wanted: Wanted) -> Check {
    Check::new(
        &[DATABASE, VERSION, WRITABLE, CONNECTIONS, LATENCY, CLOCK],
        move |progress| async move {
            let address = match Address::of(&wanted.url) {
                Ok(address) => address,
                Err(why) => {
                    return vec![Finding::failed(DATABASE, why, "correct DATABASE_URL")];
                }
            };
            let client = match enter(&address, wanted.keepers.connector(), &progress).await {
                Ok(client) => client,
                Err(finding) => return vec![finding],
            };
            progress.at("asking the server about itself");
            match Facts::ask(&client).await {
                Ok(facts) => facts.findings(&address, wanted.connections),
                Err(error) => vec![Finding::failed(
                    DATABASE,
                    format!("it lets us in and does not answer: {}", chain(&error)),
                    "see the server's log",
                )],
            }
        },
    )
    .after(CERTIFICATES)
}

/// Goes in, or says at which step it was held up.
async fn enter(
    address: &Address,
    tls: Option<TlsConnector>,
    progress: &Progress,
) -> Result<Client, Finding> {
    let failed = |found: String, remedy: &str| Finding::failed(DATABASE, found, remedy);
    let Address { host, port, user, database, .. } = address;
    let mut config = Config::new();
    config
        .user(user)
        .dbname(database)
        .ssl_mode(SslMode::Disable)
        .application_name("brownie-doctor");
    if let Some(password) = &address.password {
        config.password(password.expose());
    }
    if let Some(directory) = &address.socket {
        progress.at("connecting to its socket");
        let path = directory.join(format!(".s.PGSQL.{port}"));
        let stream = UnixStream::connect(&path).await.map_err(|error| {
            failed(
                format!("its socket {} cannot be connected to: {error}", path.display()),
                "start PostgreSQL, or correct host= in DATABASE_URL",
            )
        })?;
        progress.at("logging in");
        return log_in(&config, stream).await.map_err(|error| refused(address, &error));
    }
    progress.at("looking up the name of its host (DNS)");
    let found: Vec<_> = match lookup_host((host.as_str(), *port)).await {
        Ok(found) => found.collect(),
        Err(error) => {
            return Err(failed(
                format!("the name {host} is not known (DNS): {error}"),
                "correct the host in DATABASE_URL or DB_HOST, or mend the resolver (/etc/resolv.conf)",
            ));
        }
    };
    progress.at("connecting (TCP)");
    let stream = TcpStream::connect(found.as_slice()).await.map_err(|error| {
        let remedy = if error.kind() == io::ErrorKind::ConnectionRefused {
            "start PostgreSQL there, or correct host and port in DATABASE_URL or DB_HOST and DB_PORT"
        } else {
            "see that a way leads there: routes, firewalls, network policies"
        };
        failed(format!("{host}:{port} takes no connection (TCP): {error}"), remedy)
    })?;
    let entered = if let Some(tls) = tls {
        drop(stream);
        progress.at("talking TLS");
        let stream = brownie_migration::reach(host, *port, tls).await;
        let stream = stream.map_err(|error| distrusted(&error))?;
        progress.at("logging in");
        log_in(&config, stream).await
    } else {
        progress.at("logging in");
        log_in(&config, stream).await
    };
    entered.map_err(|error| refused(address, &error))
}

async fn log_in<S>(config: &Config, stream: S) -> Result<Client, tokio_postgres::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    drop(tokio::spawn(connection));
    Ok(client)
}

fn distrusted(error: &TunnelError) -> Finding {
    let remedy = match error {
        TunnelError::Away { .. } => {
            "see that it is PostgreSQL that listens there, and not overloaded"
        }
        TunnelError::NoTls { .. } => "set ssl = on in its postgresql.conf, with a certificate",
        TunnelError::Certificate { .. } => {
            "have our certificate issued by the CA that the server believes (ssl_ca_file there), and not revoked"
        }
        _ => {
            "put the CA that issued the server's certificate into ca.crt, and call the server by a name of its certificate"
        }
    };
    Finding::failed(DATABASE, format!("TLS: {}", chain(error)), remedy)
}

/// By SQLSTATE (PostgreSQL manual, appendix A).
fn refused(address: &Address, error: &tokio_postgres::Error) -> Finding {
    let Address { user, database, .. } = address;
    let said = chain(error);
    let (found, remedy) = match error.code() {
        Some(code) if code.code().starts_with("28") => (
            format!("the server does not let {user} log in (authentication): {said}"),
            "correct role and password (DATABASE_URL, or DB_USER and DB_PASSWORD), have a certificate of that CN, or see its pg_hba.conf and pg_ident.conf",
        ),
        Some(&SqlState::INVALID_CATALOG_NAME) => (
            format!("there is no database {database}: {said}"),
            "make it (createdb, then `brownie-migrator up`), or correct its name",
        ),
        Some(&SqlState::TOO_MANY_CONNECTIONS) => (
            format!("all connections are taken: {said}"),
            "see who holds them (pg_stat_activity), lower DB_POOL_SIZE, or raise max_connections",
        ),
        Some(&SqlState::CANNOT_CONNECT_NOW) => {
            (format!("it starts, or stops: {said}"), "wait; its log says how far it is")
        }
        _ => (format!("the log-in failed: {said}"), "see the server's log"),
    };
    Finding::failed(DATABASE, found, remedy)
}

/// Prepares nothing, as other questions would: a pooler may be in between. `numbackends` is of
/// everybody, whoever asks.
const FACTS: &str = "SELECT current_setting('server_version') AS version,
    current_setting('server_version_num') AS version_number,
    pg_is_in_recovery() AS is_standby,
    current_setting('transaction_read_only') = 'on' AS is_read_only,
    floor(1000 * extract(epoch FROM clock_timestamp()))::bigint AS clock,
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int AS places,
    (SELECT sum(numbackends) FROM pg_stat_database) AS taken,
    (SELECT version || ', ' || cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls,
    inet_server_addr() IS NULL OR inet_server_addr() << '127.0.0.0/8'
        OR inet_server_addr() = '::1' AS is_local,
    current_user AS role";

/// What the server says of itself.
#[derive(Debug, Clone)]
struct Facts {
    values: BTreeMap<String, String>,
    /// The median of a question and its answer.
    latency: Duration,
    /// How far its clock is ahead of ours, and half the time that it took to ask.
    ahead: (TimeDelta, TimeDelta),
}

impl Facts {
    async fn ask(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let mut times = Vec::new();
        for _ in 0..3 {
            let began = Instant::now();
            client.simple_query("SELECT 1").await?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let (asked, began) = (SystemClock.now(), Instant::now());
        let mut values = BTreeMap::new();
        for message in client.simple_query(FACTS).await? {
            let SimpleQueryMessage::Row(row) = message else { continue };
            for (index, column) in row.columns().iter().enumerate() {
                let value = row.try_get(index)?.unwrap_or_default();
                values.insert(column.name().to_owned(), value.to_owned());
            }
        }
        let half = TimeDelta::from_std(began.elapsed() / 2).unwrap_or_default();
        let theirs = values.get("clock").and_then(|millis| millis.parse().ok());
        let theirs = theirs.and_then(Timestamp::from_timestamp_millis);
        let ahead = theirs.map_or(TimeDelta::zero(), |theirs| theirs - (asked + half));
        let latency = times.get(1).copied().unwrap_or_default();
        Ok(Self { values, latency, ahead: (ahead, half) })
    }

    fn text(&self, name: &str) -> &str {
        self.values.get(name).map(String::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> usize {
        self.text(name).parse().unwrap_or_default()
    }

    fn is(&self, name: &str) -> bool {
        self.text(name) == "t"
    }

    fn findings(&self, address: &Address, wanted: usize) -> Vec<Finding> {
        vec![
            self.way(address),
            self.version(),
            self.writable(),
            self.connections(wanted),
            self.latency(),
            judge_clock(CLOCK, "the database server's clock", self.ahead.0, self.ahead.1),
        ]
    }

    fn way(&self, Address { host, port, database, socket, .. }: &Address) -> Finding {
        let place = match socket {
            Some(directory) => format!("{}, port {port}", directory.display()),
            None => format!("{host}:{port}"),
        };
        let (role, tls) = (self.text("role"), self.text("tls"));
        let found = format!("{role} is let in to {database} at {place}");
        match (tls.is_empty(), self.is("is_local")) {
            (false, _) => Finding::ok(DATABASE, format!("{found}, by {tls}")),
            (true, true) => {
                Finding::ok(DATABASE, format!("{found}, not encrypted, on this machine"))
            }
            (true, false) => Finding::warning(
                DATABASE,
                format!("{found}, not encrypted, on another machine"),
                "use sslmode=verify-full and a CA, or see that whatever is in between encrypts",
            ),
        }
    }

    fn version(&self) -> Finding {
        let found = format!("PostgreSQL {}", self.text("version"));
        if self.number("version_number") >= 150_000 {
            Finding::ok(VERSION, found)
        } else {
            Finding::failed(VERSION, found, "use PostgreSQL 15 or newer")
        }
    }

    fn writable(&self) -> Finding {
        if self.is("is_standby") {
            let remedy = "name the primary in DATABASE_URL or DB_HOST, or promote this one";
            Finding::failed(WRITABLE, "it is a standby, which takes no writes", remedy)
        } else if self.is("is_read_only") {
            Finding::failed(
                WRITABLE,
                "it takes writes from others, but not from us",
                "see default_transaction_read_only of the role, the database and the server",
            )
        } else {
            Finding::ok(WRITABLE, "it takes writes")
        }
    }

    fn connections(&self, wanted: usize) -> Finding {
        let (taken, places) = (self.number("taken"), self.number("places"));
        let found = format!("{taken} of {places} are taken, and up to {wanted} are wanted");
        let remedy = "see who holds them (pg_stat_activity), lower DB_POOL_SIZE, put a pooler in between, or raise max_connections";
        if taken * 10 >= places * 9 || places < wanted {
            Finding::warning(CONNECTIONS, found, remedy)
        } else {
            Finding::ok(CONNECTIONS, found)
        }
    }

    fn latency(&self) -> Finding {
        let found = format!("{:.1} ms for a question", self.latency.as_secs_f64() * 1000.0);
        if self.latency > Duration::from_millis(50) {
            let remedy =
                "see the load of the server and the way there; every request asks several times";
            Finding::warning(LATENCY, found, remedy)
        } else {
            Finding::ok(LATENCY, found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn facts(change: &[(&str, &str)]) -> Facts {
        let good = [
            ("version", "18.1"),
            ("version_number", "180001"),
            ("is_standby", "f"),
            ("is_read_only", "f"),
            ("places", "97"),
            ("taken", "10"),
            ("tls", "TLSv1.3"),
            ("is_local", "f"),
            ("role", "brownie-server"),
        ];
        let values = good.iter().chain(change);
        Facts {
            values: values.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            latency: Duration::from_millis(1),
            ahead: (TimeDelta::zero(), TimeDelta::zero()),
        }
    }

    fn state(facts: &Facts, name: &str) -> State {
        let address = Address::of(&Secret::new("postgres://u@h/d")).unwrap();
        let all = facts.findings(&address, 10);
        all.iter().find(|finding| finding.name() == name).unwrap().state()
    }

    #[test]
    fn each_fact_is_judged() {
        for (name, change, expected) in [
            (VERSION, ("version_number", "140009"), State::Failed),
            (WRITABLE, ("is_standby", "t"), State::Failed),
            (WRITABLE, ("is_read_only", "t"), State::Failed),
            (CONNECTIONS, ("taken", "90"), State::Warning),
            (CONNECTIONS, ("places", "9"), State::Warning),
            (DATABASE, ("tls", ""), State::Warning),
        ] {
            assert_eq!(state(&facts(&[]), name), State::Ok, "{name}");
            assert_eq!(state(&facts(&[change]), name), expected, "{name}");
        }
        assert_eq!(state(&facts(&[("tls", ""), ("is_local", "t")]), DATABASE), State::Ok);
        let slow = Facts { latency: Duration::from_millis(80), ..facts(&[]) };
        assert_eq!(state(&slow, LATENCY), State::Warning);
        let off = Facts { ahead: (TimeDelta::minutes(-2), TimeDelta::zero()), ..facts(&[]) };
        assert_eq!(state(&off, CLOCK), State::Failed);
    }
}
