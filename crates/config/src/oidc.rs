//! Who else vouches for people: an issuer of OpenID Connect.

use std::path::PathBuf;

use url::{Host, Url};

use crate::{Reader, Secret, Variable};

const METADATA_OIDC_ISSUER: Variable = Variable {
    name: "METADATA_OIDC_ISSUER",
    aliases: &[],
    default: None,
    secret: false,
    help: "The issuer of OpenID Connect that people log in by, exactly as it writes itself: https://id.example.com. Without it, or METADATA_OKTA_DOMAIN, there are passwords only.",
};
const METADATA_OKTA_DOMAIN: Variable = Variable {
    name: "METADATA_OKTA_DOMAIN",
    aliases: &[],
    default: None,
    secret: false,
    help: "Instead of METADATA_OIDC_ISSUER, a domain of Okta: dev-1234.okta.com. The issuer is https://<domain>/oauth2/default.",
};
const METADATA_OIDC_CLIENT_ID: Variable = Variable {
    name: "METADATA_OIDC_CLIENT_ID",
    aliases: &[],
    default: None,
    secret: false,
    help: "Our name at the issuer.",
};
const METADATA_OKTA_CLIENT_ID: Variable = Variable {
    name: "METADATA_OKTA_CLIENT_ID",
    aliases: &[],
    default: None,
    secret: false,
    help: "The same as METADATA_OIDC_CLIENT_ID; set one.",
};
const METADATA_OIDC_CLIENT_SECRET: Variable = Variable {
    name: "METADATA_OIDC_CLIENT_SECRET",
    aliases: &[],
    default: None,
    secret: true,
    help: "Our password at the issuer; a public client has none.",
};
const METADATA_OKTA_CLIENT_SECRET: Variable = Variable {
    name: "METADATA_OKTA_CLIENT_SECRET",
    aliases: &[],
    default: None,
    secret: true,
    help: "The same as METADATA_OIDC_CLIENT_SECRET; set one.",
};
const METADATA_OIDC_REDIRECT_URI: Variable = Variable {
    name: "METADATA_OIDC_REDIRECT_URI",
    aliases: &[],
    default: None,
    secret: false,
    help: "Where the issuer sends people back to, as registered there: https://brownie.example.com/api/v1/okta/callback.",
};
const METADATA_OIDC_SCOPES: Variable = Variable {
    name: "METADATA_OIDC_SCOPES",
    aliases: &[],
    default: Some("openid,profile,email"),
    secret: false,
    help: "What the issuer is asked for, separated by commas or spaces; openid is among it.",
};
const METADATA_OIDC_AUDIENCE: Variable = Variable {
    name: "METADATA_OIDC_AUDIENCE",
    aliases: &[],
    default: None,
    secret: false,
    help: "The audience of access tokens that the issuer makes for this API: api://default. Unless set, only its ID tokens are taken as bearer tokens.",
};
const METADATA_OIDC_CA_FILE: Variable = Variable {
    name: "METADATA_OIDC_CA_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "The certificates, in PEM, that alone vouch for the issuer's server; the system's unless set.",
};

pub(crate) static VARIABLES: &[Variable] = &[
    METADATA_OIDC_ISSUER,
    METADATA_OKTA_DOMAIN,
    METADATA_OIDC_CLIENT_ID,
    METADATA_OKTA_CLIENT_ID,
    METADATA_OIDC_CLIENT_SECRET,
    METADATA_OKTA_CLIENT_SECRET,
    METADATA_OIDC_REDIRECT_URI,
    METADATA_OIDC_SCOPES,
    METADATA_OIDC_AUDIENCE,
    METADATA_OIDC_CA_FILE,
];

/// An issuer of OpenID Connect, and what we are to it.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The issuer, letter for letter as it writes itself.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our password there; a public client has none.
    pub client_secret: Option<Secret>,
    /// Where it sends people back to.
    pub redirect_uri: String,
    /// What it is asked for, separated by spaces.
    pub scopes: String,
    /// The audience of access tokens that are meant for us.
    pub audience: Option<String>,
    /// The certificates that alone vouch for its server.
    pub ca_file: Option<PathBuf>,
}

