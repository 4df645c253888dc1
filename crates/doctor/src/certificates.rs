//! The certificates of connections to the database, and what is said of any.

use std::sync::{Arc, OnceLock};

use brownie_certs::{Fault, Faults, Keeper, Proof, Role};
use brownie_config::{CertSettings, DatabaseSettings};
use brownie_domain::{Clock, SystemClock, Timestamp};
use native_tls::TlsConnector;

use crate::{Check, Finding};

pub(crate) const CERTIFICATES: &str = "database.certificates";

/// The certificates of connections to the database, from when a check has found that they can be used.
#[derive(Debug, Clone, Default)]
pub struct Keepers(Arc<OnceLock<Option<Arc<Keeper>>>>);

impl Keepers {
    /// Returns them; none where connections are not encrypted, or before the check.
    pub fn keeper(&self) -> Option<Arc<Keeper>> {
        self.0.get().cloned().flatten()
    }

    /// Returns what connects with them.
    pub fn connector(&self) -> Option<TlsConnector> {
        self.keeper().map(|keeper| keeper.current().connector().clone())
    }
}

/// Looks at the certificates of connections to the database, as a program that uses them does. Where
/// Vault issues certificates, it issues one for this.
pub fn certificates(database: &DatabaseSettings, certs: &CertSettings) -> (Check, Keepers) {
    let keepers = Keepers::default();
    let (found, database, certs) = (keepers.clone(), database.clone(), certs.clone());
    let check = Check::new(&[CERTIFICATES], move |progress| async move {
        progress.at("reading certificates");
        let keeper = Keeper::for_database(&database, &certs, Arc::new(SystemClock)).await;
        vec![match keeper {
            Ok(Some(keeper)) => {
                let finding = described(CERTIFICATES, Role::Client, &keeper, SystemClock.now());
                let _ = found.0.set(Some(Arc::new(keeper)));
                finding
            }
            Ok(None) => {
                let _ = found.0.set(None);
                Finding::ok(CERTIFICATES, "none, as sslmode=disable or a socket says")
            }
            Err(faults) => refused(CERTIFICATES, &faults),
        }]
    });
    (check, keepers)
}

/// Says how certificates are that can be used.
pub fn described(name: &'static str, role: Role, keeper: &Keeper, now: Timestamp) -> Finding {
    let current = keeper.current();
    let own = current.facts(role).into_iter().next();
    let mut found = match own {
        Some(own) => {
            let days = (own.not_after - now).num_days();
            format!("{}, valid until {}, {days} days", own.subject, own.not_after.to_rfc3339())
        }
        None => "none of our own; authorities only".to_owned(),
    };
    if role == Role::Client && current.proof() == Proof::Nothing {
        let found = format!("{found}; whoever is in between can be the server");
        return Finding::warning(name, found, "name a CA and use sslmode=verify-full");
    }
    if role == Role::Client
        && let Some(end) = current.expiry(Role::Ca, now)
    {
        found.push_str(&format!("; the authorities until {}", end.to_rfc3339()));
    }
    let warnings: Vec<&Fault> = current.warnings().iter().collect();
    if warnings.is_empty() {
        return Finding::ok(name, found);
    }
    let words: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    Finding::warning(name, format!("{found}\n{}", words.join("\n")), remedies(&warnings))
}

/// Says why certificates are not used.
pub fn refused(name: &'static str, faults: &Faults) -> Finding {
    let faults: Vec<&Fault> = faults.iter().collect();
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Finding::failed(name, words.join("\n"), remedies(&faults))
}

fn remedies(faults: &[&Fault]) -> String {
    let mut all: Vec<&str> = faults.iter().map(|fault| remedy(fault)).collect();
    all.sort_unstable();
    all.dedup();
    all.join("; ")
}

fn remedy(fault: &Fault) -> &'static str {
    match fault {
        Fault::Expired { .. } | Fault::ExpiresSoon { .. } => {
            "have it issued anew and put it in its place; programs take it up without a restart"
        }
        Fault::NotYetValid { .. } => "set the clock of this machine, or wait",
        Fault::Open { .. } => "chmod 600 the key, and replace it if others may have read it",
        Fault::Missing { .. } => {
            "put it there, or correct CERT_DIR or the URL's sslcert, sslkey and sslrootcert"
        }
        Fault::Mismatch { .. } => "put certificate and key of the same pair there",
        Fault::NotSigned { .. } => "take certificate and ca.crt from the same authority",
        _ => "see `brownie-migrator certs check` and docs/certificates.md",
    }
}
