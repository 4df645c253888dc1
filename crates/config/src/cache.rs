//! Where short-lived state is shared.

use std::{net::Ipv6Addr, path::PathBuf, time::Duration};

use url::Url;

use crate::{Reader, Secret, Variable};

const REDIS_URL: Variable = Variable {
    name: "REDIS_URL",
    aliases: &[],
    default: None,
    secret: true,
    help: "Redis as one URL: redis://user:password@host:6379/0, or rediss:// for TLS. It shares rate limits and cached values between instances. Without it and REDIS_HOST each instance keeps its own.",
};
const REDIS_HOST: Variable = Variable {
    name: "REDIS_HOST",
    aliases: &[],
    default: None,
    secret: false,
    help: "The Redis server, when REDIS_URL is not set.",
};
const REDIS_PORT: Variable = Variable {
    name: "REDIS_PORT",
    aliases: &[],
    default: Some("6379"),
    secret: false,
    help: "Its port. What Kubernetes sets for a service named redis (tcp://...) is passed over.",
};
const REDIS_USER: Variable = Variable {
    name: "REDIS_USER",
    aliases: &[],
    default: None,
    secret: false,
    help: "The user to log in as, where Redis has an access control list.",
};
const REDIS_PASSWORD: Variable = Variable {
    name: "REDIS_PASSWORD",
    aliases: &[],
    default: None,
    secret: true,
    help: "The password.",
};
const REDIS_DB: Variable = Variable {
    name: "REDIS_DB",
    aliases: &[],
    default: Some("0"),
    secret: false,
    help: "The number of the logical database.",
};
const REDIS_TLS: Variable = Variable {
    name: "REDIS_TLS",
    aliases: &[],
    default: None,
    secret: false,
    help: "true for TLS, which always verifies the server; with REDIS_URL its scheme says it.",
};
const REDIS_CA_FILE: Variable = Variable {
    name: "REDIS_CA_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "PEM file of the authorities to believe, instead of the system's.",
};
const REDIS_CERT_FILE: Variable = Variable {
    name: "REDIS_CERT_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "PEM file of the client's certificate, where Redis asks for one. With REDIS_KEY_FILE.",
};
const REDIS_KEY_FILE: Variable = Variable {
    name: "REDIS_KEY_FILE",
    aliases: &[],
    default: None,
    secret: false,
    help: "PEM file of its key, in PKCS#8.",
};
const REDIS_TIMEOUT_MS: Variable = Variable {
    name: "REDIS_TIMEOUT_MS",
    aliases: &[],
    default: Some("250"),
    secret: false,
    help: "Milliseconds that one operation may take, connecting included. Then the instance answers by itself, and goes on so until Redis answers again.",
};
const REDIS_KEY_PREFIX: Variable = Variable {
    name: "REDIS_KEY_PREFIX",
    aliases: &[],
    default: Some("brownie"),
    secret: false,
    help: "What every key begins with; installations that share a Redis need different ones.",
};

pub(crate) static VARIABLES: &[Variable] = &[
    REDIS_URL,
    REDIS_HOST,
    REDIS_PORT,
    REDIS_USER,
    REDIS_PASSWORD,
    REDIS_DB,
    REDIS_TLS,
    REDIS_CA_FILE,
    REDIS_CERT_FILE,
    REDIS_KEY_FILE,
    REDIS_TIMEOUT_MS,
    REDIS_KEY_PREFIX,
];

/// Where short-lived state is shared.
#[derive(Debug, Clone, Default)]
pub struct CacheSettings {
    /// The Redis that shares it; none to keep it in this process.
    pub redis: Option<RedisSettings>,
}

/// Which Redis, and how patient to be with it.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// A URL with the scheme `redis`, or `rediss` for TLS.
    pub url: Secret,
    /// The authorities to believe, instead of the system's: a PEM file.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and its key: two PEM files.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How long one operation may take, connecting included.
    pub timeout: Duration,
    /// What every key begins with.
    pub key_prefix: String,
}

impl CacheSettings {
    /// Reads the settings. What is wrong, or contradicts itself, is a problem of `reader`'s.
    pub fn read(reader: &mut Reader) -> Self {
        let url = match reader.secret(&REDIS_URL) {
            Some(url) => checked(reader, url),
            None => url_of_parts(reader),
        };
        let tls = url.as_ref().is_some_and(|url| url.expose().starts_with("rediss:"));
        let mut file = |variable| {
            let path = reader.text(variable).map(PathBuf::from);
            if path.is_some() && !tls {
                reader.problem(variable, "needs TLS: set REDIS_TLS=true, or a rediss:// URL");
            }
            path
        };
        let ca_file = file(&REDIS_CA_FILE);
        let identity = match (file(&REDIS_CERT_FILE), file(&REDIS_KEY_FILE)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                reader.problem(&REDIS_KEY_FILE, "must be set, too, when REDIS_CERT_FILE is");
                None
            }
            (None, Some(_)) => {
                reader.problem(&REDIS_CERT_FILE, "must be set, too, when REDIS_KEY_FILE is");
                None
            }
        };
        let timeout = read_timeout(reader);
        let key_prefix = read_prefix(reader);
        Self { redis: url.map(|url| RedisSettings { url, ca_file, identity, timeout, key_prefix }) }
    }
}