impl OidcSettings {
    /// Reads the settings; none when no issuer is named. What is wrong is a problem of `reader`'s.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let issuer = issuer(reader);
        let client_id =
            one_of(reader, &METADATA_OIDC_CLIENT_ID, &METADATA_OKTA_CLIENT_ID, Reader::text);
        let client_secret = one_of(
            reader,
            &METADATA_OIDC_CLIENT_SECRET,
            &METADATA_OKTA_CLIENT_SECRET,
            Reader::secret,
        );
        let redirect_uri = reader.text(&METADATA_OIDC_REDIRECT_URI);
        let scopes = reader.text(&METADATA_OIDC_SCOPES).unwrap_or_default();
        let scopes: Vec<_> = scopes.split([',', ' ']).filter(|scope| !scope.is_empty()).collect();
        let audience = reader.text(&METADATA_OIDC_AUDIENCE);
        let ca_file = reader.text(&METADATA_OIDC_CA_FILE);

        let Some(issuer) = issuer else {
            for (variable, is_set) in [
                (&METADATA_OIDC_CLIENT_ID, client_id.is_some()),
                (&METADATA_OIDC_CLIENT_SECRET, client_secret.is_some()),
                (&METADATA_OIDC_REDIRECT_URI, redirect_uri.is_some()),
                (&METADATA_OIDC_AUDIENCE, audience.is_some()),
                (&METADATA_OIDC_CA_FILE, ca_file.is_some()),
            ] {
                if is_set {
                    reader.problem(variable, "is set, but METADATA_OIDC_ISSUER is not");
                }
            }
            return None;
        };
        check_issuer(reader, &issuer);
        if client_id.is_none() {
            reader.problem(&METADATA_OIDC_CLIENT_ID, "must be set: our name at the issuer");
        }
        check_redirect(reader, redirect_uri.as_deref());
        if !scopes.contains(&"openid") {
            reader.problem(&METADATA_OIDC_SCOPES, format!("must hold openid, not only {scopes:?}"));
        }
        Some(Self {
            issuer,
            client_id: client_id.unwrap_or_default(),
            client_secret,
            redirect_uri: redirect_uri.unwrap_or_default(),
            scopes: scopes.join(" "),
            audience,
            ca_file: ca_file.map(PathBuf::from),
        })
    }
}

/// Tells whether nobody can listen in on what goes to `url`: https, or http that stays on this
/// machine.
pub fn is_private_way(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        },
        _ => false,
    }
}

