//! Certificates for a database, and for a listener, as their settings say.

use std::sync::Arc;

use brownie_config::{CertSettings, DatabaseSettings, ListenerTls, SslMode};
use brownie_domain::Clock;
use openssl::ssl::SslAcceptorBuilder;

use crate::{
    Clients, Fault, Faults, Keeper, Need, PairPaths, Paths, Policy, Proof, Source, acceptor,
};

impl Keeper {
    /// Begins to keep the certificates of connections to a database. Returns none where its settings
    /// say that there is no encryption.
    ///
    /// Files that the database's URL names come before those of `CERT_DIR`. Modes mean what libpq
    /// means by them (PostgreSQL manual, section 34.19.1), with one more condition: where nothing at
    /// all would be verified, somebody must have said that it may be so.
    ///
    /// # Errors
    /// Everything that is wrong with the certificates.
    pub async fn for_database(
        database: &DatabaseSettings,
        certs: &CertSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, Faults> {
        if database.ssl_mode == SslMode::Disable {
            return Ok(None);
        }
        let (source, policy) = Source::for_database(database, certs)?;
        let keeper = Self::start(source, policy, clock).await?;
        if keeper.current().proof() == Proof::Nothing && !database.allow_unverified_server {
            return Err(Fault::NoAuthority.into());
        }
        Ok(Some(keeper))
    }

    /// Begins to keep the certificates of a listener, and returns what it needs of them. Returns none
    /// where its settings say that there is no TLS.
    ///
    /// # Errors
    /// Everything that is wrong with the certificates.
    pub async fn for_listener(
        tls: ListenerTls,
        certs: &CertSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<(Self, SslAcceptorBuilder)>, Faults> {
        let clients = match tls {
            ListenerTls::Off => return Ok(None),
            ListenerTls::On => Clients::Anybody,
            ListenerTls::Optional => Clients::MayShow,
            ListenerTls::Mutual => Clients::MustShow,
        };
        let is_judge = clients != Clients::Anybody;
        let policy = Policy {
            ca: if is_judge { Need::Always } else { Need::IfThere },
            client: Need::Never,
            server: Need::Always,
            expected_cn: None,
            ..Policy::of(certs)
        };
        let keeper = Self::start(Source::of(certs)?, policy, clock).await?;
        let acceptor = acceptor(keeper.subscribe(), clients)?;
        Ok(Some((keeper, acceptor)))
    }
}

impl Source {
    /// Returns where the certificates of connections to a database are, and how they are judged.
    ///
    /// # Errors
    /// When Vault's own CA cannot be used.
    pub fn for_database(
        database: &DatabaseSettings,
        certs: &CertSettings,
    ) -> Result<(Self, Policy), Fault> {
        let files = &database.ssl_files;
        let must = |must: bool| if must { Need::Always } else { Need::IfThere };
        let is_vault = certs.vault.is_some();
        let is_named = is_vault || certs.named || files.ca.is_some();
        let policy = Policy {
            ca: must(is_named || database.ssl_mode == SslMode::VerifyCa),
            client: must(is_vault || files.cert.is_some() || files.key.is_some()),
            proof: match database.ssl_mode {
                SslMode::VerifyFull => Proof::Name,
                SslMode::VerifyCa => Proof::Authority,
                SslMode::Require | SslMode::Disable => Proof::Nothing,
            },
            ..Policy::of(certs)
        };
        if is_vault {
            return Ok((Source::of(certs)?, policy));
        }
        let mut paths = Paths::of(certs);
        paths.server = None;
        if files.is_system_ca {
            paths.ca = None;
        }
        if let Some(ca) = &files.ca {
            paths.ca = Some(ca.clone());
        }
        if let Some(pair) = &mut paths.client {
            *pair = PairPaths {
                chain: files.cert.clone().unwrap_or_else(|| pair.chain.clone()),
                key: files.key.clone().unwrap_or_else(|| pair.key.clone()),
            };
        }
        paths.crls.extend(files.crl.clone());
        let source = Source::files(paths);
        let source = match certs.reload {
            Some(every) => source.every(every),
            None => source,
        };
        let policy = if files.is_system_ca { Policy { ca: Need::Never, ..policy } } else { policy };
        Ok((source, policy))
    }
}
