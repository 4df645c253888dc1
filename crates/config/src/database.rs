//! Which database.

use std::time::Duration;

use url::Url;

use crate::{Reader, Secret, SslMode, UrlFiles, Variable, ssl};

const DATABASE_URL: Variable = Variable {
    name: "DATABASE_URL",
    aliases: &["METADATA_POSTGRES_DSN"],
    default: None,
    secret: true,
    help: "The database as one URL: postgres://user@host:5432/brownie_metadata?sslmode=verify-full&sslrootcert=ca.crt&sslcert=client.crt&sslkey=client.key. Set this or DB_HOST.",
};
const DB_HOST: Variable = Variable {
    name: "DB_HOST",
    aliases: &[],
    default: None,
    secret: false,
    help: "The database server, when DATABASE_URL is not set.",
};
const DB_PORT: Variable = Variable {
    name: "DB_PORT",
    aliases: &[],
    default: Some("5432"),
    secret: false,
    help: "Its port.",
};
const DB_NAME: Variable = Variable {
    name: "DB_NAME",
    aliases: &[],
    default: Some("brownie_metadata"),
    secret: false,
    help: "The database's name.",
};
const DB_USER: Variable = Variable {
    name: "DB_USER",
    aliases: &[],
    default: None,
    secret: false,
    help: "The role to log in as; brownie-server unless set, brownie-migrator for the migrator. A certificate with another CN is mapped to it by pg_ident.",
};
const DB_PASSWORD: Variable = Variable {
    name: "DB_PASSWORD",
    aliases: &[],
    default: None,
    secret: true,
    help: "A password, where certificates are not in use.",
};
const DB_SSL_MODE: Variable = Variable {
    name: "DB_SSL_MODE",
    aliases: &[],
    default: Some("verify-full"),
    secret: false,
    help: "As libpq's: verify-full; verify-ca, which does not look at the host's name; require, which is verify-ca where there is a CA and otherwise needs DB_ALLOW_UNVERIFIED_SERVER; disable for a database on this machine. allow and prefer would go on without encryption and are refused.",
};
const DB_POOL_SIZE: Variable = Variable {
    name: "DB_POOL_SIZE",
    aliases: &[],
    default: Some("10"),
    secret: false,
    help: "The most connections to hold.",
};
const DB_POOL_TIMEOUT: Variable = Variable {
    name: "DB_POOL_TIMEOUT",
    aliases: &[],
    default: Some("3"),
    secret: false,
    help: "Seconds to wait for a free connection before answering 503.",
};
const DB_POOL_SHARE: Variable = Variable {
    name: "DB_POOL_SHARE",
    aliases: &[],
    default: None,
    secret: false,
    help: "The most connections that one organization uses at a time; half of DB_POOL_SIZE, rounded up, unless set. What it asks beyond waits in turn with other organizations. DB_POOL_SIZE for no share.",
};
const DB_POOL_MAX_LIFETIME: Variable = Variable {
    name: "DB_POOL_MAX_LIFETIME",
    aliases: &[],
    default: Some("1800"),
    secret: false,
    help: "Seconds after which a connection is replaced, however well it is, so that a new address of the database is found; each somewhat earlier, not all together.",
};
const DB_POOL_IDLE_TIMEOUT: Variable = Variable {
    name: "DB_POOL_IDLE_TIMEOUT",
    aliases: &[],
    default: Some("300"),
    secret: false,
    help: "Seconds that more than two connections may rest before they are closed.",
};
const DB_POOLER: Variable = Variable {
    name: "DB_POOLER",
    aliases: &[],
    default: Some("auto"),
    secret: false,
    help: "What stands between us and the database: auto lets each connection find out; session for none, or a pooler in session mode; transaction for PgBouncer 1.21 or newer in transaction mode with max_prepared_statements.",
};
const DB_READ_TIMEOUT: Variable = Variable {
    name: "DB_READ_TIMEOUT",
    aliases: &[],
    default: Some("5"),
    secret: false,
    help: "Seconds a statement that only reads may run; it is cancelled then, and when nobody waits for it any more. The shorter of this and DB_STATEMENT_TIMEOUT counts.",
};
const DB_STATEMENT_TIMEOUT: Variable = Variable {
    name: "DB_STATEMENT_TIMEOUT",
    aliases: &[],
    default: Some("10"),
    secret: false,
    help: "Seconds a statement may run.",
};
const DB_LOCK_TIMEOUT: Variable = Variable {
    name: "DB_LOCK_TIMEOUT",
    aliases: &[],
    default: Some("3"),
    secret: false,
    help: "Seconds a statement may wait for another's lock.",
};

