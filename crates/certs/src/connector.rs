//! What connects to servers.

use native_tls::{Certificate, Identity, Protocol, TlsConnector};
use openssl::error::ErrorStack;

use crate::{Fault, Proof, current::tls, material::Material};

/// Makes a connector: TLS 1.2 or newer, the server verified as far as it has to prove. native-tls takes keys in PKCS#8
/// alone, so all are written anew as that, in memory.
///
/// native-tls has no way to look at revocation lists: a server whose certificate was taken back is
/// believed until that ends.
pub(crate) fn of(material: &Material, proof: Proof) -> Result<TlsConnector, Fault> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    builder.danger_accept_invalid_hostnames(proof != Proof::Name);
    builder.danger_accept_invalid_certs(proof == Proof::Nothing);
    if let Some(ca) = &material.ca {
        // All of the bundle, and nobody else's.
        builder.disable_built_in_roots(true);
        for certificate in &ca.certificates {
            let der = certificate.to_der().map_err(|error| tls(&ca.of, &error))?;
            let certificate = Certificate::from_der(&der).map_err(|error| tls(&ca.of, &error))?;
            builder.add_root_certificate(certificate);
        }
    }
    if let Some(client) = &material.client {
        let pems = || -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
            let chain: Result<Vec<_>, _> =
                client.chain.iter().map(|certificate| certificate.to_pem()).collect();
            Ok((chain?.concat(), client.key.private_key_to_pem_pkcs8()?))
        };
        let (chain, key) = pems().map_err(|error| tls(&client.of, &error))?;
        let identity =
            Identity::from_pkcs8(&chain, &key).map_err(|error| tls(&client.of, &error))?;
        builder.identity(identity);
    }
    let of = material.client.as_ref().map_or("the certificates", |client| client.of.as_str());
    builder.build().map_err(|error| tls(of, &error))
}
