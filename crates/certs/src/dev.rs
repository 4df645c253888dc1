//! Certificates for development: an authority of one's own, and what it vouches for.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use brownie_domain::Timestamp;
use chrono::TimeDelta;
use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509Builder, X509Name, X509Ref,
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage,
            SubjectAlternativeName, SubjectKeyIdentifier,
        },
    },
};

/// How long they are good for: long enough not to be met in the middle of a project, short enough
/// for nobody to take them along into production.
pub const LIFETIME: TimeDelta = TimeDelta::days(730);

/// Whom there is a client's certificate for, by CN. Each is a role in PostgreSQL.
pub const CLIENTS: [&str; 4] =
    ["brownie-server", "brownie-migrator", "brownie-backup", "brownie-monitor"];

/// What servers are called: on one's own machine, in compose, and in a cluster, where a name may
/// also be written out in full.
pub const HOSTS: [&str; 10] = [
    "localhost",
    "postgres",
    "postgres-primary",
    "postgres-replica",
    "pgbouncer",
    "patroni",
    "redis",
    "brownie-metadata-server",
    "*.brownie-metadata.svc",
    "*.brownie-metadata.svc.cluster.local",
];

/// Clocks of containers differ from ours; what is made now is valid for them, too.
const BACKDATED: TimeDelta = TimeDelta::hours(1);

/// Why there are no certificates for development. Nothing was made then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// There is something already.
    #[error("{0} is there already; remove it first, or name another directory")]
    Exists(PathBuf),
    /// The system refuses.
    #[error("{path} cannot be written")]
    Write {
        /// What.
        path: PathBuf,
        /// What it says.
        #[source]
        source: io::Error,
    },
    /// OpenSSL refuses.
    #[error("OpenSSL makes no certificates")]
    OpenSsl(#[from] ErrorStack),
}

/// Makes an authority, a server's certificate and a client's for each of [`CLIENTS`], in a directory
/// that must not be there yet. EC keys on P-256: everything understands them.
///
/// ```text
/// dev-certs/ca/                ca.crt ca.key
/// dev-certs/server/            ca.crt server.crt server.key    for PostgreSQL, Redis, PgBouncer
/// dev-certs/brownie-server/    ca.crt client.crt client.key, and server.crt server.key to listen
/// dev-certs/brownie-migrator/  ca.crt client.crt client.key    each of these is a CERT_DIR
/// dev-certs/brownie-backup/    ...
/// dev-certs/brownie-monitor/   ...
/// ```
///
/// Keys have mode 0600 from the beginning. All of it is there or nothing: it is made beside its place
/// and moved there.
///
/// # Errors
/// When the directory is there already, or cannot be written.
pub fn create(dir: &Path, now: Timestamp) -> Result<(), DevError> {
    if fs::symlink_metadata(dir).is_ok() {
        return Err(DevError::Exists(dir.to_owned()));
    }
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| writing(parent, error))?;
    let made = tempfile::Builder::new().prefix(".dev-certs-").tempdir_in(parent);
    let made = made.map_err(|error| writing(parent, error))?;

    let authority = Authority::new(now)?;
    let ca = authority.certificate.to_pem()?;
    let place = |name: &str| -> Result<PathBuf, DevError> {
        let place = made.path().join(name);
        fs::create_dir(&place).map_err(|error| writing(&place, error))?;
        write(&place.join("ca.crt"), &ca, 0o644)?;
        Ok(place)
    };
    write(&place("ca")?.join("ca.key"), &authority.key.private_key_to_pem_pkcs8()?, 0o600)?;
    authority.issue(&place("server")?, "server", "localhost", now)?;
    for name in CLIENTS {
        let place = place(name)?;
        authority.issue(&place, "client", name, now)?;
        if name == "brownie-server" {
            authority.issue(&place, "server", "brownie-metadata-server", now)?;
        }
    }
    write(&made.path().join(".gitignore"), b"*\n", 0o644)?;

    // It was ours alone while it was made.
    let opened = fs::set_permissions(made.path(), Permissions::from_mode(0o755));
    opened.and_then(|()| fs::rename(made.path(), dir)).map_err(|error| writing(dir, error))?;
    // It is where it should be; there is nothing left to remove.
    let _ = made.keep();
    Ok(())
}

struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    fn new(now: Timestamp) -> Result<Self, ErrorStack> {
        let key = new_key()?;
        let subject = name("Brownie development CA")?;
        let mut builder = begin(&subject, &subject, &key, now)?;
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        let id = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(id)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { certificate: builder.build(), key })
    }

    /// Issues a certificate for a role, `client` or `server`, and writes it with its key.
    fn issue(&self, place: &Path, role: &str, cn: &str, now: Timestamp) -> Result<(), DevError> {
        let key = new_key()?;
        let certificate = self.certificate(role, cn, &key, now)?;
        write(&place.join(format!("{role}.crt")), &certificate.to_pem()?, 0o644)?;
        write(&place.join(format!("{role}.key")), &key.private_key_to_pem_pkcs8()?, 0o600)
    }

    fn certificate(
        &self,
        role: &str,
        cn: &str,
        key: &PKey<Private>,
        now: Timestamp,
    ) -> Result<X509, ErrorStack> {
        let issuer: &X509Ref = &self.certificate;
        let mut builder =
            begin(&name(cn)?, &X509Name::from_der(&issuer.subject_name().to_der()?)?, key, now)?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
        let mut usage = ExtendedKeyUsage::new();
        if role == "server" {
            let mut names = SubjectAlternativeName::new();
            for host in HOSTS {
                names.dns(host);
            }
            for address in
                [IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)]
            {
                names.ip(&address.to_string());
            }
            let names = names.build(&builder.x509v3_context(Some(issuer), None))?;
            builder.append_extension(names)?;
            usage.server_auth();
        } else {
            usage.client_auth();
        }
        builder.append_extension(usage.build()?)?;
        let context = builder.x509v3_context(Some(issuer), None);
        let id = SubjectKeyIdentifier::new().build(&context)?;
        let by = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
        builder.append_extension(id)?;
        builder.append_extension(by)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(builder.build())
    }
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

fn name(cn: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Brownie development")?;
    name.append_entry_by_nid(Nid::COMMONNAME, cn)?;
    Ok(name.build())
}

/// Begins a certificate: all but its extensions and its signature.
fn begin(
    subject: &X509Name,
    issuer: &X509Name,
    key: &PKey<Private>,
    now: Timestamp,
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    // Positive, and 20 bytes at most (RFC 5280 section 4.1.2.2).
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;
    let begins = Asn1Time::from_unix((now - BACKDATED).timestamp())?;
    let ends = Asn1Time::from_unix((now + LIFETIME).timestamp())?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&begins)?;
    builder.set_not_after(&ends)?;
    Ok(builder)
}

fn write(path: &Path, contents: &[u8], mode: u32) -> Result<(), DevError> {
    let written = || -> io::Result<()> {
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(contents)
    };
    written().map_err(|error| writing(path, error))
}

fn writing(path: &Path, source: io::Error) -> DevError {
    DevError::Write { path: path.to_owned(), source }
}