const DB_ALLOW_UNVERIFIED_SERVER: Variable = Variable {
    name: "DB_ALLOW_UNVERIFIED_SERVER",
    aliases: &[],
    default: Some("false"),
    secret: false,
    help: "true lets sslmode=require without a CA stand: encrypted, and whoever is in between may be the one it is encrypted for.",
};
const DB_ALLOW_UNWALLED_ROLE: Variable = Variable {
    name: "DB_ALLOW_UNWALLED_ROLE",
    aliases: &[],
    default: Some("false"),
    secret: false,
    help: "true lets brownie-server run as a role that row-level security does not hold, such as a superuser. For development only: one wall of four is gone then.",
};

pub(crate) static VARIABLES: &[Variable] = &[
    DATABASE_URL,
    DB_HOST,
    DB_PORT,
    DB_NAME,
    DB_USER,
    DB_PASSWORD,
    DB_SSL_MODE,
    DB_POOL_SIZE,
    DB_POOL_SHARE,
    DB_POOL_TIMEOUT,
    DB_POOL_MAX_LIFETIME,
    DB_POOL_IDLE_TIMEOUT,
    DB_POOLER,
    DB_READ_TIMEOUT,
    DB_STATEMENT_TIMEOUT,
    DB_LOCK_TIMEOUT,
    DB_ALLOW_UNVERIFIED_SERVER,
    DB_ALLOW_UNWALLED_ROLE,
];

/// What an operator knows of what stands between us and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolerKind {
    /// Nothing: each connection finds out.
    Auto,
    /// No pooler, or one in session mode.
    Session,
    /// A pooler in transaction mode.
    Transaction,
}

/// Which database, and how patient to be with it.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// A PostgreSQL URL.
    pub url: Secret,
    /// The most connections to hold.
    pub pool_size: usize,
    /// How much its server must prove.
    pub ssl_mode: SslMode,
    /// The certificates that the URL named.
    pub ssl_files: UrlFiles,
    /// Whether a server may go unverified.
    pub allow_unverified_server: bool,
    /// How long to wait for a free connection.
    pub pool_timeout: Duration,
    /// The most connections that one organization uses; none for half of all.
    pub pool_share: Option<usize>,
    /// When a connection is replaced.
    pub pool_max_lifetime: Duration,
    /// How long connections may rest.
    pub pool_idle_timeout: Duration,
    /// What stands between us and the database.
    pub pooler: PoolerKind,
    /// How long a statement that only reads may run.
    pub read_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// Whether to serve as a role that row-level security does not hold.
    pub allow_unwalled_role: bool,
}

impl DatabaseSettings {
    /// Tells whether the environment names a database.
    pub fn are_there(reader: &mut Reader) -> bool {
        reader.secret(&DATABASE_URL).is_some() || reader.text(&DB_HOST).is_some()
    }

    /// Reads the settings, for a program that logs in as `role` unless told otherwise. What is
    /// missing or wrong is a problem of `reader`'s.
    pub fn read(reader: &mut Reader, role: &str) -> Self {
        let url = match reader.secret(&DATABASE_URL) {
            Some(url) => Some(url),
            None => url_of_parts(reader, role),
        };
        if url.is_none() {
            reader.problem(
                &DATABASE_URL,
                "must be set (postgres://user@host/database), or DB_HOST; brownie-standalone needs neither",
            );
        }
        let mut settings = Self::embedded(Secret::new(""));
        match url.map(ssl::split) {
            Some(Ok((url, mode, files))) => {
                (settings.url, settings.ssl_mode, settings.ssl_files) = (url, mode, files);
            }
            Some(Err(message)) => reader.problem(&DATABASE_URL, message),
            None => {}
        }
        settings.allow_unverified_server =
            reader.parse(&DB_ALLOW_UNVERIFIED_SERVER, "true or false").unwrap_or_default();
        settings.read_patience(reader);
        if let Some(size) = reader.parse::<usize>(&DB_POOL_SIZE, "a whole number") {
            if size == 0 {
                reader.problem(&DB_POOL_SIZE, "must be 1 or more");
            }
            settings.pool_size = size;
        }
        settings.pool_share = reader.parse::<usize>(&DB_POOL_SHARE, "a whole number");
        if settings.pool_share.is_some_and(|share| share == 0 || share > settings.pool_size) {
            reader.problem(&DB_POOL_SHARE, "must be 1 to DB_POOL_SIZE");
        }
        settings.read_pooler(reader);
        settings.allow_unwalled_role =
            reader.parse(&DB_ALLOW_UNWALLED_ROLE, "true or false").unwrap_or_default();
        settings
    }

