//! Certificates good and bad, made when they are needed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use brownie_certs::{Need, Policy, Proof};
use brownie_domain::{Clock, SystemClock, Timestamp};
use chrono::TimeDelta;
use openssl::{
    asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time},
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{
        X509, X509Crl, X509CrlBuilder, X509Extension, X509Name, X509RevokedBuilder,
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage,
            SubjectAlternativeName, SubjectKeyIdentifier,
        },
    },
};

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Needs an authority and a client's certificate.
pub(crate) fn mutual() -> Policy {
    Policy {
        proof: Proof::Name,
        ca: Need::Always,
        client: Need::Always,
        server: Need::Never,
        expected_cn: None,
        strict: true,
        warn_within: TimeDelta::days(30),
    }
}

/// Needs all three.
pub(crate) fn listening() -> Policy {
    Policy { server: Need::Always, ..mutual() }
}

pub(crate) fn ec() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// Slow to make, so the tests share it.
pub(crate) fn rsa() -> PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()).clone()
}

pub(crate) fn ed25519() -> PKey<Private> {
    PKey::generate_ed25519().unwrap()
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// What a certificate should be like.
#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) cn: &'static str,
    pub(crate) key: PKey<Private>,
    pub(crate) begins: TimeDelta,
    pub(crate) ends: TimeDelta,
    pub(crate) usage: &'static str,
    pub(crate) is_ca: bool,
}

pub(crate) fn wish(cn: &'static str, usage: &'static str) -> Wish {
    let (begins, ends) = (TimeDelta::hours(-1), TimeDelta::days(365));
    Wish { cn, key: ec(), begins, ends, usage, is_ca: false }
}

/// An authority.
#[derive(Clone)]
pub(crate) struct Ca(pub(crate) Pair);

impl Ca {
    pub(crate) fn new(cn: &'static str) -> Self {
        Self::wished(&Wish { is_ca: true, ..wish(cn, "") })
    }

    pub(crate) fn wished(wish: &Wish) -> Self {
        Self(Pair { certificate: make(wish, None), key: wish.key.clone() })
    }

    pub(crate) fn issue(&self, wish: &Wish) -> Pair {
        Pair { certificate: make(wish, Some(&self.0)), key: wish.key.clone() }
    }

    pub(crate) fn client(&self, cn: &'static str) -> Pair {
        self.issue(&wish(cn, "client"))
    }

    pub(crate) fn server(&self) -> Pair {
        self.issue(&wish("localhost", "server"))
    }

    pub(crate) fn pem(&self) -> String {
        pem(&self.0.certificate)
    }

    /// Returns a list that takes these back, and that should be replaced after `ends`.
    pub(crate) fn revoke(&self, certificates: &[&X509], ends: TimeDelta) -> String {
        let begins = if ends < TimeDelta::zero() { ends * 2 } else { TimeDelta::hours(-1) };
        self.revoke_since(certificates, begins, ends)
    }

    /// The same, made at a moment.
    pub(crate) fn revoke_since(
        &self,
        certificates: &[&X509],
        begins: TimeDelta,
        ends: TimeDelta,
    ) -> String {
        let mut builder = X509CrlBuilder::new().unwrap();
        builder.set_issuer_name(self.0.certificate.subject_name()).unwrap();
        builder.set_last_update(&time(begins)).unwrap();
        builder.set_next_update(&time(ends)).unwrap();
        for certificate in certificates {
            let mut revoked = X509RevokedBuilder::new().unwrap();
            revoked.set_serial_number(certificate.serial_number()).unwrap();
            revoked.set_revocation_date(&time(begins)).unwrap();
            builder.add_revoked(revoked.build()).unwrap();
        }
        // RFC 5280 section 5.2 wants both.
        let any = X509::builder().unwrap();
        let context = any.x509v3_context(Some(&self.0.certificate), None);
        let by = AuthorityKeyIdentifier::new().keyid(true).build(&context).unwrap();
        builder.append_extension(by).unwrap();
        let number = Asn1OctetString::new_from_bytes(&[2, 1, 1]).unwrap();
        let id = Asn1Object::from_str("2.5.29.20").unwrap();
        builder
            .append_extension(X509Extension::new_from_der(&id, false, &number).unwrap())
            .unwrap();
        builder.sort().unwrap();
        builder.sign(&self.0.key, MessageDigest::sha256()).unwrap();
        let crl: X509Crl = builder.build().unwrap();
        String::from_utf8(crl.to_pem().unwrap()).unwrap()
    }
}

