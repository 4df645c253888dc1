//! What a certificate says of itself.

use std::net::IpAddr;

use brownie_domain::Timestamp;
use chrono::{DateTime, TimeDelta};
use openssl::{
    asn1::{Asn1Time, Asn1TimeRef},
    hash::MessageDigest,
    nid::Nid,
    pkey::{HasPublic, Id, PKeyRef},
    stack::StackRef,
    x509::{GeneralNameRef, X509CrlRef, X509NameRef, X509Ref},
};

use crate::authority::may_vouch;

/// What a certificate says of itself. Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is: `O=Brownie, CN=brownie-server`.
    pub subject: String,
    /// The last CN of the subject, which is the name that PostgreSQL goes by.
    pub common_name: Option<String>,
    /// Who issued it.
    pub issuer: String,
    /// The names of servers and addresses it is for: `DNS:localhost`, `IP:127.0.0.1`.
    pub names: Vec<String>,
    /// Its number at its issuer, in lower-case hexadecimal.
    pub serial: String,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// What kind of key it is for: `RSA 2048`, `EC P-256`, `Ed25519`.
    pub key: String,
    /// What it may be used for: `digitalSignature`, `clientAuth`. Empty when it does not say.
    pub usages: Vec<&'static str>,
    /// Whether it may vouch for others.
    pub is_authority: bool,
    /// The SHA-256 of all of it, in lower-case hexadecimal.
    pub fingerprint: String,
}

impl Facts {
    /// Reads them. What cannot be told is empty.
    pub(crate) fn of(certificate: &X509Ref) -> Self {
        let names = certificate.subject_alt_names();
        let digest = certificate.digest(MessageDigest::sha256());
        let key = certificate.public_key();
        let serial = certificate.serial_number().to_bn().and_then(|number| number.to_hex_str());
        Self {
            subject: full_name(certificate.subject_name()),
            common_name: common_name(certificate),
            issuer: full_name(certificate.issuer_name()),
            names: names.iter().flatten().filter_map(alternative_name).collect(),
            serial: serial.map(|hex| hex.to_lowercase()).unwrap_or_default(),
            not_before: moment(certificate.not_before()),
            not_after: moment(certificate.not_after()),
            key: key.map(|key| describe(&key)).unwrap_or_default(),
            usages: usages(certificate),
            is_authority: may_vouch(certificate),
            fingerprint: digest.map(|digest| hex(&digest)).unwrap_or_default(),
        }
    }
}

/// What a revocation list says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocations {
    /// Who issued it.
    pub issuer: String,
    /// When it was issued.
    pub last_update: Timestamp,
    /// When the next is due.
    pub next_update: Option<Timestamp>,
    /// How many certificates it takes back.
    pub count: usize,
}

impl Revocations {
    /// Reads them.
    pub(crate) fn of(list: &X509CrlRef) -> Self {
        Self {
            issuer: full_name(list.issuer_name()),
            last_update: moment(list.last_update()),
            next_update: list.next_update().map(moment),
            count: list.get_revoked().map_or(0, StackRef::len),
        }
    }
}

/// Returns the name that a certificate goes by: the last CN of its subject, as PostgreSQL reads it.
pub(crate) fn common_name(certificate: &X509Ref) -> Option<String> {
    let entry = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).last()?;
    entry.data().to_string().ok()
}

/// Returns a name as people write it: `O=Brownie, CN=brownie-server`.
pub(crate) fn full_name(name: &X509NameRef) -> String {
    let part = |entry: &openssl::x509::X509NameEntryRef| {
        let key = entry.object().nid().short_name().unwrap_or("?").to_owned();
        let value = entry.data().to_string().map(|text| text.escape_debug().to_string());
        format!("{key}={}", value.unwrap_or_default())
    };
    name.entries().map(part).collect::<Vec<_>>().join(", ")
}

/// Returns a moment that a certificate names. Its precision is a second.
pub(crate) fn moment(time: &Asn1TimeRef) -> Timestamp {
    let since = Asn1Time::from_unix(0).and_then(|epoch| epoch.diff(time));
    let since = since
        .map(|since| TimeDelta::days(since.days.into()) + TimeDelta::seconds(since.secs.into()));
    // One that cannot be read is one that is over.
    since.ok().and_then(|since| DateTime::UNIX_EPOCH.checked_add_signed(since)).unwrap_or_default()
}

fn alternative_name(name: &GeneralNameRef) -> Option<String> {
    if let Some(host) = name.dnsname() {
        return Some(format!("DNS:{host}"));
    }
    if let Some(address) = name.ipaddress() {
        let address = match <[u8; 4]>::try_from(address) {
            Ok(four) => IpAddr::from(four),
            Err(_) => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        };
        return Some(format!("IP:{address}"));
    }
    name.uri()
        .map(|uri| format!("URI:{uri}"))
        .or(name.email().map(|email| format!("email:{email}")))
}

/// Names a key's kind and size.
pub(crate) fn describe<T: HasPublic>(key: &PKeyRef<T>) -> String {
    match key.id() {
        Id::RSA => format!("RSA {}", key.bits()),
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
            match curve {
                Some(Nid::X9_62_PRIME256V1) => "EC P-256".to_owned(),
                Some(Nid::SECP384R1) => "EC P-384".to_owned(),
                Some(Nid::SECP521R1) => "EC P-521".to_owned(),
                other => {
                    let name = other.and_then(|curve| curve.short_name().ok());
                    format!("EC {}", name.unwrap_or("of its own curve"))
                }
            }
        }
        Id::ED25519 => "Ed25519".to_owned(),
        _ => format!("of another kind, {} bits", key.bits()),
    }
}

fn usages(certificate: &X509Ref) -> Vec<&'static str> {
    use openssl::x509::{X509ExtendedKeyUsage as Extended, X509KeyUsage as Usage};
    let usage = certificate.key_usage();
    let extended = certificate.extended_key_usage();
    let has = |wanted| usage.is_some_and(|usage: Usage| usage.contains(wanted));
    let has_extended = |wanted| extended.is_some_and(|usage: Extended| usage.contains(wanted));
    [
        (has(Usage::DIGITAL_SIGNATURE), "digitalSignature"),
        (has(Usage::KEY_ENCIPHERMENT), "keyEncipherment"),
        (has(Usage::KEY_CERT_SIGN), "keyCertSign"),
        (has(Usage::CRL_SIGN), "cRLSign"),
        (has_extended(Extended::SSL_SERVER), "serverAuth"),
        (has_extended(Extended::SSL_CLIENT), "clientAuth"),
    ]
    .into_iter()
    .filter_map(|(has, name)| has.then_some(name))
    .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
