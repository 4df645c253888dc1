//! Where a database is, taken from its URL.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::Secret;

/// Where a database is, and as whom to log in.
#[derive(Debug, Clone)]
pub struct Address {
    /// The server's name or address, without brackets.
    pub host: String,
    /// The directory of its socket, which is used instead of the host.
    pub socket: Option<PathBuf>,
    /// Its port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password, where certificates are not in use.
    pub password: Option<Secret>,
    /// The database's name.
    pub database: String,
}

impl Address {
    /// Reads a PostgreSQL URL.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, without what is in it.
    pub fn of(url: &Secret) -> Result<Self, String> {
        let url = Url::parse(url.expose())
            .map_err(|error| format!("the database URL cannot be read ({error})"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(format!("the database URL must be a postgres one, not {}", url.scheme()));
        }
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| "the database URL is not UTF-8".to_owned())
        };
        let socket =
            url.query_pairs().find(|(name, value)| name == "host" && value.starts_with('/'));
        let host = url.host_str().unwrap_or("localhost");
        let user = decoded(url.username())?;
        let database = match url.path().trim_start_matches('/') {
            "" => user.clone(),
            name => decoded(name)?,
        };
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            socket: socket.map(|(_, directory)| PathBuf::from(&*directory)),
            port: url.port().unwrap_or(5432),
            password: url.password().map(decoded).transpose()?.map(Secret::new),
            user,
            database,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_its_parts() {
        let address = Address::of(&Secret::new("postgres://u%40x:p%2Fw@[::1]:6000/d%20b")).unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 6000));
        assert_eq!((address.user.as_str(), address.database.as_str()), ("u@x", "d b"));
        assert_eq!(address.password.as_ref().map(Secret::expose), Some("p/w"));
        let socket = Address::of(&Secret::new("postgres://u@localhost?host=/run/pg")).unwrap();
        assert_eq!(socket.socket, Some("/run/pg".into()));
        assert_eq!(socket.database, "u", "as libpq");
        let error = Address::of(&Secret::new("mysql://u:hunter2@db/x")).unwrap_err();
        assert!(error.contains("postgres one") && !error.contains("hunter2"), "{error}");
    }
}