fn read_timeout(reader: &mut Reader) -> Duration {
    let millis = reader.parse::<u64>(&REDIS_TIMEOUT_MS, "a number of milliseconds");
    if millis.is_some_and(|millis| !(1..=60_000).contains(&millis)) {
        reader.problem(&REDIS_TIMEOUT_MS, "must be 1 to 60000 milliseconds");
    }
    Duration::from_millis(millis.unwrap_or_default())
}

fn read_prefix(reader: &mut Reader) -> String {
    let prefix = reader.text(&REDIS_KEY_PREFIX).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if prefix.len() > 64 || !prefix.chars().all(plain) {
        reader.problem(&REDIS_KEY_PREFIX, "must be up to 64 letters, digits and -_.:");
    }
    prefix
}

/// What is read as one of the parts of a URL.
const PARTS: [&Variable; 5] = [&REDIS_HOST, &REDIS_PORT, &REDIS_USER, &REDIS_PASSWORD, &REDIS_DB];

/// Makes sure that a URL is one, verifies the server if it has TLS, and that nothing contradicts it.
fn checked(reader: &mut Reader, secret: Secret) -> Option<Secret> {
    for part in PARTS {
        if is_set(reader, part) {
            reader.problem(part, "is set, and so is REDIS_URL, which says it, too; set one");
        }
    }
    let tls = reader.parse::<bool>(&REDIS_TLS, "true or false");
    let Ok(url) = Url::parse(secret.expose()) else {
        reader.problem(&REDIS_URL, "must be a URL such as redis://user:password@host:6379/0");
        return None;
    };
    match (url.scheme(), tls) {
        ("redis", Some(true)) => {
            reader
                .problem(&REDIS_TLS, "is true, but REDIS_URL begins with redis://, not rediss://");
        }
        ("rediss", Some(false)) => {
            reader.problem(&REDIS_TLS, "is false, but REDIS_URL begins with rediss://");
        }
        ("redis" | "rediss", _) => {}
        _ => reader.problem(&REDIS_URL, "must begin with redis:// or rediss://"),
    }
    if url.host_str().unwrap_or_default().is_empty() {
        reader.problem(&REDIS_URL, "must name a host");
    }
    if url.fragment().is_some() {
        reader.problem(
            &REDIS_URL,
            "has a part after #; #insecure would not verify the server, and nothing else is known \
             there (in a password, # is written %23)",
        );
    }
    if url.path().trim_matches('/').parse::<u32>().is_err()
        && !url.path().trim_matches('/').is_empty()
    {
        reader.problem(&REDIS_URL, "must end with the number of a database, such as /0");
    }
    Some(secret)
}

/// Makes a URL of the `REDIS_*` variables, if `REDIS_HOST` is set.
fn url_of_parts(reader: &mut Reader) -> Option<Secret> {
    let Some(host) = reader.text(&REDIS_HOST) else {
        for part in PARTS.into_iter().chain([&REDIS_TLS]) {
            if is_set(reader, part) {
                reader
                    .problem(part, "is set, but neither REDIS_HOST nor REDIS_URL says which Redis");
            }
        }
        return None;
    };
    let port = if is_set(reader, &REDIS_PORT) {
        reader.parse::<u16>(&REDIS_PORT, "a port")?
    } else {
        6379
    };
    let db = reader.parse::<u32>(&REDIS_DB, "the number of a database")?;
    let user = reader.text(&REDIS_USER);
    let password = reader.secret(&REDIS_PASSWORD);
    if user.is_some() && password.is_none() {
        reader.problem(&REDIS_PASSWORD, "must be set, too, when REDIS_USER is");
    }
    let tls = reader.parse::<bool>(&REDIS_TLS, "true or false").unwrap_or_default();
    let mut url = Url::parse(if tls { "rediss://localhost" } else { "redis://localhost" }).ok()?;
    let bracketed = host.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
    if url.set_host(Some(bracketed.as_deref().unwrap_or(&host))).is_err() {
        reader.problem(&REDIS_HOST, format!("must be a host name, not {host:?}"));
        return None;
    }
    let _ = url.set_port(Some(port));
    let _ = url.set_username(user.as_deref().unwrap_or_default());
    let _ = url.set_password(password.as_ref().map(Secret::expose));
    url.set_path(&db.to_string());
    Some(Secret::new(url))
}

