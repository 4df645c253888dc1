//! Certificates and keys, read and judged.

use brownie_domain::Timestamp;
use openssl::{
    pkey::{Id, PKey, Private},
    x509::{X509, X509PurposeId, X509Ref},
};

use crate::{
    Fault, Need, Policy, Role,
    authority::{Authorities, Crl, is_fit_for, may_vouch},
    facts::{common_name, full_name, moment},
    pem::{self, Chain},
    raw::{Piece, Raw, RawPair},
};

/// A certificate with its chain and its key.
pub(crate) struct Identity {
    pub(crate) role: Role,
    /// What the certificate is called.
    pub(crate) of: String,
    /// What the key is called.
    pub(crate) key_of: String,
    pub(crate) chain: Chain,
    pub(crate) key: PKey<Private>,
}

/// All that is used of what a source holds.
#[derive(Default)]
pub(crate) struct Material {
    pub(crate) ca: Option<Authorities>,
    pub(crate) client: Option<Identity>,
    pub(crate) server: Option<Identity>,
}

impl Material {
    /// Reads what the policy wants of what a source holds, and judges it by a clock. Returns it with
    /// warnings, or every fault there is.
    pub(crate) fn judged(
        raw: &Raw,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(Self, Vec<Fault>), crate::Faults> {
        let (material, faults) = Self::examined(raw, policy, now);
        Ok((material, policy.divide(faults)?))
    }

    /// Reads what can be read, and returns all that is wrong, warnings included.
    pub(crate) fn examined(raw: &Raw, policy: &Policy, now: Timestamp) -> (Self, Vec<Fault>) {
        let mut faults = raw.faults.clone();
        let material = Self::read(raw, policy, &mut faults);
        faults.extend(material.faults(policy, now));
        (material, faults)
    }

    fn read(raw: &Raw, policy: &Policy, faults: &mut Vec<Fault>) -> Self {
        let mut material = Self::default();
        match (policy.ca, &raw.ca) {
            (Need::Never, _) | (Need::IfThere, None) => {}
            (Need::Always, None) => faults.push(Fault::Missing { of: raw.ca_name.clone() }),
            (_, Some(piece)) => {
                let certificates = noted(pem::authorities(piece), faults);
                let crls = raw.crls.iter().flat_map(|piece| crls(piece, faults)).collect();
                material.ca = certificates.map(|certificates| Authorities {
                    of: piece.of.clone(),
                    certificates,
                    crls,
                });
            }
        }
        material.client = identity(Role::Client, policy.client, &raw.client, faults);
        material.server = identity(Role::Server, policy.server, &raw.server, faults);
        material
    }

    /// Returns all that is wrong by a clock, warnings included.
    pub(crate) fn faults(&self, policy: &Policy, now: Timestamp) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(ca) = &self.ca {
            judge_authorities(ca, policy, now, &mut faults);
        }
        for identity in [&self.client, &self.server].into_iter().flatten() {
            judge_identity(identity, self.ca.as_ref(), policy, now, &mut faults);
        }
        faults
    }
}

fn crls(piece: &Piece, faults: &mut Vec<Fault>) -> Vec<Crl> {
    let lists = noted(pem::revocation_lists(piece), faults).unwrap_or_default();
    lists.into_iter().map(|list| Crl { of: piece.of.clone(), list: list.into() }).collect()
}

fn identity(role: Role, need: Need, raw: &RawPair, faults: &mut Vec<Fault>) -> Option<Identity> {
    let (chain_name, key_name) = raw.names.clone();
    let is_there = raw.chain.is_some() || raw.key.is_some();
    if need == Need::Never || (need == Need::IfThere && !is_there) {
        return None;
    }
    // Half a pair is a mistake even where none is needed.
    let chain = raw.chain.as_ref().ok_or(Fault::Missing { of: chain_name });
    let chain = noted(chain.and_then(pem::chain), faults);
    let key = raw.key.as_ref().ok_or(Fault::Missing { of: key_name });
    let key = key.and_then(|piece| pem::private_key(piece, raw.passphrase.as_ref()));
    let key = noted(key, faults);
    let (chain, key) = (chain?, key?);
    let (of, key_of) = (raw.chain.as_ref()?.of.clone(), raw.key.as_ref()?.of.clone());
    Some(Identity { role, of, key_of, chain, key })
}

