//! How a database URL becomes a connection, encrypted or not.

use std::{fs, time::Duration};

use native_tls::{Certificate, Identity, TlsConnector};
use percent_encoding::percent_decode_str;
use tokio_postgres::{Config, config::SslMode};
use url::Url;

use crate::{Error, PoolOptions, Result, Tls};

/// Where to connect, and with what certificates.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    /// None when the URL says `sslmode=disable`, or for a Unix socket.
    pub(super) tls: Option<Tls>,
}

/// Reads where to connect. What the options bring to encrypt with comes before the URL's files.
pub(super) fn target(options: &PoolOptions) -> Result<Target> {
    of_url(&options.url, options.tls.clone())
}

/// Reads a PostgreSQL URL. Of libpq's `sslmode`s only two: `verify-full`, which is the default,
/// and `disable`. What lies between them encrypts without knowing to whom. `host=/directory` means a
/// Unix socket there instead of the URL's host.
fn of_url(url: &str, tls: Option<Tls>) -> Result<Target> {
    // libpq takes several hosts, of which a standby may be one.
    let authority = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next());
    let hosts = authority.and_then(|authority| authority.rsplit('@').next()).unwrap_or_default();
    if hosts.contains(',') {
        return Err(settings(format!(
            "the database URL names several hosts ({hosts}): name one, which leads to the primary, such as a pooler, HAProxy, or a service of Patroni"
        )));
    }
    let url = Url::parse(url).map_err(|error| {
        settings(format!(
            "the database URL cannot be read ({error}); it looks like postgres://user@host:5432/database, or postgres://user@localhost/database?host=/run/postgresql for a socket"
        ))
    })?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(settings(format!(
            "the database URL must be a postgres one, not {}",
            url.scheme()
        )));
    }
    let mut ssl_mode = None;
    let (mut root_cert, mut cert, mut key, mut socket_dir) = (None, None, None, None);
    for (name, value) in url.query_pairs().into_owned() {
        match name.as_str() {
            "sslmode" => ssl_mode = Some(value),
            "sslrootcert" => root_cert = Some(value),
            "sslcert" => cert = Some(value),
            "sslkey" => key = Some(value),
            "host" if value.starts_with('/') => socket_dir = Some(value),
            _ => {
                return Err(settings(format!(
                    "the database URL has a parameter {name}, which is not known"
                )));
            }
        }
    }

    let mut config = Config::new();
    let is_socket = socket_dir.is_some();
    match socket_dir {
        Some(directory) => config.host_path(directory),
        // Without the brackets that an IPv6 address has in a URL.
        None => config.host(match url.host_str() {
            Some(host) => host.trim_start_matches('[').trim_end_matches(']'),
            None => "localhost",
        }),
    };
    config.port(url.port().unwrap_or(5432)).user(decoded(url.username())?);
    if let Some(password) = url.password() {
        config.password(decoded(password)?);
    }
    match url.path().trim_start_matches('/') {
        "" => {}
        name => {
            config.dbname(decoded(name)?);
        }
    }
    let encrypted = match ssl_mode.as_deref() {
        _ if is_socket => false,
        Some("disable") => false,
        None | Some("verify-full") => true,
        Some(other) => {
            return Err(settings(format!(
                "sslmode={other} does not verify the server; use verify-full, or disable for a database on this machine"
            )));
        }
    };
    config
        .ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable })
        .application_name("brownie")
        .connect_timeout(Duration::from_secs(3))
        // A peer that is gone without a word is noticed by the kernel: unanswered data after two
        // seconds, an idle connection after about ten. Without these it takes a quarter of an hour.
        .tcp_user_timeout(Duration::from_secs(2))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(3);
    let tls = match tls {
        _ if !encrypted => None,
        Some(tls) => Some(tls),
        None => Some(Tls::fixed(tls_connector(root_cert, cert, key)?)),
    };
    Ok(Target { config, tls })
}

fn decoded(text: &str) -> Result<String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| settings("the database URL is not UTF-8".to_owned()))
}

fn tls_connector(
    root_cert: Option<String>,
    cert: Option<String>,
    key: Option<String>,
) -> Result<TlsConnector> {
    let mut builder = TlsConnector::builder();
    if let Some(path) = root_cert {
        // Our own CA, all certificates of its bundle, and nobody else's.
        builder.disable_built_in_roots(true);
        let bundle = Certificate::stack_from_pem(&read(&path)?)
            .map_err(|error| settings(format!("sslrootcert {path} is not PEM: {error}")))?;
        for certificate in bundle {
            builder.add_root_certificate(certificate);
        }
    }
    match (cert, key) {
        (Some(cert), Some(key)) => {
            let identity = Identity::from_pkcs8(&read(&cert)?, &read(&key)?).map_err(|error| {
                settings(format!(
                    "sslcert {cert} and sslkey {key} (PKCS#8 PEM) do not fit: {error}"
                ))
            })?;
            builder.identity(identity);
        }
        (None, None) => {}
        _ => return Err(settings("sslcert and sslkey belong together; one is missing".to_owned())),
    }
    builder.build().map_err(|error| settings(format!("TLS cannot be set up: {error}")))
}

fn read(path: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| settings(format!("{path} cannot be read: {error}")))
}

fn settings(message: String) -> Error {
    Error::Settings(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target> {
        of_url(url, None)
    }

    fn refusal(url: &str) -> String {
        target(url).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn encryption_without_verification_is_refused() {
        for mode in ["require", "prefer", "allow", "verify-ca"] {
            let message = refusal(&format!("postgres://db.example/x?sslmode={mode}"));
            assert!(message.contains("use verify-full"), "{mode}: {message}");
        }
    }

    #[test]
    fn verification_is_the_default() {
        assert!(target("postgres://db.example/x").unwrap().tls.is_some());
        assert!(target("postgres://db.example/x?sslmode=disable").unwrap().tls.is_none());
        assert!(target("postgres://u@db/x?host=/run/postgresql").unwrap().tls.is_none());
    }

    /// Were both tried, a stranger's server on the standard port could be taken for ours.
    #[test]
    fn a_socket_is_tried_instead_of_the_host_not_after_it() {
        use tokio_postgres::config::Host;
        let target = target("postgres://u%40x@localhost/d%20b?host=/run/postgresql").unwrap();
        assert_eq!(target.config.get_hosts(), [Host::Unix("/run/postgresql".into())]);
        assert_eq!(target.config.get_user(), Some("u@x"));
        assert_eq!(target.config.get_dbname(), Some("d b"));
    }

    /// FAULTS M-15.
    #[test]
    fn m15_several_hosts_are_refused_by_name() {
        let message = refusal("postgres://u:pass,word@h1:5432,h2:5432/db");
        assert!(message.contains("several hosts (h1:5432,h2:5432)"), "{message}");
        assert!(!message.contains("pass"), "{message}");
        assert!(target("postgres://u:pass,word@h1/db?sslmode=disable").is_ok());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(refusal("mysql://db/x").contains("must be a postgres one"));
        assert!(refusal("postgres://db/x?sslmod=disable").contains("sslmod, which is not known"));
        assert!(refusal("db.example").contains("it looks like postgres://"));
    }

    #[test]
    fn no_password_is_in_a_message() {
        let message = refusal("postgres://u:hunter2@db.example/x?sslmode=prefer");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
