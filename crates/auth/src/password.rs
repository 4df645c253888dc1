//! Passwords, by argon2id (RFC 9106) with the parameters of OWASP's Password Storage Cheat Sheet.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use brownie_domain::Invalid;
use serde::Deserialize;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::Error;

/// A password as somebody typed it. It cannot be shown.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Password(String);

impl Password {
    /// The fewest characters it may have.
    pub const MIN: usize = 8;
    /// The most bytes it may have; hashing more would only cost time.
    pub const MAX_BYTES: usize = 1024;
}

impl TryFrom<String> for Password {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        if text.chars().count() < Self::MIN || text.len() > Self::MAX_BYTES {
            return Err(Invalid {
                what: "password",
                reason: format!(
                    "must have {} characters or more, and at most {} bytes",
                    Self::MIN,
                    Self::MAX_BYTES
                ),
            });
        }
        Ok(Self(text))
    }
}

impl schemars::JsonSchema for Password {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Password".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "password",
            "minLength": Self::MIN,
            // Characters of four bytes each fit.
            "maxLength": Self::MAX_BYTES / 4,
            "examples": ["correct horse battery staple"],
        })
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[password]")
    }
}

/// What is stored of a password: a PHC string. It cannot be shown either.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a stored PHC string.
    pub fn from_stored(phc: impl Into<String>) -> Self {
        Self(phc.into())
    }

    /// Returns the PHC string, to be stored.
    pub fn into_stored(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[password hash]")
    }
}

/// How long somebody waits for a worker before being told to come back.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most memory a stored hash may ask for, in KiB: four times the original's 64 MiB. Its
/// parameters come from the database, and whoever can write there must not be able to stop us.
const MAX_MEMORY_KIB: u32 = 256 * 1024;

/// Hashes and checks passwords on threads of their own: each takes some 20 ms and 19 MiB, which a
/// thread that serves requests does not have.
#[derive(Debug, Clone)]
pub struct Passwords {
    workers: Arc<Semaphore>,
}

impl Passwords {
    /// Sets up hashing with at most `workers` at a time.
    pub fn new(workers: usize) -> Self {
        Self { workers: Arc::new(Semaphore::new(workers.max(1))) }
    }

    /// Hashes a password for storage.
    ///
    /// # Errors
    /// [`Error::Busy`] when no worker was free in time.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        self.work(move || {
            let hash: phc::PasswordHash = Argon2::default()
                .hash_password(password.0.as_bytes())
                .map_err(|error| Error::Failed(Box::new(error)))?;
            Ok(PasswordHash(hash.to_string()))
        })
        .await
    }

    /// Tells whether a password is the one that was hashed.
    ///
    /// # Errors
    /// [`Error::Busy`], or [`Error::UnreadableHash`].
    pub async fn verify(&self, password: Password, hash: PasswordHash) -> Result<bool, Error> {
        self.work(move || {
            let hash = phc::PasswordHash::new(&hash.0).map_err(|_| Error::UnreadableHash)?;
            let memory = hash.params.get_decimal("m").unwrap_or(0);
            if memory > MAX_MEMORY_KIB {
                return Err(Error::UnreadableHash);
            }
            Ok(Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
        })
        .await
    }

    /// Takes as long as [`Passwords::verify`] and says no: for accounts that are not there, so that
    /// the time tells nobody whether they are.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub async fn verify_nothing(&self, password: Password) -> Result<bool, Error> {
        self.hash(password).await.map(|_| false)
    }

    /// The permit moves into the worker: a caller that goes away does not free it early.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = timeout(PATIENCE, Arc::clone(&self.workers).acquire_owned())
            .await
            .map_err(|_| Error::Busy)?
            .map_err(|error| Error::Failed(Box::new(error)))?;
        spawn_blocking(move || {
            let outcome = work();
            drop(permit);
            outcome
        })
        .await
        .map_err(|error| Error::Failed(Box::new(error)))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::try_from(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash(password("correct horse")).await.unwrap();
        assert!(passwords.verify(password("correct horse"), hash.clone()).await.unwrap());
        assert!(!passwords.verify(password("wrong horse!"), hash).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_of_the_original_is_understood() {
        // Made by argon2-cffi with passlib's defaults, as the original did: m=65536, t=3, p=4.
        let stored = PasswordHash::from_stored(
            "$argon2id$v=19$m=65536,t=3,p=4$IEappqZeoUzIg1JQmau+fA$zBymzgS5Yj3TlfR9SQmHM9abULYF70E6kB3+t/dFKMw",
        );
        let passwords = Passwords::new(1);
        assert!(passwords.verify(password("original-password"), stored.clone()).await.unwrap());
        assert!(!passwords.verify(password("another-password"), stored).await.unwrap());
    }

    #[tokio::test]
    async fn a_stored_hash_cannot_ask_for_all_memory() {
        let stored = "$argon2id$v=19$m=4194304,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b7dWRWJTmaaJObG";
        let outcome = Passwords::new(1)
            .verify(password("whatever-it-is"), PasswordHash::from_stored(stored))
            .await;
        assert!(matches!(outcome, Err(Error::UnreadableHash)));
    }

    #[test]
    fn nothing_shows_a_password() {
        assert_eq!(format!("{:?}", password("correct horse")), "[password]");
    }
}
