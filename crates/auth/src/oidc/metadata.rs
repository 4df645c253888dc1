//! What an issuer says about itself (OpenID Connect Discovery 1.0).

use brownie_config::is_private_way;
use serde::Deserialize;
use url::Url;

use super::error::IssuerFault;

/// Where the issuer does what.
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) secret_goes: SecretGoes,
}

/// Where our secret goes when a code is exchanged, if we have one (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretGoes {
    /// Into a header: `client_secret_basic`.
    IntoHeader,
    /// Into the form: `client_secret_post`.
    IntoForm,
    /// Nowhere: it takes neither.
    Nowhere,
}

/// The document, as far as it is read.
#[derive(Deserialize)]
pub(super) struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Returns where the document is (section 4).
    pub(super) fn place(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }

    /// Takes the document of an issuer. It must name itself letter for letter (section 4.3):
    /// otherwise one issuer could speak for another. What we send secrets to must be https, or on
    /// this machine if the issuer is.
    pub(super) fn of(issuer: &str, document: &Document) -> Result<Self, IssuerFault> {
        if document.issuer != issuer {
            let called: String = document.issuer.chars().take(200).collect();
            let said = format!("it calls itself {called:?}, not {issuer:?}");
            return Err(IssuerFault::Nonsense(said));
        }
        let is_here = issuer.starts_with("http://");
        let endpoint = |what: &str, text: &str| match Url::parse(text) {
            Ok(url) if url.scheme() == "https" || (is_here && is_private_way(&url)) => Ok(url),
            _ => Err(IssuerFault::Nonsense(format!("its {what} is not an https:// URL"))),
        };
        let takes = |method: &str| match &document.token_endpoint_auth_methods_supported {
            Some(methods) => methods.iter().any(|supported| supported == method),
            None => method == "client_secret_basic",
        };
        Ok(Self {
            authorization_endpoint: endpoint(
                "authorization_endpoint",
                &document.authorization_endpoint,
            )?,
            token_endpoint: endpoint("token_endpoint", &document.token_endpoint)?,
            jwks_uri: endpoint("jwks_uri", &document.jwks_uri)?,
            userinfo_endpoint: document
                .userinfo_endpoint
                .as_deref()
                .map(|url| endpoint("userinfo_endpoint", url))
                .transpose()?,
            secret_goes: if takes("client_secret_basic") {
                SecretGoes::IntoHeader
            } else if takes("client_secret_post") {
                SecretGoes::IntoForm
            } else {
                SecretGoes::Nowhere
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.example.com/tenant";

    fn read(issuer: &str, member: &str, value: Value) -> Result<Metadata, IssuerFault> {
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://id.example.com/authorize",
            "token_endpoint": "https://token.example.com/",
            "jwks_uri": "https://id.example.com/keys",
        });
        document[member] = value;
        Metadata::of(issuer, &serde_json::from_value(document).unwrap())
    }

    #[test]
    fn the_place_is_below_the_issuer() {
        let place = "https://id.example.com/tenant/.well-known/openid-configuration";
        assert_eq!(Metadata::place(ISSUER), place);
        assert_eq!(Metadata::place(&format!("{ISSUER}/")), place);
    }

    #[test]
    fn an_issuer_speaks_for_itself_only() {
        assert!(read(ISSUER, "issuer", json!(ISSUER)).is_ok());
        for other in ["https://id.example.com/tenant/", "https://ID.example.com/tenant", ""] {
            assert!(read(ISSUER, "issuer", json!(other)).is_err(), "{other}");
        }
    }

    #[test]
    fn no_secret_goes_where_others_listen() {
        for member in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"]
        {
            for url in ["http://id.example.com/x", "http://127.0.0.1/x", "file:///x", "/x", ""] {
                let Err(fault) = read(ISSUER, member, json!(url)) else { panic!("{member} {url}") };
                assert!(fault.to_string().contains(&format!("its {member} is not")), "{fault}");
            }
            // An issuer on this machine may be anywhere on it.
            assert!(read("http://127.0.0.1:9", member, json!("http://[::1]:8/x")).is_ok());
            assert!(read("http://127.0.0.1:9", member, json!("http://10.0.0.1/x")).is_err());
        }
    }

    #[test]
    fn the_secret_goes_where_the_issuer_looks_for_it() {
        let goes = |methods: Value| {
            read(ISSUER, "token_endpoint_auth_methods_supported", methods).unwrap().secret_goes
        };
        assert_eq!(goes(Value::Null), SecretGoes::IntoHeader);
        let both = json!(["client_secret_post", "client_secret_basic"]);
        assert_eq!(goes(both), SecretGoes::IntoHeader);
        assert_eq!(goes(json!(["none", "client_secret_post"])), SecretGoes::IntoForm);
        assert_eq!(goes(json!(["private_key_jwt"])), SecretGoes::Nowhere);
    }
}