fn noted<T>(result: Result<T, Fault>, faults: &mut Vec<Fault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

fn judge_authorities(ca: &Authorities, policy: &Policy, now: Timestamp, faults: &mut Vec<Fault>) {
    let of = || ca.of.clone();
    let ends = |certificate: &&X509| moment(certificate.not_after());
    let is_valid = |certificate: &X509| {
        moment(certificate.not_before()) <= now && now <= moment(certificate.not_after())
    };
    if !ca.certificates.iter().any(is_valid) {
        if let Some(last) = ca.certificates.iter().max_by_key(ends) {
            let (begins, ends) = (moment(last.not_before()), moment(last.not_after()));
            faults.push(Fault::NoAuthorityNow { of: of(), begins, ends, now });
        }
        return;
    }
    for certificate in &ca.certificates {
        let subject = full_name(certificate.subject_name());
        if !may_vouch(certificate) {
            faults.push(Fault::NotAuthority { of: of(), subject: subject.clone() });
        }
        let ended = moment(certificate.not_after());
        if ended < now {
            faults.push(Fault::OldAuthority { of: of(), subject, ended });
        } else {
            let named = format!("{}: the CA {subject:?}", ca.of);
            faults.extend(ending(named, certificate, policy, now));
        }
    }
    for crl in &ca.crls {
        if !ca.signed(crl) {
            let issuer = full_name(crl.list.issuer_name());
            faults.push(Fault::CrlNotSigned { of: crl.of.clone(), issuer, ca: of() });
        }
        if let Some(ended) = crl.next_update().filter(|next| *next < now) {
            faults.push(Fault::CrlExpired { of: crl.of.clone(), ended, now });
        }
    }
}

fn judge_identity(
    identity: &Identity,
    ca: Option<&Authorities>,
    policy: &Policy,
    now: Timestamp,
    faults: &mut Vec<Fault>,
) {
    let Identity { role, of, key_of, chain, key } = identity;
    let of = || of.clone();
    if !chain.leaf.public_key().is_ok_and(|public| public.public_eq(key)) {
        // Nothing else matters, and all of it would be said of the wrong certificate.
        faults.push(Fault::Mismatch { cert: of(), key: key_of.clone() });
        return;
    }
    if key.id() == Id::RSA && key.bits() < pem::MIN_RSA_BITS {
        faults.push(Fault::WeakKey { of: of(), bits: key.bits() });
    }
    let out_of_time: Vec<Fault> =
        chain.iter().filter_map(|certificate| out_of_time(of(), certificate, now)).collect();
    let is_in_time = out_of_time.is_empty();
    faults.extend(out_of_time);
    if is_in_time {
        let soonest = chain.iter().min_by_key(|certificate| moment(certificate.not_after()));
        faults.extend(soonest.and_then(|certificate| ending(of(), certificate, policy, now)));
    }
    let (purpose, needed) = match role {
        Role::Server => (X509PurposeId::SSL_SERVER, "serverAuth"),
        _ => (X509PurposeId::SSL_CLIENT, "clientAuth"),
    };
    if !is_fit_for(chain, purpose) {
        faults.push(Fault::WrongUsage { of: of(), needed });
    }
    if let (Role::Client, Some(expected)) = (role, &policy.expected_cn) {
        let found = common_name(&chain.leaf).unwrap_or_default();
        if found != *expected {
            faults.push(Fault::WrongName { of: of(), found, expected: expected.clone() });
        }
    }
    let Some(ca) = ca else { return };
    // A listener's own certificate is judged by its clients, who may believe others than we do.
    if *role == Role::Client {
        faults.extend(unproven(identity, ca, now, is_in_time));
    }
    for certificate in chain.iter() {
        if let Some(crl) = ca.revoked_by(certificate) {
            let serial = crate::facts::Facts::of(certificate).serial;
            faults.push(Fault::Revoked { of: of(), serial, crl: crl.of.clone() });
        }
    }
}

/// Says why no chain leads to an authority, or why one does, but not now.
fn unproven(
    identity: &Identity,
    ca: &Authorities,
    now: Timestamp,
    is_in_time: bool,
) -> Option<Fault> {
    let (of, in_ca) = (identity.of.clone(), ca.of.clone());
    if let Err(unproven) = ca.prove(&identity.chain, None) {
        let issuer = full_name(identity.chain.leaf.issuer_name());
        return Some(Fault::NotSigned { of, issuer, ca: in_ca, why: unproven.why });
    }
    let unproven = ca.prove(&identity.chain, Some(now)).err().filter(|_| is_in_time)?;
    Some(Fault::IssuerOutOfTime { of, ca: in_ca, why: unproven.why })
}

fn out_of_time(of: String, certificate: &X509Ref, now: Timestamp) -> Option<Fault> {
    let (begins, ended) = (moment(certificate.not_before()), moment(certificate.not_after()));
    if now < begins {
        Some(Fault::NotYetValid { of, begins, now })
    } else if ended < now {
        Some(Fault::Expired { of, ended, now })
    } else {
        None
    }
}

/// Warns of one that ends soon.
fn ending(of: String, certificate: &X509Ref, policy: &Policy, now: Timestamp) -> Option<Fault> {
    let (begins, ends) = (moment(certificate.not_before()), moment(certificate.not_after()));
    let is_soon = ends - now < policy.warn_within.min((ends - begins) / 4);
    is_soon.then_some(Fault::ExpiresSoon { of, ends, now })
}