/// Reads a setting that has two names. Both at once is a problem, even if they say the same: one of
/// them would be forgotten when the other is changed.
fn one_of<T>(
    reader: &mut Reader,
    ours: &'static Variable,
    original: &'static Variable,
    read: fn(&mut Reader, &'static Variable) -> Option<T>,
) -> Option<T> {
    match (read(reader, ours), read(reader, original)) {
        (Some(first), Some(_)) => {
            reader.problem(ours, format!("and {} mean the same; set one", original.name));
            Some(first)
        }
        (first, second) => first.or(second),
    }
}

fn issuer(reader: &mut Reader) -> Option<String> {
    let domain = |reader: &mut Reader, variable| {
        let domain = reader.text(variable)?;
        let issuer = format!("https://{domain}/oauth2/default");
        let is_domain = Url::parse(&issuer).is_ok_and(|url| url.host_str() == Some(&domain));
        if !is_domain {
            reader.problem(
                variable,
                format!("must be a domain such as dev-1234.okta.com, not {domain:?}"),
            );
        }
        Some(issuer)
    };
    match (reader.text(&METADATA_OIDC_ISSUER), domain(reader, &METADATA_OKTA_DOMAIN)) {
        (Some(issuer), Some(_)) => {
            reader.problem(
                &METADATA_OIDC_ISSUER,
                "and METADATA_OKTA_DOMAIN name two issuers; set one",
            );
            Some(issuer)
        }
        (issuer, okta) => issuer.or(okta),
    }
}

fn check_issuer(reader: &mut Reader, issuer: &str) {
    let fault = match Url::parse(issuer) {
        Ok(url) if !is_private_way(&url) => {
            "must begin with https:// (http:// on this machine only)"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "must have no ? and no #",
        Ok(_) => return,
        Err(_) => "must be a URL such as https://id.example.com",
    };
    reader.problem(&METADATA_OIDC_ISSUER, format!("{fault}, not {issuer:?}"));
}

fn check_redirect(reader: &mut Reader, uri: Option<&str>) {
    let fault = match uri.map(Url::parse) {
        None => {
            "must be set, to where browsers reach this API: https://brownie.example.com/api/v1/okta/callback".to_owned()
        }
        Some(Ok(url)) if is_private_way(&url) && url.fragment().is_none() => return,
        Some(_) => format!(
            "must be an https:// URL without # (http:// on this machine only), not {:?}",
            uri.unwrap_or_default()
        ),
    };
    reader.problem(&METADATA_OIDC_REDIRECT_URI, fault);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Option<OidcSettings>, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let settings = OidcSettings::read(&mut reader);
        assert_eq!(reader.unknown(), [""; 0]);
        reader.finish().map(|()| settings).map_err(|problems| problems.to_string())
    }

    const REDIRECT: (&str, &str) = ("METADATA_OIDC_REDIRECT_URI", "https://b.example.com/callback");

    #[test]
    fn without_an_issuer_there_is_none() {
        assert!(read(&[]).unwrap().is_none());
    }

    #[test]
    fn the_originals_names_are_understood() {
        let settings = read(&[
            ("METADATA_OKTA_DOMAIN", "dev-1.okta.com"),
            ("METADATA_OKTA_CLIENT_ID", "brownie"),
            ("METADATA_OKTA_CLIENT_SECRET", "hunter2"),
            REDIRECT,
        ])
        .unwrap()
        .unwrap();
        assert_eq!(settings.issuer, "https://dev-1.okta.com/oauth2/default");
        assert_eq!(settings.client_id, "brownie");
        assert_eq!(settings.client_secret.as_ref().unwrap().expose(), "hunter2");
        assert_eq!(settings.scopes, "openid profile email");
        assert!(settings.audience.is_none() && settings.ca_file.is_none());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn an_issuer_is_kept_letter_for_letter() {
        for issuer in
            ["https://id.example.com/", "https://id.example.com", "http://127.0.0.1:8200/x"]
        {
            let settings = read(&[
                ("METADATA_OIDC_ISSUER", issuer),
                ("METADATA_OIDC_CLIENT_ID", "brownie"),
                REDIRECT,
            ]);
            assert_eq!(settings.unwrap().unwrap().issuer, issuer);
        }
    }

    #[test]
    fn contradictions_are_problems_by_name() {
        let said = read(&[
            ("METADATA_OIDC_ISSUER", "https://id.example.com"),
            ("METADATA_OKTA_DOMAIN", "dev-1.okta.com"),
            ("METADATA_OIDC_CLIENT_ID", "a"),
            ("METADATA_OKTA_CLIENT_ID", "a"),
            ("METADATA_OIDC_CLIENT_SECRET", "hunter2"),
            ("METADATA_OKTA_CLIENT_SECRET", "hunter3"),
            ("METADATA_OIDC_SCOPES", "email"),
        ])
        .unwrap_err();
        for expected in [
            "METADATA_OIDC_ISSUER and METADATA_OKTA_DOMAIN name two issuers",
            "METADATA_OIDC_CLIENT_ID and METADATA_OKTA_CLIENT_ID mean the same",
            "METADATA_OIDC_CLIENT_SECRET and METADATA_OKTA_CLIENT_SECRET mean the same",
            "METADATA_OIDC_REDIRECT_URI must be set",
            "METADATA_OIDC_SCOPES must hold openid",
        ] {
            assert!(said.contains(expected), "{said}");
        }
        assert!(!said.contains("hunter"), "{said}");
        let said = read(&[("METADATA_OIDC_AUDIENCE", "api://default")]).unwrap_err();
        assert!(said.contains("METADATA_OIDC_AUDIENCE is set, but METADATA_OIDC_ISSUER"), "{said}");
    }

    #[test]
    fn nobody_can_listen_in() {
        for issuer in [
            "http://id.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "ftp://id.example.com",
            "https://id.example.com/?a=b",
            "id.example.com",
        ] {
            let said = read(&[
                ("METADATA_OIDC_ISSUER", issuer),
                ("METADATA_OIDC_CLIENT_ID", "brownie"),
                ("METADATA_OIDC_REDIRECT_URI", "http://b.example.com/callback"),
            ])
            .unwrap_err();
            assert!(said.contains("METADATA_OIDC_ISSUER must"), "{issuer}: {said}");
            assert!(said.contains("METADATA_OIDC_REDIRECT_URI must be an https://"), "{said}");
        }
        for domain in ["https://dev-1.okta.com", "dev-1.okta.com/x", "dev-1.okta.com@evil", "a b"] {
            let said = read(&[("METADATA_OKTA_DOMAIN", domain)]).unwrap_err();
            assert!(said.contains("METADATA_OKTA_DOMAIN must be a domain"), "{domain}: {said}");
        }
    }
}
