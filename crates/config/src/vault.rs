//! Vault, where certificates may come from.

use std::{path::PathBuf, time::Duration};

use url::Url;

use crate::{Reader, SecretSource, Variable, is_private_way};

const VAULT_ENABLED: Variable = Variable {
    name: "VAULT_ENABLED",
    aliases: &[],
    default: Some("false"),
    secret: false,
    help: "true takes certificates from Vault, or OpenBao, instead of CERT_DIR.",
};
const VAULT_ADDR: Variable = Variable {
    name: "VAULT_ADDR",
    aliases: &["VAULT_URL"],
    default: None,
    secret: false,
    help: "Where it is: https://vault.example.com:8200.",
};
const VAULT_CACERT: Variable = Variable {
    name: "VAULT_CACERT",
    aliases: &[],
    default: None,
    secret: false,
    help: "The certificates, in PEM, that alone vouch for it; the system's unless set.",
};
const VAULT_ALLOW_HTTP: Variable = Variable {
    name: "VAULT_ALLOW_HTTP",
    aliases: &[],
    default: Some("false"),
    secret: false,
    help: "true lets VAULT_ADDR begin with http:// on other machines, too. Whoever listens has the keys then.",
};
const VAULT_NAMESPACE: Variable = Variable {
    name: "VAULT_NAMESPACE",
    aliases: &[],
    default: None,
    secret: false,
    help: "The namespace in it.",
};
const VAULT_TIMEOUT_SECONDS: Variable = Variable {
    name: "VAULT_TIMEOUT_SECONDS",
    aliases: &[],
    default: Some("5"),
    secret: false,
    help: "Seconds that one answer of it may take.",
};
const VAULT_TOKEN: Variable = Variable {
    name: "VAULT_TOKEN",
    aliases: &[],
    default: None,
    secret: true,
    help: "The token to read with. VAULT_TOKEN_FILE is read again when the token in it is replaced. Set this, VAULT_ROLE_ID or VAULT_KUBERNETES_ROLE.",
};
const VAULT_ROLE_ID: Variable = Variable {
    name: "VAULT_ROLE_ID",
    aliases: &[],
    default: None,
    secret: false,
    help: "Logs in by AppRole, with VAULT_SECRET_ID.",
};
const VAULT_SECRET_ID: Variable = Variable {
    name: "VAULT_SECRET_ID",
    aliases: &[],
    default: None,
    secret: true,
    help: "The secret of that AppRole. VAULT_SECRET_ID_FILE is read at each log-in.",
};
const VAULT_KUBERNETES_ROLE: Variable = Variable {
    name: "VAULT_KUBERNETES_ROLE",
    aliases: &[],
    default: None,
    secret: false,
    help: "Logs in by Kubernetes, as this role, with the pod's own token.",
};
const VAULT_KUBERNETES_TOKEN_PATH: Variable = Variable {
    name: "VAULT_KUBERNETES_TOKEN_PATH",
    aliases: &[],
    default: Some("/var/run/secrets/kubernetes.io/serviceaccount/token"),
    secret: false,
    help: "Where the pod's own token is.",
};
const VAULT_AUTH_MOUNT: Variable = Variable {
    name: "VAULT_AUTH_MOUNT",
    aliases: &[],
    default: None,
    secret: false,
    help: "Where the log-in is mounted in Vault; approle or kubernetes unless set.",
};
const VAULT_CERT_PATH: Variable = Variable {
    name: "VAULT_CERT_PATH",
    aliases: &[],
    default: Some("secret/brownie-metadata/certs"),
    secret: false,
    help: "The KV v2 secret with ca_cert, client_cert and client_key (or server_cert, server_key) in PEM or base64: with or without its mount (secret unless named) and data/.",
};
const VAULT_PKI_ROLE: Variable = Variable {
    name: "VAULT_PKI_ROLE",
    aliases: &[],
    default: None,
    secret: false,
    help: "Instead of reading VAULT_CERT_PATH, has Vault issue a certificate by this role, anew at two thirds of its life. The key is never on a disk.",
};
const VAULT_PKI_MOUNT: Variable = Variable {
    name: "VAULT_PKI_MOUNT",
    aliases: &[],
    default: Some("pki"),
    secret: false,
    help: "Where the PKI is mounted.",
};
const VAULT_PKI_TTL: Variable = Variable {
    name: "VAULT_PKI_TTL",
    aliases: &[],
    default: None,
    secret: false,
    help: "How long an issued certificate lives, such as 24h; the role's own unless set.",
};
const VAULT_PKI_CN: Variable = Variable {
    name: "VAULT_PKI_CN",
    aliases: &[],
    default: None,
    secret: false,
    help: "The CN to have issued; that of the program's role (brownie-server) unless set.",
};
const VAULT_PKI_CA_FILE: Variable = Variable {
    name: "VAULT_PKI_CA_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "The authorities to believe, a bundle in PEM; those that issued our certificate unless set.",
};

