//! What a database's URL says of encryption: libpq's parameters (PostgreSQL manual, section 34.19).

use std::path::PathBuf;

use url::Url;

use crate::Secret;

/// How much a database's server must prove, as libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Nothing: there is no encryption.
    Disable,
    /// Nothing, unless a CA is given: then as `VerifyCa`.
    Require,
    /// That a CA of ours vouches for it, whatever it is called.
    VerifyCa,
    /// That, and that it is called as we called it.
    VerifyFull,
}

/// The files that a URL names; they come before those of `CERT_DIR`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UrlFiles {
    /// `sslrootcert`: the authorities.
    pub ca: Option<PathBuf>,
    /// `sslrootcert=system`: those of the machine.
    pub is_system_ca: bool,
    /// `sslcert`: what to show.
    pub cert: Option<PathBuf>,
    /// `sslkey`: its key.
    pub key: Option<PathBuf>,
    /// `sslcrl`: what the authorities took back.
    pub crl: Option<PathBuf>,
}

/// Takes out of a URL what it says of encryption. What is left says `sslmode=disable` or
/// `sslmode=verify-full`, which every driver understands alike. A URL that cannot be read stays as it
/// is: the driver's message is about that.
///
/// # Errors
/// A sentence about an `sslmode` that would go on without encryption, or is none.
pub(crate) fn split(secret: Secret) -> Result<(Secret, SslMode, UrlFiles), String> {
    let mut files = UrlFiles::default();
    let Ok(mut url) = Url::parse(secret.expose()) else {
        return Ok((secret, SslMode::VerifyFull, files));
    };
    let (mut mode, mut rest) = (None, Vec::new());
    for (name, value) in url.query_pairs() {
        let path = || Some(PathBuf::from(&*value)).filter(|path| !path.as_os_str().is_empty());
        match &*name {
            "sslmode" => mode = Some(value.into_owned()),
            "sslrootcert" if value == "system" => files.is_system_ca = true,
            "sslrootcert" => files.ca = path(),
            "sslcert" => files.cert = path(),
            "sslkey" => files.key = path(),
            "sslcrl" => files.crl = path(),
            _ => rest.push((name.into_owned(), value.into_owned())),
        }
    }
    let is_socket = rest.iter().any(|(name, value)| name == "host" && value.starts_with('/'));
    let mode = match mode.as_deref() {
        // As in libpq, a socket knows no encryption.
        _ if is_socket => SslMode::Disable,
        Some("disable") => SslMode::Disable,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") | None => SslMode::VerifyFull,
        Some(mode @ ("allow" | "prefer")) => {
            return Err(format!(
                "has sslmode={mode}, which goes on without encryption when somebody in between wishes it; use verify-full, or disable for a database on this machine"
            ));
        }
        Some(mode) => {
            return Err(format!(
                "has sslmode={mode}, which is none of disable, require, verify-ca and verify-full"
            ));
        }
    };
    let encrypted = if mode == SslMode::Disable { "disable" } else { "verify-full" };
    url.query_pairs_mut().clear().extend_pairs(rest).append_pair("sslmode", encrypted);
    Ok((Secret::new(url), mode, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, SslMode, UrlFiles) {
        let (url, mode, files) = split(Secret::new(url)).unwrap();
        (url.expose().to_owned(), mode, files)
    }

    #[test]
    fn what_is_left_says_whether_there_is_encryption() {
        for (mode, expected, rest) in [
            ("", SslMode::VerifyFull, "sslmode=verify-full"),
            ("?sslmode=verify-full", SslMode::VerifyFull, "sslmode=verify-full"),
            ("?sslmode=verify-ca", SslMode::VerifyCa, "sslmode=verify-full"),
            ("?sslmode=require", SslMode::Require, "sslmode=verify-full"),
            ("?sslmode=disable", SslMode::Disable, "sslmode=disable"),
        ] {
            let (url, found, _) = parts(&format!("postgres://u@db/x{mode}"));
            assert_eq!((url, found), (format!("postgres://u@db/x?{rest}"), expected), "{mode}");
        }
        let (url, mode, _) = parts("postgres://u@localhost/x?host=%2Frun%2Fpg&sslmode=require");
        assert_eq!(url, "postgres://u@localhost/x?host=%2Frun%2Fpg&sslmode=disable");
        assert_eq!(mode, SslMode::Disable);
    }

    #[test]
    fn files_are_taken_out() {
        let (url, _, files) =
            parts("postgres://db/x?sslrootcert=a%20b.crt&sslcert=c.crt&sslkey=k.key&sslcrl=l");
        assert_eq!(url, "postgres://db/x?sslmode=verify-full");
        let path = |name: &str| Some(PathBuf::from(name));
        assert_eq!(
            files,
            UrlFiles {
                ca: path("a b.crt"),
                is_system_ca: false,
                cert: path("c.crt"),
                key: path("k.key"),
                crl: path("l"),
            }
        );
        assert!(parts("postgres://db/x?sslrootcert=system").2.is_system_ca);
    }

    #[test]
    fn what_may_go_on_without_encryption_is_refused() {
        for mode in ["allow", "prefer", "verify", ""] {
            let error = split(Secret::new(format!("postgres://db/x?sslmode={mode}"))).unwrap_err();
            assert!(error.contains(&format!("sslmode={mode},")), "{error}");
        }
    }
}
