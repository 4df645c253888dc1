//! How a database URL becomes a connection, encrypted or not.

use std::{fs, time::Duration};

use native_tls::{Certificate, Identity, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio_postgres::{Config, config::SslMode};
use url::Url;

use crate::{Error, Result};

/// Where to connect, and with what certificates.
pub(super) struct Target {
    pub(super) config: Config,
    /// None when the URL says `sslmode=disable`, or for a Unix socket.
    pub(super) tls: Option<MakeTlsConnector>,
}

/// Reads a PostgreSQL URL. Of libpq's `sslmode`s only two: `verify-full`, which is the default,
/// and `disable`. What lies between them encrypts without knowing to whom.
pub(super) fn target(url: &str) -> Result<Target> {
    let mut url = Url::parse(url)
        .map_err(|error| settings(format!("the database URL cannot be read: {error}")))?;
    let mut ssl_mode = None;
    let (mut root_cert, mut cert, mut key) = (None, None, None);
    let mut is_socket = false;
    let mut rest = Vec::new();
    for (name, value) in url.query_pairs().into_owned() {
        match name.as_str() {
            "sslmode" => ssl_mode = Some(value),
            "sslrootcert" => root_cert = Some(value),
            "sslcert" => cert = Some(value),
            "sslkey" => key = Some(value),
            _ => {
                is_socket |= name == "host" && value.starts_with('/');
                rest.push((name, value));
            }
        }
    }
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }

    let mut config: Config = url
        .as_str()
        .parse()
        .map_err(|error| settings(format!("the database URL cannot be used: {error}")))?;
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
    let tls = if encrypted { Some(tls_connector(root_cert, cert, key)?) } else { None };
    Ok(Target { config, tls })
}

fn tls_connector(
    root_cert: Option<String>,
    cert: Option<String>,
    key: Option<String>,
) -> Result<MakeTlsConnector> {
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
    let connector =
        builder.build().map_err(|error| settings(format!("TLS cannot be set up: {error}")))?;
    Ok(MakeTlsConnector::new(connector))
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
        assert!(target("postgres://u@/x?host=/run/postgresql").unwrap().tls.is_none());
    }

    #[test]
    fn no_password_is_in_a_message() {
        let message = refusal("postgres://u:hunter2@db.example/x?sslmode=prefer");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