fn make(wish: &Wish, issuer: Option<&Pair>) -> X509 {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Acme").unwrap();
    if !wish.cn.is_empty() {
        name.append_entry_by_nid(Nid::COMMONNAME, wish.cn).unwrap();
    }
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_pubkey(&wish.key).unwrap();
    builder.set_not_before(&time(wish.begins)).unwrap();
    builder.set_not_after(&time(wish.ends)).unwrap();
    let by = issuer.map(|issuer| issuer.certificate.clone());
    match &by {
        Some(by) => builder.set_issuer_name(by.subject_name()).unwrap(),
        None => builder.set_issuer_name(&name).unwrap(),
    }
    if wish.is_ca {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap();
        builder.append_extension(usage).unwrap();
    }
    let usage = match wish.usage {
        "client" => Some(ExtendedKeyUsage::new().client_auth().build().unwrap()),
        "server" => Some(ExtendedKeyUsage::new().server_auth().build().unwrap()),
        _ => None,
    };
    if let Some(usage) = usage {
        builder.append_extension(usage).unwrap();
    }
    let context = builder.x509v3_context(by.as_deref(), None);
    let names = (wish.usage == "server").then(|| {
        SubjectAlternativeName::new().dns("localhost").ip("127.0.0.1").build(&context).unwrap()
    });
    let id = SubjectKeyIdentifier::new().build(&context).unwrap();
    let of =
        by.is_some().then(|| AuthorityKeyIdentifier::new().keyid(true).build(&context).unwrap());
    for extension in names.into_iter().chain([id]).chain(of) {
        builder.append_extension(extension).unwrap();
    }
    let key = issuer.map_or(&wish.key, |issuer| &issuer.key);
    let digest = match key.id() {
        openssl::pkey::Id::ED25519 => MessageDigest::null(),
        _ => MessageDigest::sha256(),
    };
    builder.sign(key, digest).unwrap();
    builder.build()
}

fn serial() -> Asn1Integer {
    let mut serial = BigNum::new().unwrap();
    serial.rand(127, MsbOption::MAYBE_ZERO, false).unwrap();
    serial.to_asn1_integer().unwrap()
}

fn time(from_now: TimeDelta) -> Asn1Time {
    Asn1Time::from_unix((now() + from_now).timestamp()).unwrap()
}

pub(crate) fn pem(certificate: &X509) -> String {
    String::from_utf8(certificate.to_pem().unwrap()).unwrap()
}

pub(crate) fn key_pem(key: &PKey<Private>) -> String {
    String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap()
}

/// A directory of certificates.
pub(crate) struct Dir(pub(crate) tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Holds what a client needs.
    pub(crate) fn of(ca: &str, client: &Pair) -> Self {
        let dir = Self::new();
        dir.put("ca.crt", ca);
        dir.put_pair("client", client);
        dir
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a file there in one step. A key is private.
    pub(crate) fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        put(self.path(), name, text.as_ref());
    }

    pub(crate) fn put_pair(&self, role: &str, pair: &Pair) {
        self.put(&format!("{role}.crt"), pem(&pair.certificate));
        self.put(&format!("{role}.key"), key_pem(&pair.key));
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

pub(crate) fn put(dir: &Path, name: &str, text: &[u8]) {
    let beside = dir.join(format!(".{name}.new"));
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(beside, dir.join(name)).unwrap();
}
