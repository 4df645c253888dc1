//! Which database.

use std::{path::Path, time::Duration};

use url::Url;

use crate::{Reader, Secret, Variable};

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
    help: "verify-full, or disable for a database on this machine. What lies between them does not verify the server and is refused.",
};
pub(crate) const CERT_DIR: Variable = Variable {
    name: "CERT_DIR",
    aliases: &["LOCAL_CERT_DIR"],
    default: Some("/certs"),
    secret: false,
    help: "Where ca.crt, client.crt and client.key are, used as far as they exist. With DB_HOST only.",
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
    CERT_DIR,
    DB_POOL_SIZE,
    DB_POOL_TIMEOUT,
    DB_STATEMENT_TIMEOUT,
    DB_LOCK_TIMEOUT,
    DB_ALLOW_UNWALLED_ROLE,
];

/// Which database, and how patient to be with it.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// A PostgreSQL URL.
    pub url: Secret,
    /// The most connections to hold.
    pub pool_size: usize,
    /// How long to wait for a free connection.
    pub pool_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// Whether to serve as a role that row-level security does not hold.
    pub allow_unwalled_role: bool,
}

impl DatabaseSettings {
    /// Reads the settings, for a program that logs in as `role` unless told otherwise. What is
    /// missing or wrong is a problem of `reader`'s.
    pub fn read(reader: &mut Reader, role: &str) -> Self {
        let url = match reader.secret(&DATABASE_URL) {
            Some(url) => Some(url),
            None => url_of_parts(reader, role),
        };
        let url = url.map(|url| verified(reader, url));
        if url.is_none() {
            reader.problem(
                &DATABASE_URL,
                "must be set (postgres://user@host/database), or DB_HOST; brownie-standalone needs neither",
            );
        }
        let mut settings =
            Self { url: url.unwrap_or_else(|| Secret::new("")), ..Self::embedded(Secret::new("")) };
        settings.read_patience(reader);
        if let Some(size) = reader.parse::<usize>(&DB_POOL_SIZE, "a whole number") {
            if size == 0 {
                reader.problem(&DB_POOL_SIZE, "must be 1 or more");
            }
            settings.pool_size = size;
        }
        settings.allow_unwalled_role =
            reader.parse(&DB_ALLOW_UNWALLED_ROLE, "true or false").unwrap_or_default();
        settings
    }

    /// The settings for an embedded database, which has one connection. Waiting for it is normal.
    pub fn embedded(url: Secret) -> Self {
        Self {
            url,
            pool_size: 1,
            pool_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(3),
            allow_unwalled_role: false,
        }
    }

    fn read_patience(&mut self, reader: &mut Reader) {
        if let Some(patience) = reader.seconds(&DB_POOL_TIMEOUT) {
            self.pool_timeout = patience;
        }
        if let Some(patience) = reader.seconds(&DB_STATEMENT_TIMEOUT) {
            self.statement_timeout = patience;
        }
        if let Some(patience) = reader.seconds(&DB_LOCK_TIMEOUT) {
            self.lock_timeout = patience;
        }
    }
}

/// Makes sure that a URL says whether the server is verified, so that every driver understands the
/// same: left out, it would mean `prefer` to one of them. What cannot be read is left to the driver,
/// whose message is about the URL.
fn verified(reader: &mut Reader, secret: Secret) -> Secret {
    let Ok(mut url) = Url::parse(secret.expose()) else { return secret };
    let parameter = |name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let is_socket = parameter("host").is_some_and(|host| host.starts_with('/'));
    match parameter("sslmode").as_deref() {
        Some("disable" | "verify-full") => return secret,
        Some(other) => {
            let message = format!(
                "has sslmode={other}, which does not verify the server; use verify-full, or disable for a database on this machine"
            );
            reader.problem(&DATABASE_URL, message);
            return secret;
        }
        None => {}
    }
    url.query_pairs_mut().append_pair("sslmode", if is_socket { "disable" } else { "verify-full" });
    Secret::new(url)
}

/// Makes a URL of the `DB_*` variables, if `DB_HOST` is set.
fn url_of_parts(reader: &mut Reader, role: &str) -> Option<Secret> {
    let host = reader.text(&DB_HOST)?;
    let port = reader.parse::<u16>(&DB_PORT, "a port")?;
    let name = reader.text(&DB_NAME)?;
    let user = reader.text(&DB_USER).unwrap_or_else(|| role.to_owned());
    let password = reader.secret(&DB_PASSWORD);
    let ssl_mode = reader.text(&DB_SSL_MODE)?;
    let certs = reader.text(&CERT_DIR)?;
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
    if ssl_mode != "disable" {
        for (parameter, file) in
            [("sslrootcert", "ca.crt"), ("sslcert", "client.crt"), ("sslkey", "client.key")]
        {
            let path = Path::new(&certs).join(file);
            if path.exists() {
                url.query_pairs_mut().append_pair(parameter, &path.to_string_lossy());
            }
        }
    }
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
            url(&[("DB_HOST", "db"), ("DB_PASSWORD", "p@ss/word"), ("CERT_DIR", "/none")]),
            "postgres://brownie-server:p%40ss%2Fword@db:5432/brownie_metadata?sslmode=verify-full"
        );
    }

    #[test]
    fn every_url_says_whether_the_server_is_verified() {
        assert_eq!(
            url(&[("DATABASE_URL", "postgres://u@db/x")]),
            "postgres://u@db/x?sslmode=verify-full"
        );
        let socket = "postgres://u@localhost/x?host=%2Frun%2Fpostgresql";
        assert_eq!(url(&[("DATABASE_URL", socket)]), format!("{socket}&sslmode=disable"));
        for values in [
            [("DATABASE_URL", "postgres://u@db/x?sslmode=require"), ("A", "")],
            [("DB_HOST", "db"), ("DB_SSL_MODE", "prefer")],
        ] {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let mut reader = Reader::from_values(values.iter().map(own).collect());
            let _ = DatabaseSettings::read(&mut reader, "brownie-server");
            let problems = reader.finish().unwrap_err().to_string();
            assert!(problems.contains("does not verify the server"), "{problems}");
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