pub(crate) static VARIABLES: &[Variable] = &[
    VAULT_ENABLED,
    VAULT_ADDR,
    VAULT_CACERT,
    VAULT_ALLOW_HTTP,
    VAULT_NAMESPACE,
    VAULT_TIMEOUT_SECONDS,
    VAULT_TOKEN,
    VAULT_ROLE_ID,
    VAULT_SECRET_ID,
    VAULT_KUBERNETES_ROLE,
    VAULT_KUBERNETES_TOKEN_PATH,
    VAULT_AUTH_MOUNT,
    VAULT_CERT_PATH,
    VAULT_PKI_ROLE,
    VAULT_PKI_MOUNT,
    VAULT_PKI_TTL,
    VAULT_PKI_CN,
    VAULT_PKI_CA_FILE,
];

/// Vault, and what to ask it for.
#[derive(Debug, Clone)]
pub struct VaultSettings {
    /// Where it is. The way there is private, or somebody said that it need not be.
    pub address: Url,
    /// The certificates that alone vouch for it.
    pub ca_file: Option<PathBuf>,
    /// The namespace in it.
    pub namespace: Option<String>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Who we are to it.
    pub auth: VaultAuth,
    /// What it has for us.
    pub certificates: VaultCertificates,
}

/// Who we are to Vault.
#[derive(Debug, Clone)]
pub enum VaultAuth {
    /// Whoever the token was made for.
    Token(SecretSource),
    /// A program, by name and password.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// Its name.
        role_id: String,
        /// Its password.
        secret_id: SecretSource,
    },
    /// A pod.
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        /// The role that Vault knows pods like us by.
        role: String,
        /// Where the pod's own token is.
        token_path: PathBuf,
    },
}

/// What Vault has for us.
#[derive(Debug, Clone)]
pub enum VaultCertificates {
    /// A secret of a KV version 2 engine.
    Kv2 {
        /// Its path, as somebody wrote it.
        path: String,
    },
    /// What its PKI engine issues.
    Pki {
        /// Where the engine is mounted.
        mount: String,
        /// By which role.
        role: String,
        /// To whom.
        common_name: String,
        /// How long it lives, as Vault writes it: `24h`.
        ttl: Option<String>,
        /// The authorities to believe.
        ca_file: Option<PathBuf>,
    },
}

/// Reads the settings of Vault, if certificates come from there.
pub(crate) fn read(reader: &mut Reader, role: &str) -> Option<VaultSettings> {
    if !reader.parse::<bool>(&VAULT_ENABLED, "true or false")? {
        return None;
    }
    let address = address(reader);
    let ca_file = reader.text(&VAULT_CACERT).map(PathBuf::from);
    let namespace = reader.text(&VAULT_NAMESPACE);
    let timeout = reader.seconds(&VAULT_TIMEOUT_SECONDS);
    let auth = auth(reader);
    let certificates = match reader.text(&VAULT_PKI_ROLE) {
        None => VaultCertificates::Kv2 { path: reader.text(&VAULT_CERT_PATH).unwrap_or_default() },
        Some(pki_role) => VaultCertificates::Pki {
            mount: reader.text(&VAULT_PKI_MOUNT).unwrap_or_default(),
            role: pki_role,
            common_name: reader.text(&VAULT_PKI_CN).unwrap_or_else(|| role.to_owned()),
            ttl: reader.text(&VAULT_PKI_TTL),
            ca_file: reader.text(&VAULT_PKI_CA_FILE).map(PathBuf::from),
        },
    };
    let (address, auth, timeout) = (address?, auth?, timeout?);
    Some(VaultSettings { address, ca_file, namespace, timeout, auth, certificates })
}

fn address(reader: &mut Reader) -> Option<Url> {
    let allow_http = reader.parse::<bool>(&VAULT_ALLOW_HTTP, "true or false").unwrap_or_default();
    let text = reader.text(&VAULT_ADDR);
    let fault = match text.as_deref().map(Url::parse) {
        Some(Ok(url)) if is_private_way(&url) => return Some(url),
        Some(Ok(url)) if url.scheme() == "http" && url.has_host() && allow_http => {
            return Some(url);
        }
        Some(Ok(url)) if url.scheme() == "http" => {
            "must begin with https:// (http:// on this machine only, or with VAULT_ALLOW_HTTP=true)"
        }
        Some(_) => "must be a URL such as https://vault.example.com:8200",
        None => "must be set when VAULT_ENABLED is true",
    };
    reader.problem(&VAULT_ADDR, fault);
    None
}

