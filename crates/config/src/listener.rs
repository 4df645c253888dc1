//! Whether the API is served by TLS, and who clients are by their certificates.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{Reader, Variable};

const METADATA_TLS: Variable = Variable {
    name: "METADATA_TLS",
    aliases: &[],
    default: Some("off"),
    secret: false,
    help: "off; on serves the API by TLS with CERT_DIR's server.crt; optional lets clients show a certificate of its ca.crt; mutual takes nobody without one. The metrics' port stays plain.",
};
const METADATA_TLS_PRINCIPALS: Variable = Variable {
    name: "METADATA_TLS_PRINCIPALS",
    aliases: &[],
    default: Some("{}"),
    secret: false,
    help: "Which API key a client's certificate stands for, by its CN: a JSON object such as {\"incident-bot\": \"<organization's id>/<API key's id>\"}. For requests without another credential.",
};

pub(crate) static VARIABLES: &[Variable] = &[METADATA_TLS, METADATA_TLS_PRINCIPALS];

/// What clients of a listener have to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerTls {
    /// There is no TLS.
    Off,
    /// Nothing.
    On,
    /// A certificate of our authorities, or none.
    Optional,
    /// A certificate of our authorities.
    Mutual,
}

/// Which organization's API key a certificate stands for: the ids of both.
pub type CertifiedKey = (Uuid, Uuid);

pub(crate) fn tls(reader: &mut Reader) -> ListenerTls {
    match reader.text(&METADATA_TLS).as_deref() {
        None | Some("off") => ListenerTls::Off,
        Some("on") => ListenerTls::On,
        Some("optional") => ListenerTls::Optional,
        Some("mutual") => ListenerTls::Mutual,
        Some(other) => {
            let message = format!("must be off, on, optional or mutual, not {other:?}");
            reader.problem(&METADATA_TLS, message);
            ListenerTls::Off
        }
    }
}

pub(crate) fn principals(reader: &mut Reader, tls: ListenerTls) -> BTreeMap<String, CertifiedKey> {
    let text = reader.text(&METADATA_TLS_PRINCIPALS).unwrap_or_default();
    let Ok(named) = serde_json::from_str::<BTreeMap<String, String>>(&text) else {
        let expected = "must be a JSON object of names and <organization's id>/<API key's id>";
        reader.problem(&METADATA_TLS_PRINCIPALS, expected);
        return BTreeMap::new();
    };
    if !named.is_empty() && !matches!(tls, ListenerTls::Optional | ListenerTls::Mutual) {
        let message =
            "says who clients are by certificates that METADATA_TLS does not ask them for";
        reader.problem(&METADATA_TLS_PRINCIPALS, message);
    }
    let mut principals = BTreeMap::new();
    for (name, value) in named {
        let ids = value.split_once('/').map(|(org, key)| (org.parse(), key.parse()));
        match ids {
            Some((Ok(org), Ok(key))) => drop(principals.insert(name, (org, key))),
            _ => {
                let message =
                    format!("{value:?} of {name:?} is not <organization's id>/<API key's id>");
                reader.problem(&METADATA_TLS_PRINCIPALS, message);
            }
        }
    }
    principals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<BTreeMap<String, CertifiedKey>, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let mode = tls(&mut reader);
        let principals = principals(&mut reader, mode);
        reader.finish().map_err(|problems| problems.to_string()).map(|()| principals)
    }

    #[test]
    fn a_name_stands_for_a_key_of_an_organization() {
        let ids = "00000000-0000-7000-8000-000000000001/00000000-0000-7000-8000-000000000002";
        let json = format!("{{\"bot\": \"{ids}\"}}");
        let good = [("METADATA_TLS", "mutual"), ("METADATA_TLS_PRINCIPALS", json.as_str())];
        assert_eq!(
            read(&good).unwrap()["bot"],
            (
                Uuid::from_u128(0x7000_8000_0000_0000_0001),
                Uuid::from_u128(0x7000_8000_0000_0000_0002)
            )
        );
        let error = read(&good[1..]).unwrap_err();
        assert!(error.contains("does not ask them for"), "{error}");
        for (json, why) in [("[]", "must be a JSON object"), (r#"{"bot": "1/2"}"#, "is not <org")] {
            let error = read(&[good[0], ("METADATA_TLS_PRINCIPALS", json)]).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(read(&[("METADATA_TLS", "yes")]).unwrap_err().contains("off, on, optional"));
    }
}
