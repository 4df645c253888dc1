//! Looking at certificates without using them.

use std::path::{Path, PathBuf};

use brownie_domain::Clock;

use crate::{
    Facts, Fault, Policy, Source,
    facts::{Revocations, describe},
    material::Material,
    pem,
    raw::Piece,
    source::files,
};

/// What is in a file, as far as it can be read. A file may hold several of these.
#[derive(Debug, Clone, Default)]
pub struct Inspected {
    /// Which file.
    pub path: PathBuf,
    /// Its certificates, in their order.
    pub certificates: Vec<Facts>,
    /// What kind of key it holds: `RSA 2048`.
    pub key: Option<String>,
    /// Its revocation lists.
    pub revocations: Vec<Revocations>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// What a check finds.
#[derive(Debug, Clone)]
pub struct Report {
    /// What keeps the certificates from being used.
    pub faults: Vec<Fault>,
    /// What does not.
    pub warnings: Vec<Fault>,
    /// The authorities.
    pub ca: Vec<Facts>,
    /// The client's certificate, and its chain.
    pub client: Vec<Facts>,
    /// The server's certificate, and its chain.
    pub server: Vec<Facts>,
}

/// Looks into files, whatever they hold. A key's passphrase is looked for beside it
/// (`client.key.pass`).
pub fn inspect(paths: &[PathBuf]) -> Vec<Inspected> {
    paths.iter().map(|path| inspect_file(path)).collect()
}

fn inspect_file(path: &Path) -> Inspected {
    let mut inspected = Inspected { path: path.to_owned(), ..Inspected::default() };
    match files::piece(path) {
        Ok(Some(piece)) => inspected.read(&piece),
        Ok(None) => inspected.faults.push(Fault::Missing { of: path.display().to_string() }),
        Err(fault) => inspected.faults.push(fault),
    }
    inspected
}

impl Inspected {
    fn read(&mut self, piece: &Piece) {
        let certificates = pem::authorities(piece);
        let certificates = self.found(certificates).unwrap_or_default();
        self.certificates = certificates.iter().map(|one| Facts::of(one)).collect();
        let lists = pem::revocation_lists(piece);
        let lists = self.found(lists).unwrap_or_default();
        self.revocations = lists.iter().map(|list| Revocations::of(list)).collect();
        let key = files::passphrase_beside(&self.path)
            .and_then(|passphrase| pem::private_key(piece, passphrase.as_ref()));
        self.key = self.found(key).map(|key| describe(&key));
        let is_empty = self.certificates.is_empty() && self.revocations.is_empty();
        if is_empty && self.key.is_none() && self.faults.is_empty() {
            let expected = "certificate, private key or revocation list";
            self.faults.push(Fault::NotPem { of: piece.of.clone(), expected });
        }
    }

    /// Notes a fault, unless it is only that there is nothing of this kind.
    fn found<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => return Some(value),
            Err(Fault::NotPem { .. }) => {}
            Err(fault) => self.faults.push(fault),
        }
        None
    }
}

/// Reads certificates from a source once, and says all that is right and wrong with them.
///
/// # Errors
/// When the source cannot be read.
pub async fn check(
    source: &mut Source,
    policy: &Policy,
    clock: &dyn Clock,
) -> Result<Report, Fault> {
    let now = clock.now();
    let raw = source.read(policy, now).await?;
    let (material, found) = Material::examined(&raw, policy, now);
    let (warnings, faults) = policy.sort(found);
    let chain = |identity: &Option<crate::material::Identity>| {
        identity.iter().flat_map(|one| one.chain.iter()).map(|one| Facts::of(one)).collect()
    };
    let ca = material.ca.iter().flat_map(|ca| &ca.certificates).map(|one| Facts::of(one)).collect();
    let (client, server) = (chain(&material.client), chain(&material.server));
    Ok(Report { faults, warnings, ca, client, server })
}
