//! Certificates that are in use: judged, and ready for whoever connects or listens.

use std::fmt;

use brownie_domain::Timestamp;
use native_tls::TlsConnector;
use openssl::{error::ErrorStack, ssl::SslContext, x509::X509};

use crate::{
    Facts, Fault, Faults, Policy, Proof, Role,
    authority::Authorities,
    connector,
    facts::moment,
    listener,
    material::{Identity, Material},
    raw::Raw,
};

/// One generation of certificates. It stays as it is; the next one is another.
pub struct Current {
    generation: u64,
    material: Material,
    connector: TlsConnector,
    pub(crate) listener: Option<SslContext>,
    proof: Proof,
    warnings: Vec<Fault>,
}

/// Certificates and keys as PEM, for clients that take nothing else.
#[derive(Debug, Clone)]
pub struct Pems {
    /// The authorities.
    pub ca: Option<String>,
    /// The client's certificate and key.
    pub client: Option<PemPair>,
    /// The server's.
    pub server: Option<PemPair>,
}

/// A certificate with its chain, and its key.
#[derive(Debug, Clone)]
pub struct PemPair {
    /// The certificate, and behind it those that lead from it to an authority.
    pub chain: String,
    /// Its key.
    pub key: PrivatePem,
}

/// A private key in PKCS#8 PEM, whatever it was before. It has no `Display`, and its `Debug` says
/// nothing.
#[derive(Clone)]
pub struct PrivatePem(String);

impl PrivatePem {
    /// Returns the key, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private key]")
    }
}

impl Current {
    /// Makes a generation of what a source holds, unless something is wrong with it.
    pub(crate) fn of(
        raw: &Raw,
        policy: &Policy,
        now: Timestamp,
        generation: u64,
    ) -> Result<Self, Faults> {
        let (material, warnings) = Material::judged(raw, policy, now)?;
        let proof = match (policy.proof, &material.ca) {
            (Proof::Nothing, Some(_)) => Proof::Authority,
            (proof, _) => proof,
        };
        let connector = connector::of(&material, proof)?;
        let listener = match &material.server {
            Some(server) => Some(listener::context(server, material.ca.as_ref())?),
            None => None,
        };
        Ok(Self { generation, material, connector, listener, proof, warnings })
    }

    /// Returns which generation this is: 1 for the first, one more for each that replaced another.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns what connects to servers. It verifies them, by our authorities alone if there are
    /// any, and shows them our certificate if there is one.
    pub fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// Returns what a server has to prove to [`connector`](Self::connector).
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Returns what the certificates say of themselves: all authorities of the bundle, or a chain
    /// with our own first. Empty if there are none.
    pub fn facts(&self, role: Role) -> Vec<Facts> {
        self.certificates(role).into_iter().map(|one| Facts::of(one)).collect()
    }

    /// Returns when the first of the certificates ends. Authorities that are over do not count: they
    /// vouch for nobody any more.
    pub fn expiry(&self, role: Role, now: Timestamp) -> Option<Timestamp> {
        let ends = self.certificates(role).into_iter().map(|one| moment(one.not_after()));
        ends.filter(|ends| role != Role::Ca || now <= *ends).min()
    }

    /// Returns when the next revocation list is due.
    pub fn next_revocation_list(&self) -> Option<Timestamp> {
        let ca = self.material.ca.as_ref()?;
        ca.crls.iter().filter_map(crate::authority::Crl::next_update).min()
    }

    /// Returns what was wrong with them when they were taken, but not wrong enough.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// Returns certificates and keys as PEM.
    ///
    /// # Errors
    /// When OpenSSL cannot write what it has read.
    pub fn pems(&self) -> Result<Pems, Fault> {
        let text = |of: &str, pem: Result<Vec<u8>, ErrorStack>| {
            let pem = pem.map_err(|error| tls(of, &error))?;
            Ok(String::from_utf8_lossy(&pem).into_owned())
        };
        let pair = |identity: &Option<Identity>| -> Result<Option<PemPair>, Fault> {
            let Some(Identity { of, key_of, chain, key, .. }) = identity else { return Ok(None) };
            let chain: Result<String, Fault> =
                chain.iter().map(|certificate| text(of, certificate.to_pem())).collect();
            let key = PrivatePem(text(key_of, key.private_key_to_pem_pkcs8())?);
            Ok(Some(PemPair { chain: chain?, key }))
        };
        let ca = self.material.ca.as_ref().map(|ca| {
            ca.certificates.iter().map(|certificate| text(&ca.of, certificate.to_pem())).collect()
        });
        let (client, server) = (pair(&self.material.client)?, pair(&self.material.server)?);
        Ok(Pems { ca: ca.transpose()?, client, server })
    }

    /// Judges them again, as time goes by.
    pub(crate) fn judge(&self, policy: &Policy, now: Timestamp) -> Vec<Fault> {
        self.material.faults(policy, now)
    }

    pub(crate) fn authorities(&self) -> Option<&Authorities> {
        self.material.ca.as_ref()
    }

    pub(crate) fn identity(&self, role: Role) -> Option<&Identity> {
        match role {
            Role::Ca => None,
            Role::Client => self.material.client.as_ref(),
            Role::Server => self.material.server.as_ref(),
        }
    }

    /// Returns whether there is something in this role.
    pub(crate) fn has(&self, role: Role) -> bool {
        match role {
            Role::Ca => self.material.ca.is_some(),
            Role::Client => self.material.client.is_some(),
            Role::Server => self.material.server.is_some(),
        }
    }

    fn certificates(&self, role: Role) -> Vec<&X509> {
        let Material { ca, client, server } = &self.material;
        let identity = match role {
            Role::Ca => return ca.iter().flat_map(|ca| &ca.certificates).collect(),
            Role::Client => client,
            Role::Server => server,
        };
        identity.iter().flat_map(|identity| identity.chain.iter()).collect()
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current")
            .field("generation", &self.generation)
            .field("client", &self.facts(Role::Client))
            .field("server", &self.facts(Role::Server))
            .finish_non_exhaustive()
    }
}

/// Says that OpenSSL refuses what passed every check.
pub(crate) fn tls(of: &str, error: &impl fmt::Display) -> Fault {
    Fault::Tls { of: of.to_owned(), why: error.to_string() }
}
