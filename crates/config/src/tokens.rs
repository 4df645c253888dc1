//! What signs access tokens, and for how long.

use std::{path::PathBuf, time::Duration};

use crate::{Reader, Secret, Variable};

const METADATA_JWT_SECRET: Variable = Variable {
    name: "METADATA_JWT_SECRET",
    aliases: &[],
    default: None,
    secret: true,
    help: "Signs access tokens (HS256): 32 characters or more, the same on every instance. brownie-standalone makes its own. Set this or METADATA_JWT_KEYS_DIR; with both, the secret signs only while the directory has no private key.",
};
const METADATA_JWT_KEYS_DIR: Variable = Variable {
    name: "METADATA_JWT_KEYS_DIR",
    aliases: &[],
    default: None,
    secret: false,
    help: "A directory of keys that sign and verify access tokens, Ed25519 or RSA: <kid>.pem is a private key, <kid>.pub.pem a public one, for a key not yet or no longer in use.",
};
const METADATA_JWT_SIGNING_KID: Variable = Variable {
    name: "METADATA_JWT_SIGNING_KID",
    aliases: &[],
    default: None,
    secret: false,
    help: "Which private key of METADATA_JWT_KEYS_DIR signs; the one whose name sorts last unless set.",
};
const METADATA_JWT_EXPIRES_MINUTES: Variable = Variable {
    name: "METADATA_JWT_EXPIRES_MINUTES",
    aliases: &[],
    default: Some("60"),
    secret: false,
    help: "Minutes that an access token is good for.",
};

pub(crate) static VARIABLES: &[Variable] = &[
    METADATA_JWT_SECRET,
    METADATA_JWT_KEYS_DIR,
    METADATA_JWT_SIGNING_KID,
    METADATA_JWT_EXPIRES_MINUTES,
    METADATA_SESSION_DAYS,
];

const METADATA_SESSION_DAYS: Variable = Variable {
    name: "METADATA_SESSION_DAYS",
    aliases: &[],
    default: Some("30"),
    secret: false,
    help: "Days that a log-in may be continued for with refresh tokens.",
};

/// What signs access tokens, and for how long.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// A shared secret.
    pub secret: Option<Secret>,
    /// Where the keys are.
    pub keys_dir: Option<PathBuf>,
    /// Which of them signs; none for the one whose name sorts last.
    pub signing_kid: Option<String>,
    /// How long an access token is good for.
    pub lifetime: Duration,
    /// How long a log-in may be continued.
    pub session_lifetime: Duration,
}

impl TokenSettings {
    /// Reads the settings. What is wrong is a problem of `reader`'s; that there is neither a secret
    /// nor a directory is one only if `needs_key`.
    pub fn read(reader: &mut Reader, needs_key: bool) -> Self {
        let secret = reader.secret(&METADATA_JWT_SECRET);
        let keys_dir = reader.text(&METADATA_JWT_KEYS_DIR).map(PathBuf::from);
        let signing_kid = reader.text(&METADATA_JWT_SIGNING_KID);
        match &secret {
            Some(secret) if secret.expose().chars().count() < 32 => {
                reader.problem(&METADATA_JWT_SECRET, "must have 32 characters or more");
            }
            None if needs_key && keys_dir.is_none() => {
                reader.problem(
                    &METADATA_JWT_SECRET,
                    "must be set, to 32 random characters or more (openssl rand -base64 48), or METADATA_JWT_KEYS_DIR",
                );
            }
            _ => {}
        }
        if signing_kid.is_some() && keys_dir.is_none() {
            reader.problem(
                &METADATA_JWT_SIGNING_KID,
                "names a key, but METADATA_JWT_KEYS_DIR does not say where the keys are",
            );
        }
        let minutes = reader.parse::<u32>(&METADATA_JWT_EXPIRES_MINUTES, "a number of minutes");
        if minutes == Some(0) {
            reader.problem(&METADATA_JWT_EXPIRES_MINUTES, "must be 1 or more");
        }
        let lifetime = Duration::from_secs(60 * u64::from(minutes.unwrap_or(60)));
        let days = reader.parse::<u32>(&METADATA_SESSION_DAYS, "a number of days");
        if days.is_some_and(|days| !(1..=3650).contains(&days)) {
            reader.problem(&METADATA_SESSION_DAYS, "must be 1 to 3650");
        }
        let session_lifetime = Duration::from_secs(86_400 * u64::from(days.unwrap_or(30)));
        Self { secret, keys_dir, signing_kid, lifetime, session_lifetime }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(values: &[(&str, &str)]) -> String {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = Reader::from_values(values.iter().map(own).collect());
        let _ = TokenSettings::read(&mut reader, true);
        reader.finish().map_or_else(|problems| problems.to_string(), |()| String::new())
    }

    #[test]
    fn a_secret_or_a_directory_will_do() {
        let secret = "a secret of thirty-two characters";
        assert_eq!(problems(&[("METADATA_JWT_SECRET", secret)]), "");
        assert_eq!(problems(&[("METADATA_JWT_KEYS_DIR", "/keys")]), "");
        assert!(problems(&[]).contains("METADATA_JWT_SECRET must be set"));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let said = problems(&[
            ("METADATA_JWT_SECRET", "short"),
            ("METADATA_JWT_SIGNING_KID", "2026-11"),
            ("METADATA_JWT_EXPIRES_MINUTES", "0"),
        ]);
        for expected in [
            "METADATA_JWT_SECRET must have 32 characters or more",
            "METADATA_JWT_SIGNING_KID names a key, but METADATA_JWT_KEYS_DIR",
            "METADATA_JWT_EXPIRES_MINUTES must be 1 or more",
        ] {
            assert!(said.contains(expected), "{said}");
        }
    }
}
