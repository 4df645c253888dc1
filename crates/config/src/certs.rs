//! Where certificates are, and how strict to be with them.

use std::{path::PathBuf, time::Duration};

use crate::{Reader, SecretSource, Variable, VaultSettings, vault};

const CERT_DIR: Variable = Variable {
    name: "CERT_DIR",
    aliases: &["LOCAL_CERT_DIR"],
    default: Some("/certs"),
    secret: false,
    help: "Where ca.crt, client.crt and client.key are, used as far as they exist; where this is set, ca.crt has to be there.",
};
const CERT_CA_CERT_FILE: Variable = Variable {
    name: "CERT_CA_CERT_FILE",
    aliases: &[],
    default: Some("ca.crt"),
    secret: false,
    help: "The authorities to believe, a bundle in PEM: a name in CERT_DIR, or a path.",
};
const CERT_CLIENT_CERT_FILE: Variable = Variable {
    name: "CERT_CLIENT_CERT_FILE",
    aliases: &[],
    default: Some("client.crt"),
    secret: false,
    help: "What to show to servers, with its chain: a name in CERT_DIR, or a path.",
};
const CERT_CLIENT_KEY_FILE: Variable = Variable {
    name: "CERT_CLIENT_KEY_FILE",
    aliases: &[],
    default: Some("client.key"),
    secret: false,
    help: "Its private key, RSA, EC or Ed25519 in any PEM; mode 0600, or 0640 where root owns it.",
};
const CERT_SERVER_CERT_FILE: Variable = Variable {
    name: "CERT_SERVER_CERT_FILE",
    aliases: &[],
    default: Some("server.crt"),
    secret: false,
    help: "What to show to clients, with its chain: a name in CERT_DIR, or a path.",
};
const CERT_SERVER_KEY_FILE: Variable = Variable {
    name: "CERT_SERVER_KEY_FILE",
    aliases: &[],
    default: Some("server.key"),
    secret: false,
    help: "Its private key, as CERT_CLIENT_KEY_FILE.",
};
const CERT_CRL_FILE: Variable = Variable {
    name: "CERT_CRL_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "What the authorities took back, in PEM: a name in CERT_DIR, or a path; ca.crl and crl.pem, as far as they are there, unless set.",
};
const CERT_KEY_PASSPHRASE: Variable = Variable {
    name: "CERT_KEY_PASSPHRASE",
    aliases: &[],
    default: None,
    secret: true,
    help: "The passphrase of encrypted keys; client.key.pass beside client.key is read before it.",
};
const CERT_STRICT_VALIDATION: Variable = Variable {
    name: "CERT_STRICT_VALIDATION",
    aliases: &[],
    default: Some("true"),
    secret: false,
    help: "false makes warnings of what is wrong with our own certificate and the other side judges in any case: its time, its name, its issuer, who may read its key.",
};
const CERT_EXPECTED_CN: Variable = Variable {
    name: "CERT_EXPECTED_CN",
    aliases: &[],
    default: None,
    secret: false,
    help: "The CN that our client certificate must have; any unless set.",
};
const CERT_RELOAD_SECONDS: Variable = Variable {
    name: "CERT_RELOAD_SECONDS",
    aliases: &[],
    default: None,
    secret: false,
    help: "How often to look for new certificates: 3 seconds for files, 30 for Vault, unless set.",
};
const CERT_EXPIRY_WARNING_DAYS: Variable = Variable {
    name: "CERT_EXPIRY_WARNING_DAYS",
    aliases: &[],
    default: Some("30"),
    secret: false,
    help: "How many days before its end a certificate is warned of, once a day; of one that lives shorter than four times this, the last quarter.",
};

pub(crate) static VARIABLES: &[Variable] = &[
    CERT_DIR,
    CERT_CA_CERT_FILE,
    CERT_CLIENT_CERT_FILE,
    CERT_CLIENT_KEY_FILE,
    CERT_SERVER_CERT_FILE,
    CERT_SERVER_KEY_FILE,
    CERT_CRL_FILE,
    CERT_KEY_PASSPHRASE,
    CERT_STRICT_VALIDATION,
    CERT_EXPECTED_CN,
    CERT_RELOAD_SECONDS,
    CERT_EXPIRY_WARNING_DAYS,
];