    /// Reads the settings of another database, of a variable that has its URL. Its certificates are
    /// those that the URL names, or the program's.
    pub(crate) fn read_other(reader: &mut Reader, variable: &'static Variable) -> Option<Self> {
        let url = reader.secret(variable)?;
        match ssl::split(url) {
            Ok((url, ssl_mode, ssl_files)) => {
                Some(Self { ssl_mode, ssl_files, ..Self::embedded(url) })
            }
            Err(message) => {
                reader.problem(variable, message);
                None
            }
        }
    }

    /// The settings for an embedded database, which has one connection. Waiting for it is normal.
    pub fn embedded(url: Secret) -> Self {
        Self {
            url,
            ssl_mode: SslMode::Disable,
            ssl_files: UrlFiles::default(),
            allow_unverified_server: false,
            pool_size: 1,
            pool_timeout: Duration::from_secs(10),
            pool_share: None,
            pool_max_lifetime: Duration::from_mins(30),
            pool_idle_timeout: Duration::from_mins(5),
            pooler: PoolerKind::Auto,
            read_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(3),
            allow_unwalled_role: false,
        }
    }

    fn read_pooler(&mut self, reader: &mut Reader) {
        self.pooler = match reader.text(&DB_POOLER).as_deref() {
            None | Some("auto") => PoolerKind::Auto,
            Some("session") => PoolerKind::Session,
            Some("transaction") => PoolerKind::Transaction,
            Some(other) => {
                let why = format!("must be auto, session or transaction, not {other:?}");
                reader.problem(&DB_POOLER, why);
                PoolerKind::Auto
            }
        };
    }

    fn read_patience(&mut self, reader: &mut Reader) {
        if let Some(patience) = reader.seconds(&DB_POOL_TIMEOUT) {
            self.pool_timeout = patience;
        }
        if let Some(lifetime) = reader.seconds(&DB_POOL_MAX_LIFETIME) {
            self.pool_max_lifetime = lifetime;
        }
        if let Some(rest) = reader.seconds(&DB_POOL_IDLE_TIMEOUT) {
            self.pool_idle_timeout = rest;
        }
        if let Some(patience) = reader.seconds(&DB_READ_TIMEOUT) {
            self.read_timeout = patience;
        }
        if let Some(patience) = reader.seconds(&DB_STATEMENT_TIMEOUT) {
            self.statement_timeout = patience;
        }
        if let Some(patience) = reader.seconds(&DB_LOCK_TIMEOUT) {
            self.lock_timeout = patience;
        }
    }
}

/// Makes a URL of the `DB_*` variables, if `DB_HOST` is set.
fn url_of_parts(reader: &mut Reader, role: &str) -> Option<Secret> {
    let host = reader.text(&DB_HOST)?;
    let port = reader.parse::<u16>(&DB_PORT, "a port")?;
    let name = reader.text(&DB_NAME)?;
    let user = reader.text(&DB_USER).unwrap_or_else(|| role.to_owned());
    let password = reader.secret(&DB_PASSWORD);
    let ssl_mode = reader.text(&DB_SSL_MODE)?;
    let mut url = Url::parse("postgres://localhost").ok()?;
    if url.set_host(Some(&host)).is_err() {
        reader.problem(&DB_HOST, format!("must be a host name, not {host:?}"));
        return None;
    }
    let _ = url.set_port(Some(port));
    let _ = url.set_username(&user);
    let _ = url.set_password(password.as_ref().map(Secret::expose));
    url.set_path(&name);
    url.query_pairs_mut().append_pair("sslmode", &ssl_mode);
    Some(Secret::new(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(values: &[(&str, &str)]) -> String {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        DatabaseSettings::read(&mut reader, "brownie-server").url.expose().to_owned()
    }

    #[test]
    fn the_parts_make_a_url() {
        assert_eq!(
            url(&[("DB_HOST", "db"), ("DB_PASSWORD", "p@ss/word")]),
            "postgres://brownie-server:p%40ss%2Fword@db:5432/brownie_metadata?sslmode=verify-full"
        );
    }

    #[test]
    fn what_would_go_on_without_encryption_is_a_problem() {
        for values in [
            [("DATABASE_URL", "postgres://u@db/x?sslmode=allow"), ("A", "")],
            [("DB_HOST", "db"), ("DB_SSL_MODE", "prefer")],
        ] {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let mut reader = Reader::from_values(values.iter().map(own).collect());
            let _ = DatabaseSettings::read(&mut reader, "brownie-server");
            let problems = reader.finish().unwrap_err().to_string();
            assert!(problems.contains("goes on without encryption"), "{problems}");
        }
    }

    #[test]
    fn without_a_database_the_problem_says_what_to_set() {
        let mut reader = Reader::from_values(std::collections::BTreeMap::new());
        let _ = DatabaseSettings::read(&mut reader, "brownie-server");
        let problems = reader.finish().unwrap_err().to_string();
        assert!(problems.contains("DATABASE_URL must be set"), "{problems}");
    }
}