/// Returns whether somebody set a variable. Kubernetes sets `REDIS_PORT` to `tcp://10.0.0.7:6379` in
/// every pod that has a service named redis beside it; that was nobody.
fn is_set(reader: &Reader, variable: &Variable) -> bool {
    reader.set(variable).is_some_and(|value| !value.starts_with("tcp://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(values: &[(&str, &str)]) -> Reader {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Reader::from_values(values.iter().map(own).collect())
    }

    fn url(values: &[(&str, &str)]) -> String {
        let mut reader = reader(values);
        let settings = CacheSettings::read(&mut reader);
        reader.finish().unwrap();
        settings.redis.unwrap().url.expose().to_owned()
    }

    fn problems(values: &[(&str, &str)]) -> String {
        let mut reader = reader(values);
        let _ = CacheSettings::read(&mut reader);
        reader.finish().unwrap_err().to_string()
    }

    #[test]
    fn nothing_set_is_no_redis() {
        let mut reader = reader(&[]);
        assert!(CacheSettings::read(&mut reader).redis.is_none());
        reader.finish().unwrap();
    }

    #[test]
    fn the_parts_make_a_url() {
        assert_eq!(url(&[("REDIS_HOST", "redis")]), "redis://redis:6379/0");
        assert_eq!(
            url(&[
                ("REDIS_HOST", "::1"),
                ("REDIS_PORT", "6380"),
                ("REDIS_PASSWORD", "p@ss/#word"),
                ("REDIS_DB", "3"),
                ("REDIS_TLS", "true"),
            ]),
            "rediss://:p%40ss%2F%23word@[::1]:6380/3"
        );
        let user = [("REDIS_HOST", "h"), ("REDIS_USER", "u"), ("REDIS_PASSWORD", "p")];
        assert_eq!(url(&user), "redis://u:p@h:6379/0");
    }

    #[test]
    fn what_kubernetes_sets_beside_a_service_named_redis_is_nothing() {
        let pod = ("REDIS_PORT", "tcp://10.0.0.7:6379");
        assert_eq!(url(&[pod, ("REDIS_HOST", "redis")]), "redis://redis:6379/0");
        assert_eq!(url(&[pod, ("REDIS_URL", "redis://other")]), "redis://other");
        let mut reader = reader(&[pod]);
        assert!(CacheSettings::read(&mut reader).redis.is_none());
        reader.finish().unwrap();
    }

    #[test]
    fn contradictions_are_named() {
        let here = ("REDIS_URL", "redis://h");
        let tls = ("REDIS_URL", "rediss://h");
        for (values, expected) in [
            (vec![here, ("REDIS_HOST", "h")], "REDIS_HOST is set, and so is REDIS_URL"),
            (vec![here, ("REDIS_PASSWORD", "p")], "REDIS_PASSWORD is set, and so is REDIS_URL"),
            (vec![here, ("REDIS_PASSWORD_FILE", "/p")], "REDIS_PASSWORD is set, and so is"),
            (vec![here, ("REDIS_TLS", "true")], "REDIS_TLS is true, but REDIS_URL begins with"),
            (vec![tls, ("REDIS_TLS", "false")], "REDIS_TLS is false, but REDIS_URL begins with"),
            (vec![here, ("REDIS_CA_FILE", "/ca")], "REDIS_CA_FILE needs TLS"),
            (vec![tls, ("REDIS_CERT_FILE", "/c")], "REDIS_KEY_FILE must be set, too"),
            (vec![tls, ("REDIS_KEY_FILE", "/k")], "REDIS_CERT_FILE must be set, too"),
            (vec![("REDIS_PASSWORD", "p")], "REDIS_PASSWORD is set, but neither REDIS_HOST nor"),
            (vec![("REDIS_PORT", "6380")], "REDIS_PORT is set, but neither"),
            (vec![("REDIS_HOST", "h"), ("REDIS_USER", "u")], "REDIS_PASSWORD must be set, too"),
            (vec![("REDIS_HOST", "a b")], "REDIS_HOST must be a host name"),
            (vec![("REDIS_HOST", "h"), ("REDIS_PORT", "x")], "REDIS_PORT must be a port"),
            (vec![("REDIS_URL", "http://h")], "REDIS_URL must begin with redis:// or rediss://"),
            (vec![("REDIS_URL", "redis:///0")], "REDIS_URL must name a host"),
            (vec![("REDIS_URL", "redis://h/x")], "REDIS_URL must end with the number"),
            (vec![("REDIS_URL", "rediss://h/#insecure")], "#insecure would not verify"),
            (vec![here, ("REDIS_TIMEOUT_MS", "0")], "REDIS_TIMEOUT_MS must be 1 to 60000"),
            (vec![here, ("REDIS_KEY_PREFIX", "a b")], "REDIS_KEY_PREFIX must be up to 64"),
        ] {
            let problems = problems(&values);
            assert!(problems.contains(expected), "{values:?}: {problems}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for values in [
            vec![("REDIS_URL", "redis://u:hunter2@h")],
            vec![("REDIS_HOST", "h"), ("REDIS_PASSWORD", "hunter2")],
            vec![("REDIS_URL", "hunter2")],
        ] {
            let mut reader = reader(&values);
            let settings = CacheSettings::read(&mut reader);
            let effective = format!("{:?}", reader.effective());
            let shown = format!("{settings:?} {effective} {:?}", reader.finish());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