/// Where certificates are, and how strict to be with them.
#[derive(Debug, Clone)]
pub struct CertSettings {
    /// Vault, if certificates come from there.
    pub vault: Option<VaultSettings>,
    /// Where they are otherwise.
    pub files: CertFiles,
    /// Whether somebody said where that is: then the authorities have to be there.
    pub named: bool,
    /// The passphrase of encrypted keys.
    pub passphrase: Option<SecretSource>,
    /// Whether what may be a warning is an error.
    pub strict: bool,
    /// The CN that our client certificate must have.
    pub expected_cn: Option<String>,
    /// How often to look for new ones.
    pub reload: Option<Duration>,
    /// How many days before its end a certificate is warned of.
    pub warn_days: u32,
}

/// Paths of certificates. What is not there is not used.
#[derive(Debug, Clone)]
pub struct CertFiles {
    /// The authorities.
    pub ca: PathBuf,
    /// What to show to servers.
    pub client_cert: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
    /// What to show to clients.
    pub server_cert: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// What the authorities took back.
    pub crls: Vec<PathBuf>,
}

impl CertSettings {
    /// Reads the settings, for a program whose certificate has the CN `role` unless told otherwise.
    /// What is wrong is a problem of `reader`'s.
    pub fn read(reader: &mut Reader, role: &str) -> Self {
        let named = [&CERT_DIR, &CERT_CA_CERT_FILE].iter().any(|it| reader.set(it).is_some());
        let dir = PathBuf::from(reader.text(&CERT_DIR).unwrap_or_default());
        let crls = match reader.text(&CERT_CRL_FILE) {
            Some(name) => vec![dir.join(name)],
            None => vec![dir.join("ca.crl"), dir.join("crl.pem")],
        };
        let mut path = |variable| dir.join(reader.text(variable).unwrap_or_default());
        let files = CertFiles {
            ca: path(&CERT_CA_CERT_FILE),
            client_cert: path(&CERT_CLIENT_CERT_FILE),
            client_key: path(&CERT_CLIENT_KEY_FILE),
            server_cert: path(&CERT_SERVER_CERT_FILE),
            server_key: path(&CERT_SERVER_KEY_FILE),
            crls,
        };
        let passphrase = reader.secret_source(&CERT_KEY_PASSPHRASE);
        let strict = reader.parse(&CERT_STRICT_VALIDATION, "true or false").unwrap_or(true);
        let expected_cn = reader.text(&CERT_EXPECTED_CN);
        let reload = reader.seconds(&CERT_RELOAD_SECONDS);
        let days = reader.parse::<u32>(&CERT_EXPIRY_WARNING_DAYS, "a number of days");
        if days.is_some_and(|days| days > 3650) {
            reader.problem(&CERT_EXPIRY_WARNING_DAYS, "must be 0 to 3650");
        }
        let vault = vault::read(reader, role);
        let warn_days = days.unwrap_or(30);
        Self { vault, files, named, passphrase, strict, expected_cn, reload, warn_days }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> CertSettings {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let settings = CertSettings::read(&mut reader, "brownie-server");
        reader.finish().unwrap();
        settings
    }

    #[test]
    fn a_name_is_looked_for_in_the_directory_and_a_path_where_it_is() {
        let files = read(&[
            ("CERT_DIR", "/run/certs"),
            ("CERT_CLIENT_CERT_FILE", "tls.crt"),
            ("CERT_CA_CERT_FILE", "/etc/ca.pem"),
        ])
        .files;
        assert_eq!(files.client_cert, PathBuf::from("/run/certs/tls.crt"));
        assert_eq!(files.client_key, PathBuf::from("/run/certs/client.key"));
        assert_eq!(files.ca, PathBuf::from("/etc/ca.pem"));
    }

    #[test]
    fn refusing_is_the_default() {
        assert!(read(&[]).strict);
        assert!(!read(&[("CERT_STRICT_VALIDATION", "false")]).strict);
    }
}
