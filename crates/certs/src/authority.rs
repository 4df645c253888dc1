//! Those who vouch for others, and the lists of what they took back.

use brownie_domain::Timestamp;
use openssl::{
    error::ErrorStack,
    stack::Stack,
    x509::{
        CrlStatus, X509, X509Crl, X509KeyUsage, X509PurposeId, X509Ref, X509StoreContext,
        store::{X509Store, X509StoreBuilder},
        verify::{X509VerifyFlags, X509VerifyParam},
    },
};

use crate::{
    facts::{full_name, moment},
    fault::Fault,
    pem::Chain,
};

/// The authorities that we believe, and their revocation lists.
#[derive(Clone)]
pub(crate) struct Authorities {
    pub(crate) of: String,
    pub(crate) certificates: Vec<X509>,
    pub(crate) crls: Vec<Crl>,
}

/// A revocation list.
#[derive(Clone)]
pub(crate) struct Crl {
    pub(crate) of: String,
    pub(crate) list: std::sync::Arc<X509Crl>,
}

/// Why no chain leads from a certificate to an authority.
pub(crate) struct Unproven {
    /// OpenSSL's number for it (`X509_V_ERR_...`).
    pub(crate) code: i32,
    /// OpenSSL's words for it.
    pub(crate) why: String,
}

/// `X509_V_ERR_INVALID_PURPOSE`.
pub(crate) const INVALID_PURPOSE: i32 = 26;

impl Authorities {
    /// Returns a store that knows all of them.
    pub(crate) fn store(&self) -> Result<X509Store, ErrorStack> {
        store(&self.certificates, None)
    }

    /// Looks for a chain to one of us (RFC 5280 section 6), at a moment or at any.
    pub(crate) fn prove(&self, chain: &Chain, at: Option<Timestamp>) -> Result<(), Unproven> {
        let mut parameters = parameters(at)?;
        parameters.set_depth(i32::try_from(crate::pem::MAX_CHAIN).unwrap_or(i32::MAX));
        verify(&self.certificates, chain, &parameters)
    }

    /// Returns whether a list is signed by one of us.
    pub(crate) fn signed(&self, crl: &Crl) -> bool {
        let issuer = crl.list.issuer_name();
        self.certificates.iter().any(|authority| {
            authority.subject_name().try_cmp(issuer).is_ok_and(std::cmp::Ordering::is_eq)
                && authority.public_key().and_then(|key| crl.list.verify(&key)).unwrap_or(false)
        })
    }

    /// Returns the list that says of a certificate that it was taken back.
    pub(crate) fn revoked_by(&self, certificate: &X509) -> Option<&Crl> {
        self.crls.iter().find(|crl| {
            let status = crl.list.get_by_cert(certificate);
            matches!(status, CrlStatus::Revoked(_)) && self.signed(crl)
        })
    }
}

impl Authorities {
    /// Returns what would be forgotten of those that are in use. A list only restricts, so one that is gone or
    /// older opens a door without a word. That of an authority which is believed no longer may go with it.
    pub(crate) fn forgets(&self, in_use: &Self) -> Option<Fault> {
        in_use.crls.iter().filter(|crl| in_use.signed(crl) && self.signed(crl)).find_map(|before| {
            let issuer = before.list.issuer_name();
            let is_successor = |crl: &&Crl| {
                crl.list.issuer_name().try_cmp(issuer).is_ok_and(std::cmp::Ordering::is_eq)
            };
            let in_use = before.made();
            match self.crls.iter().filter(is_successor).max_by_key(|crl| crl.made()) {
                None => {
                    Some(Fault::CrlMissing { of: before.of.clone(), issuer: full_name(issuer) })
                }
                Some(crl) if crl.made() < in_use => {
                    Some(Fault::CrlOlder { of: crl.of.clone(), made: crl.made(), in_use })
                }
                Some(_) => None,
            }
        })
    }
}

impl Crl {
    /// Returns when it was made (thisUpdate).
    pub(crate) fn made(&self) -> Timestamp {
        moment(self.list.last_update())
    }

    /// Returns when the next list is due, if this one says so.
    pub(crate) fn next_update(&self) -> Option<Timestamp> {
        self.list.next_update().map(moment)
    }
}

