//! What requests are signed with: OpenSSL, which is in the house, instead of a second library.

use object_store::{
    Error, Result,
    client::{
        CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm,
    },
};
use openssl::{
    error::ErrorStack,
    hash::{DigestBytes, Hasher, MessageDigest},
    pkey::{PKey, Private},
    sign,
};

/// SHA-256, HMAC with it, and RSA signatures.
#[derive(Debug)]
pub(super) struct OpenSsl;

impl CryptoProvider for OpenSsl {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        let hasher = Hasher::new(digest(&algorithm)?).map_err(failed)?;
        Ok(Box::new(Digest { hasher, failure: None, end: None }))
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        let key = PKey::hmac(secret).map_err(failed)?;
        Ok(Box::new(Hmac {
            key,
            digest: digest(&algorithm)?,
            message: Vec::new(),
            end: Vec::new(),
        }))
    }

    fn sign(&self, algorithm: SigningAlgorithm, pem: &[u8]) -> Result<Box<dyn Signer>> {
        match algorithm {
            SigningAlgorithm::RS256 => {
                Ok(Box::new(Rsa(PKey::private_key_from_pem(pem).map_err(failed)?)))
            }
            other => Err(unknown(&other)),
        }
    }
}

fn digest(algorithm: &DigestAlgorithm) -> Result<MessageDigest> {
    match algorithm {
        DigestAlgorithm::Sha256 => Ok(MessageDigest::sha256()),
        other => Err(unknown(other)),
    }
}

fn unknown(algorithm: &dyn std::fmt::Debug) -> Error {
    Error::NotSupported { source: format!("{algorithm:?} is not known here").into() }
}

fn failed(error: ErrorStack) -> Error {
    Error::Generic { store: "OpenSSL", source: Box::new(error) }
}

struct Digest {
    hasher: Hasher,
    /// What went wrong earlier, where it could not be told.
    failure: Option<ErrorStack>,
    end: Option<DigestBytes>,
}

impl DigestContext for Digest {
    fn update(&mut self, data: &[u8]) {
        if let Err(error) = self.hasher.update(data) {
            self.failure = Some(error);
        }
    }

    fn finish(&mut self) -> Result<&[u8]> {
        if let Some(error) = self.failure.take() {
            return Err(failed(error));
        }
        let end = self.hasher.finish().map_err(failed)?;
        Ok(self.end.insert(end))
    }
}

/// Messages that are signed so are short: they are kept until the end.
struct Hmac {
    key: PKey<Private>,
    digest: MessageDigest,
    message: Vec<u8>,
    end: Vec<u8>,
}

impl HmacContext for Hmac {
    fn update(&mut self, data: &[u8]) {
        self.message.extend_from_slice(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        let mut signer = sign::Signer::new(self.digest, &self.key).map_err(failed)?;
        self.end = signer.sign_oneshot_to_vec(&self.message).map_err(failed)?;
        Ok(&self.end)
    }
}

struct Rsa(PKey<Private>);

impl Signer for Rsa {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        let mut signer = sign::Signer::new(MessageDigest::sha256(), &self.0).map_err(failed)?;
        signer.sign_oneshot_to_vec(text).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use openssl::rsa;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        let mut digest = OpenSsl.digest(DigestAlgorithm::Sha256).unwrap();
        digest.update(b"a");
        digest.update(b"bc");
        assert!(hex(digest.finish().unwrap()).starts_with("ba7816bf8f01cfea"));
        // RFC 4231, test case 2.
        let mut hmac = OpenSsl.hmac(DigestAlgorithm::Sha256, b"Jefe").unwrap();
        hmac.update(b"what do ya want ");
        hmac.update(b"for nothing?");
        assert!(hex(hmac.finish().unwrap()).starts_with("5bdcc146bf60754e6a042426089575c7"));
    }

    #[test]
    fn a_signature_is_one_of_the_key() {
        let key = PKey::from_rsa(rsa::Rsa::generate(2048).unwrap()).unwrap();
        let pem = key.private_key_to_pem_pkcs8().unwrap();
        let signature = OpenSsl.sign(SigningAlgorithm::RS256, &pem).unwrap().sign(b"text").unwrap();
        let mut verifier = sign::Verifier::new(MessageDigest::sha256(), &key).unwrap();
        assert!(verifier.verify_oneshot(&signature, b"text").unwrap());
        assert!(OpenSsl.sign(SigningAlgorithm::RS256, b"no key").is_err());
    }
}
