//! Where certificates come from.

pub(crate) mod files;
pub(crate) mod kv2;
pub(crate) mod pki;

use std::{path::Path, time::Duration};

use brownie_config::{CertSettings, VaultCertificates, VaultSettings};
use brownie_domain::Timestamp;

use crate::{Fault, Policy, raw::Raw, vault::Client};
pub use files::{PairPaths, Paths};
use kv2::Kv2;
use pki::Pki;

/// How often files are looked at. They are polled, not watched: a network file system tells nobody of
/// its changes, a mounted secret changes by a link two directories away, and reading three small
/// files costs less than being wrong about that.
const FILES_EVERY: Duration = Duration::from_secs(3);

/// How often Vault is asked. It serves many others.
const VAULT_EVERY: Duration = Duration::from_secs(30);

/// Where certificates come from.
pub struct Source {
    kind: Kind,
    every: Duration,
}

enum Kind {
    Files(Paths),
    Kv2(Box<Kv2>),
    Pki(Box<Pki>),
}

impl Source {
    /// Takes them from the place that the settings name. Nothing is read yet.
    ///
    /// # Errors
    /// When Vault's own CA cannot be used.
    pub fn of(settings: &CertSettings) -> Result<Self, Fault> {
        let mut source = match &settings.vault {
            Some(vault) => Self::vault(vault)?,
            None => Self::files(Paths::of(settings)),
        };
        source.every = settings.reload.unwrap_or(source.every);
        Ok(source)
    }

    /// Takes them from files.
    pub fn files(paths: Paths) -> Self {
        Self { kind: Kind::Files(paths), every: FILES_EVERY }
    }

    /// Takes them from a directory: see [`Paths::in_dir`].
    pub fn dir(dir: &Path) -> Self {
        Self::files(Paths::in_dir(dir))
    }

    /// Takes them from Vault, or OpenBao: a secret, or what the PKI issues.
    ///
    /// # Errors
    /// When Vault's own CA cannot be used.
    pub fn vault(settings: &VaultSettings) -> Result<Self, Fault> {
        let client = Client::new(settings)?;
        let kind = match &settings.certificates {
            VaultCertificates::Kv2 { path } => Kind::Kv2(Box::new(Kv2::new(client, path))),
            VaultCertificates::Pki { mount, role, common_name, ttl, ca_file } => {
                let path = format!("{}/issue/{role}", mount.trim_matches('/'));
                let ca_file = ca_file.clone();
                Kind::Pki(Box::new(Pki::new(client, path, common_name, ttl.as_deref(), ca_file)))
            }
        };
        Ok(Self { kind, every: VAULT_EVERY })
    }

    /// Looks this often for new ones.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Reads all that is there at this moment and that a policy looks at. Vault issues a certificate if
    /// one is due.
    pub(crate) async fn read(&mut self, policy: &Policy, now: Timestamp) -> Result<Raw, Fault> {
        match &mut self.kind {
            Kind::Files(paths) => {
                let paths = paths.wanted_by(policy);
                let read = tokio::task::spawn_blocking(move || paths.read()).await;
                read.unwrap_or_else(|error| {
                    Err(Fault::Unreadable { of: "certificates".to_owned(), why: error.to_string() })
                })
            }
            Kind::Kv2(kv2) => kv2.read().await,
            Kind::Pki(pki) => pki.read(now).await,
        }
    }

    /// Returns how long to wait until the next reading.
    pub(crate) fn wait(&self, now: Timestamp) -> Duration {
        let due = match &self.kind {
            Kind::Files(_) => None,
            Kind::Kv2(kv2) => kv2.due(),
            Kind::Pki(pki) => pki.due(now),
        };
        due.map_or(self.every, |due| due.min(self.every))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Files(_) => "files",
            Kind::Kv2(_) => "a secret of Vault",
            Kind::Pki(_) => "the PKI of Vault",
        };
        f.debug_struct("Source").field("kind", &kind).field("every", &self.every).finish()
    }
}