/// Asks OpenSSL whether a certificate may be used for a purpose, whoever signed it and at any time.
pub(crate) fn is_fit_for(chain: &Chain, purpose: X509PurposeId) -> bool {
    let verified = parameters(None).map_err(Unproven::from).and_then(|mut parameters| {
        parameters.set_purpose(purpose)?;
        parameters.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        verify(std::slice::from_ref(&chain.leaf), chain, &parameters)
    });
    !verified.is_err_and(|unproven| unproven.code == INVALID_PURPOSE)
}

fn parameters(at: Option<Timestamp>) -> Result<X509VerifyParam, ErrorStack> {
    let mut parameters = X509VerifyParam::new()?;
    match at {
        Some(at) => parameters.set_time(at.timestamp()),
        None => parameters.set_flags(X509VerifyFlags::NO_CHECK_TIME)?,
    }
    Ok(parameters)
}

fn store(
    authorities: &[X509],
    parameters: Option<&X509VerifyParam>,
) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        store.add_cert(authority.clone())?;
    }
    if let Some(parameters) = parameters {
        store.set_param(parameters)?;
    }
    Ok(store.build())
}

fn verify(
    authorities: &[X509],
    chain: &Chain,
    parameters: &X509VerifyParam,
) -> Result<(), Unproven> {
    let store = store(authorities, Some(parameters))?;
    let mut between = Stack::new()?;
    for certificate in &chain.rest {
        between.push(certificate.clone())?;
    }
    let mut context = X509StoreContext::new()?;
    let (verified, result) = context.init(&store, &chain.leaf, &between, |context| {
        Ok((context.verify_cert()?, context.error()))
    })?;
    if verified {
        return Ok(());
    }
    Err(Unproven { code: result.as_raw(), why: result.error_string().to_owned() })
}

impl From<ErrorStack> for Unproven {
    fn from(error: ErrorStack) -> Self {
        Self { code: 0, why: error.to_string() }
    }
}

/// Returns whether a certificate may vouch for others: it says `CA:TRUE`, and its key usage, if it has
/// one, allows to sign (RFC 5280 sections 4.2.1.3 and 4.2.1.9).
pub(crate) fn may_vouch(certificate: &X509Ref) -> bool {
    let may_sign =
        certificate.key_usage().is_none_or(|usage| usage.contains(X509KeyUsage::KEY_CERT_SIGN));
    may_sign && certificate.to_der().is_ok_and(|der| says_authority(&der).unwrap_or(false))
}

/// Finds `cA` of the basic constraints in a certificate's DER: the openssl crate does not tell.
fn says_authority(der: &[u8]) -> Option<bool> {
    const SEQUENCE: u8 = 0x30;
    const EXTENSIONS: u8 = 0xa3;
    const OBJECT_ID: u8 = 0x06;
    const OCTETS: u8 = 0x04;
    const BOOLEAN: u8 = 0x01;
    const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

    let certificate = element(der, SEQUENCE)?;
    let signed = element(certificate, SEQUENCE)?;
    let extensions = elements(signed).find(|(tag, _)| *tag == EXTENSIONS)?.1;
    let mut extensions = elements(element(extensions, SEQUENCE)?);
    let constraints = extensions.find(|(_, extension)| {
        element(extension, OBJECT_ID).is_some_and(|id| id == BASIC_CONSTRAINTS)
    })?;
    let value = elements(constraints.1).find(|(tag, _)| *tag == OCTETS)?.1;
    let constraints = element(value, SEQUENCE)?;
    Some(element(constraints, BOOLEAN).is_some_and(|is_authority| is_authority == [0xff]))
}

/// Returns what is in the first element, if it is of this kind.
fn element(der: &[u8], tag: u8) -> Option<&[u8]> {
    elements(der).next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
}

/// Returns tags and contents, one element after the other, up to the first that is broken.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [tag, first, rest @ ..] = der else { return None };
        let (length, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            // The long form: so many bytes of length follow. Four would be 4 GiB.
            let (bytes, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
            let length = bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
            (usize::try_from(length).ok().filter(|_| bytes.len() <= 4)?, rest)
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        der = rest;
        Some((*tag, contents))
    })
}