fn auth(reader: &mut Reader) -> Option<VaultAuth> {
    let token = reader.secret_source(&VAULT_TOKEN);
    let role_id = reader.text(&VAULT_ROLE_ID);
    let secret_id = reader.secret_source(&VAULT_SECRET_ID);
    let kubernetes = reader.text(&VAULT_KUBERNETES_ROLE);
    let mount = reader.text(&VAULT_AUTH_MOUNT);
    let mounted = |default: &str| mount.unwrap_or_else(|| default.to_owned());
    match (token, role_id, kubernetes) {
        (Some(token), None, None) => Some(VaultAuth::Token(token)),
        (None, Some(role_id), None) => {
            let Some(secret_id) = secret_id else {
                reader.problem(&VAULT_SECRET_ID, "must be set, too, when VAULT_ROLE_ID is");
                return None;
            };
            Some(VaultAuth::AppRole { mount: mounted("approle"), role_id, secret_id })
        }
        (None, None, Some(role)) => {
            let token_path = reader.text(&VAULT_KUBERNETES_TOKEN_PATH).unwrap_or_default().into();
            Some(VaultAuth::Kubernetes { mount: mounted("kubernetes"), role, token_path })
        }
        _ => {
            let said = "must be set, or VAULT_ROLE_ID, or VAULT_KUBERNETES_ROLE: one of the three";
            reader.problem(&VAULT_TOKEN, said);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENABLED: (&str, &str) = ("VAULT_ENABLED", "true");
    const TOKEN: (&str, &str) = ("VAULT_TOKEN", "hunter2");
    const ADDRESS: (&str, &str) = ("VAULT_ADDR", "https://vault:8200");

    fn read(values: &[(&str, &str)]) -> (Option<VaultSettings>, String) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let settings = super::read(&mut reader, "brownie-server");
        let shown = format!("{settings:?} {:?}", reader.effective());
        assert!(!shown.contains("hunter2"), "{shown}");
        (settings, reader.finish().map_or_else(|problems| problems.to_string(), |()| String::new()))
    }

    #[test]
    fn vault_is_asked_only_if_somebody_says_so() {
        assert!(read(&[TOKEN, ADDRESS]).0.is_none());
        assert!(read(&[ENABLED, TOKEN, ADDRESS]).0.is_some());
    }

    #[test]
    fn a_role_of_the_pki_has_certificates_issued_to_the_program() {
        let (settings, _) = read(&[ENABLED, TOKEN, ADDRESS, ("VAULT_PKI_ROLE", "brownie")]);
        let VaultCertificates::Pki { common_name, mount, .. } = settings.unwrap().certificates
        else {
            panic!("not the PKI")
        };
        assert_eq!((common_name.as_str(), mount.as_str()), ("brownie-server", "pki"));
    }

    #[test]
    fn a_way_on_which_others_listen_is_taken_only_if_somebody_says_so() {
        let far = ("VAULT_URL", "http://vault:8200");
        assert!(read(&[ENABLED, TOKEN, far]).1.contains("VAULT_ADDR must begin with https://"));
        assert_eq!(read(&[ENABLED, TOKEN, far, ("VAULT_ALLOW_HTTP", "true")]).1, "");
        assert_eq!(read(&[ENABLED, TOKEN, ("VAULT_URL", "http://127.0.0.1:8200")]).1, "");
        let odd = [ENABLED, TOKEN, ("VAULT_ADDR", "vault:8200"), ("VAULT_ALLOW_HTTP", "true")];
        assert!(read(&odd).1.contains("VAULT_ADDR must be a URL"));
    }

    #[test]
    fn there_is_one_way_to_log_in() {
        for values in [
            vec![ENABLED, ADDRESS],
            vec![ENABLED, ADDRESS, TOKEN, ("VAULT_ROLE_ID", "r")],
            vec![ENABLED, ADDRESS, TOKEN, ("VAULT_KUBERNETES_ROLE", "r")],
        ] {
            let problems = read(&values).1;
            assert!(problems.contains("VAULT_TOKEN must be set, or"), "{problems}");
        }
        let half = read(&[ENABLED, ADDRESS, ("VAULT_ROLE_ID", "r")]).1;
        assert!(half.contains("VAULT_SECRET_ID must be set, too"), "{half}");
    }
}
