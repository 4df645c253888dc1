//! Where the encryption of connections comes from, when it is replaced while the program runs.

use std::{fmt, sync::Arc};

use native_tls::TlsConnector;

/// What is asked, each time a connection is opened or used again, how connections are encrypted now.
#[derive(Clone)]
pub struct Tls(Arc<dyn Fn() -> (u64, TlsConnector) + Send + Sync>);

impl Tls {
    /// Takes what returns the connector of this moment, and which generation of them it is.
    /// Connections of another generation serve what they are at, and are closed then.
    ///
    /// The connector decides how far servers are verified.
    pub fn new(now: impl Fn() -> (u64, TlsConnector) + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Takes a connector that stays.
    pub fn fixed(connector: TlsConnector) -> Self {
        Self::new(move || (0, connector.clone()))
    }

    pub(crate) fn now(&self) -> (u64, TlsConnector) {
        (self.0)()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
