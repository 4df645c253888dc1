//! Passwords, by argon2id (RFC 9106) with the parameters of OWASP's Password Storage Cheat Sheet.

use std::{sync::Arc, time::Duration};

use brownie_domain::Invalid;
use serde::Deserialize;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout},
};

use crate::{Error, hashing::Memory, random};

/// A password as somebody typed it. It cannot be shown.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Password(pub(crate) String);

impl Password {
    /// The fewest characters it may have.
    pub const MIN: usize = 8;
    /// The most characters it may have; hashing more would only cost time.
    pub const MAX: usize = 256;
}

impl Password {
    /// Makes one that nobody can guess; returns it and its text, to be shown once.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn random() -> Result<(Self, String), Error> {
        let text = random::text()?;
        Ok((Self(text.clone()), text))
    }
}

impl TryFrom<String> for Password {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let count = text.chars().count();
        if !(Self::MIN..=Self::MAX).contains(&count) {
            return Err(Invalid {
                what: "password",
                reason: format!("must have {} to {} characters, not {count}", Self::MIN, Self::MAX),
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
            "maxLength": Self::MAX,
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
pub struct PasswordHash(pub(crate) String);

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

/// What checking a password has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Whether it is the one that was hashed.
    pub ok: bool,
    /// Whether it is, but was hashed otherwise than we do it now. Hash it again and store that.
    pub rehash: bool,
}

/// How long somebody waits for a worker before being told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// The least time that a check takes. One of our hashes takes some 30 ms, one of the original's some
/// 160 ms, and an account that is not there as much as one of ours; to whoever asks they are alike.
const FLOOR: Duration = Duration::from_millis(250);

/// Hashes and checks passwords on threads of their own: each takes some 30 ms and 19 MiB, which a
/// thread that serves requests does not have. The memory of a worker is kept and used again: freed, it would
/// stay with the thread that had it, and there are many such threads.
#[derive(Debug, Clone)]
pub struct Passwords {
    workers: Arc<Semaphore>,
    memory: Arc<Memory>,
    floor: Duration,
}

impl Passwords {
    /// Sets up hashing with at most `workers` at a time.
    pub fn new(workers: usize) -> Self {
        let workers = Arc::new(Semaphore::new(workers.max(1)));
        Self { workers, memory: Arc::default(), floor: FLOOR }
    }

    /// Lets each check take at least `floor`: more where hashing is slow, none in tests that look
    /// at something else.
    #[must_use]
    pub fn with_floor(self, floor: Duration) -> Self {
        Self { floor, ..self }
    }

    /// Hashes a password for storage.
    ///
    /// # Errors
    /// [`Error::Busy`] when no worker was free in time.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        self.work(Duration::ZERO, move |memory| memory.hash(&password)).await
    }

    /// Tells whether a password is the one that was hashed.
    ///
    /// # Errors
    /// [`Error::Busy`], or [`Error::UnreadableHash`].
    pub async fn verify(
        &self,
        password: Password,
        stored: PasswordHash,
    ) -> Result<Verified, Error> {
        self.work(self.floor, move |memory| memory.check(&password, &stored)).await
    }

    /// Tells whether a password is that of an account, of which there may be none: for a log-in. Without one, a
    /// hash is made and thrown away. A worker is held as long as that takes; the answer comes when the floor
    /// is reached, which only the original's hashes exceed on a slow machine. So its time does not tell who is
    /// there.
    ///
    /// # Errors
    /// [`Error::Busy`], or [`Error::UnreadableHash`].
    pub async fn verify_account(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
    ) -> Result<Option<Verified>, Error> {
        self.work(self.floor, move |memory| match stored {
            Some(stored) => memory.check(&password, &stored).map(Some),
            None => memory.hash(&password).map(|_| None),
        })
        .await
    }

    /// Works on a thread of its own, and answers no earlier than `least` after beginning. The permit
    /// moves into the worker: a caller that goes away does not free it early, and one that waits for
    /// its answer does not hold it.
    async fn work<T: Send + 'static>(
        &self,
        least: Duration,
        work: impl FnOnce(&Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = timeout(PATIENCE, Arc::clone(&self.workers).acquire_owned())
            .await
            .map_err(|_| Error::Busy)?
            .map_err(|error| Error::Failed(Box::new(error)))?;
        let begun = Instant::now();
        let memory = Arc::clone(&self.memory);
        let outcome = spawn_blocking(move || {
            let outcome = work(&memory);
            drop(permit);
            outcome
        })
        .await
        .map_err(|error| Error::Failed(Box::new(error)))?;
        sleep_until(begun + least).await;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version, password_hash::phc};

    use super::*;

    /// Made by argon2-cffi with passlib's defaults, as the original did, of `original-password`.
    const ORIGINAL: &str = "$argon2id$v=19$m=65536,t=3,p=4$IEappqZeoUzIg1JQmau+fA$zBymzgS5Yj3TlfR9SQmHM9abULYF70E6kB3+t/dFKMw";

    fn password(text: &str) -> Password {
        Password::try_from(text.to_owned()).unwrap()
    }

    fn passwords() -> Passwords {
        Passwords::new(1).with_floor(Duration::ZERO)
    }

    async fn verify(text: &str, stored: &str) -> Result<Verified, Error> {
        passwords().verify(password(text), PasswordHash::from_stored(stored)).await
    }

    const YES: Verified = Verified { ok: true, rehash: false };
    const NO: Verified = Verified { ok: false, rehash: false };

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let stored = passwords().hash(password("correct horse")).await.unwrap().into_stored();
        assert_eq!(verify("correct horse", &stored).await.unwrap(), YES);
        assert_eq!(verify("wrong horse!", &stored).await.unwrap(), NO);
    }

    #[tokio::test]
    async fn a_hash_of_the_original_is_understood_and_made_anew() {
        let outcome = verify("original-password", ORIGINAL).await.unwrap();
        assert_eq!(outcome, Verified { ok: true, rehash: true });
        assert_eq!(verify("another-password", ORIGINAL).await.unwrap(), NO);
    }

    #[tokio::test]
    async fn a_hash_that_is_weaker_than_ours_is_made_anew() {
        for (algorithm, version, m, t, p) in [
            (Algorithm::Argon2id, Version::V0x13, 4096, 1, 1),
            (Algorithm::Argon2i, Version::V0x13, 19 * 1024, 2, 1),
            (Algorithm::Argon2id, Version::V0x10, 19 * 1024, 2, 1),
        ] {
            let weaker = Argon2::new(algorithm, version, Params::new(m, t, p, None).unwrap());
            let stored: phc::PasswordHash = weaker.hash_password(b"correct horse").unwrap();
            let outcome = verify("correct horse", &stored.to_string()).await.unwrap();
            assert_eq!(outcome, Verified { ok: true, rehash: true }, "{stored}");
        }
    }

    #[tokio::test]
    async fn a_stored_hash_cannot_ask_for_more_than_there_is() {
        let rest = "c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b7dWRWJTmaaJObG";
        for cost in ["m=262145,t=1,p=1", "m=65536,t=9,p=1", "m=65536,t=1,p=17"] {
            let outcome = verify("whatever-it-is", &format!("$argon2id$v=19${cost}${rest}")).await;
            assert!(matches!(outcome, Err(Error::UnreadableHash)), "{cost}");
        }
    }

    #[tokio::test]
    async fn what_is_no_hash_is_said_not_taken_for_a_wrong_password() {
        for stored in [
            "",
            "!",
            "$2b$12$abcdefghijklmnopqrstuuNtqKJJ0lfP2Zq3Zo3Qm8p8Y1lYQm5bK",
            "$argon2id$v=19$m=65536,t=3,p=4$IEappqZeoUzIg1JQmau+fA",
            "$argon3$v=19$m=65536,t=3,p=4$IEappqZeoUzIg1JQmau+fA$zBymzgS5Yj3TlfR9SQmHM9abULYF70E6kB3+t/dFKMw",
        ] {
            let outcome = verify("whatever-it-is", stored).await;
            assert!(matches!(outcome, Err(Error::UnreadableHash)), "{stored}");
        }
    }

    #[tokio::test]
    async fn an_account_is_there_or_not() {
        let passwords = passwords();
        let ours = passwords.hash(password("original-password")).await.unwrap();
        for (text, stored, expected) in [
            ("original-password", Some(ours.clone()), Some(YES)),
            (
                "original-password",
                Some(PasswordHash::from_stored(ORIGINAL)),
                Some(Verified { ok: true, rehash: true }),
            ),
            ("another-password", Some(ours), Some(NO)),
            ("original-password", None, None),
        ] {
            assert_eq!(passwords.verify_account(password(text), stored).await.unwrap(), expected);
        }
    }

    /// A thread for each, one after the other: all have hashed in the memory of the first.
    #[tokio::test]
    async fn the_memory_of_a_worker_is_used_again() {
        let passwords = passwords();
        for _ in 0..4 {
            let hash = passwords.hash(password("correct horse")).await.unwrap();
            assert!(passwords.verify(password("correct horse"), hash).await.unwrap().ok);
        }
        assert_eq!(passwords.memory.kept(), [Params::DEFAULT.block_count()]);
        // One that takes more is not kept for the next.
        passwords
            .verify(password("x".repeat(8).as_str()), PasswordHash::from_stored(ORIGINAL))
            .await
            .unwrap();
        assert_eq!(passwords.memory.kept(), [0_usize; 0]);
    }

    /// By a clock that stands still while there is work, so that it counts the waiting alone.
    #[tokio::test(start_paused = true)]
    async fn time_does_not_tell_who_is_there() {
        let passwords = Passwords::new(1);
        let ours = passwords.hash(password("correct horse")).await.unwrap();
        let original = PasswordHash::from_stored(ORIGINAL);
        for stored in [None, Some(ours), Some(original)] {
            let (what, begun) = (format!("{stored:?}"), Instant::now());
            passwords.verify_account(password("a wrong password"), stored).await.unwrap();
            let over = begun.elapsed().checked_sub(FLOOR);
            assert!(over.is_some_and(|over| over < Duration::from_millis(5)), "{what}: {over:?}");
        }
        let begun = Instant::now();
        passwords.hash(password("correct horse")).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody learns anything from a sign-up");
    }

    /// Also where hashing is so slow that the floor does not hide it. No machine hashes in 5 ms.
    #[tokio::test]
    async fn an_account_that_is_not_there_costs_a_hash() {
        let begun = Instant::now();
        passwords().verify_account(password("whatever"), None).await.unwrap();
        assert!(begun.elapsed() > Duration::from_millis(5), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_keeps_nobody_from_working() {
        let passwords = Passwords::new(1).with_floor(Duration::from_secs(10));
        let waiting = passwords.clone();
        let waiting =
            tokio::spawn(async move { waiting.verify_account(password("whatever"), None).await });
        tokio::task::yield_now().await;
        assert!(passwords.hash(password("correct horse")).await.is_ok());
        assert!(!waiting.is_finished());
    }

    #[test]
    fn nothing_shows_a_password() {
        assert_eq!(format!("{:?}", password("correct horse")), "[password]");
    }
}
