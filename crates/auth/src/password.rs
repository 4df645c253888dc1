//! Passwords, by argon2id (RFC 9106) with the parameters of OWASP's Password Storage Cheat Sheet.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc},
};
use brownie_domain::Invalid;
use serde::Deserialize;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout},
};

use crate::{Error, random};

/// A password as somebody typed it. It cannot be shown.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Password(String);

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

/// What checking a password has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Whether it is the one that was hashed.
    pub ok: bool,
    /// Whether it is, but was hashed otherwise than we do it now. Hash it again and store that.
    pub rehash: bool,
}

/// How long somebody waits for a worker before being told to come back.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a stored hash may ask for: some four times of what the original's did. Its parameters come
/// from the database, and whoever can write there must not be able to stop us.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 8;
const MAX_LANES: u32 = 16;

/// The least time that a check takes. One of our hashes takes some 30 ms, one of the original's some
/// 160 ms, and an account that is not there as much as one of ours; to whoever asks they are alike.
const FLOOR: Duration = Duration::from_millis(250);

/// Hashes and checks passwords on threads of their own: each takes some 30 ms and 19 MiB, which a
/// thread that serves requests does not have.
#[derive(Debug, Clone)]
pub struct Passwords {
    workers: Arc<Semaphore>,
    floor: Duration,
}

impl Passwords {
    /// Sets up hashing with at most `workers` at a time.
    pub fn new(workers: usize) -> Self {
        Self { workers: Arc::new(Semaphore::new(workers.max(1))), floor: FLOOR }
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
        self.work(Duration::ZERO, move || hash(&password)).await
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
        self.work(self.floor, move || check(&password, &stored)).await
    }

    /// Tells of each hash whether it is this password's: for a log-in, which may find several
    /// accounts or none. Without any, a hash is made and thrown away. A worker is held as long as
    /// that takes; the answer comes when the floor is reached, which only several of the original's
    /// hashes exceed. So its time does not tell who is there, nor how many times.
    ///
    /// # Errors
    /// [`Error::Busy`], or [`Error::UnreadableHash`].
    pub async fn verify_each(
        &self,
        password: Password,
        stored: Vec<PasswordHash>,
    ) -> Result<Vec<Verified>, Error> {
        self.work(self.floor, move || {
            if stored.is_empty() {
                hash(&password)?;
            }
            stored.iter().map(|stored| check(&password, stored)).collect()
        })
        .await
    }

    /// Works on a thread of its own, and answers no earlier than `least` after beginning. The permit
    /// moves into the worker: a caller that goes away does not free it early, and one that waits for
    /// its answer does not hold it.
    async fn work<T: Send + 'static>(
        &self,
        least: Duration,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = timeout(PATIENCE, Arc::clone(&self.workers).acquire_owned())
            .await
            .map_err(|_| Error::Busy)?
            .map_err(|error| Error::Failed(Box::new(error)))?;
        let begun = Instant::now();
        let outcome = spawn_blocking(move || {
            let outcome = work();
            drop(permit);
            outcome
        })
        .await
        .map_err(|error| Error::Failed(Box::new(error)))?;
        sleep_until(begun + least).await;
        outcome
    }
}

fn hash(password: &Password) -> Result<PasswordHash, Error> {
    let hash: phc::PasswordHash = Argon2::default()
        .hash_password(password.0.as_bytes())
        .map_err(|error| Error::Failed(Box::new(error)))?;
    Ok(PasswordHash(hash.to_string()))
}

fn check(password: &Password, stored: &PasswordHash) -> Result<Verified, Error> {
    let hash = phc::PasswordHash::new(&stored.0).map_err(|_| Error::UnreadableHash)?;
    let params = Params::try_from(&hash).map_err(|_| Error::UnreadableHash)?;
    if params.m_cost() > MAX_MEMORY_KIB
        || params.t_cost() > MAX_PASSES
        || params.p_cost() > MAX_LANES
        || hash.hash.is_none()
    {
        return Err(Error::UnreadableHash);
    }
    let ok = match Argon2::default().verify_password(password.0.as_bytes(), &hash) {
        Ok(()) => true,
        Err(password_hash::Error::PasswordInvalid) => false,
        Err(_) => return Err(Error::UnreadableHash),
    };
    Ok(Verified { ok, rehash: ok && !is_ours(&hash, &params) })
}

/// Ours are the same for all: a weaker hash would be guessed, and one that takes longer told apart.
fn is_ours(hash: &phc::PasswordHash, params: &Params) -> bool {
    let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && hash.hash.is_some_and(|output| output.len() == Params::DEFAULT_OUTPUT_LEN)
        && cost(params) == cost(&Params::DEFAULT)
}

#[cfg(test)]
mod tests {
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
    async fn each_of_several_hashes_is_checked() {
        let ours = passwords().hash(password("original-password")).await.unwrap();
        let other = passwords().hash(password("another password")).await.unwrap();
        let stored = vec![PasswordHash::from_stored(ORIGINAL), other, ours];
        let outcome = passwords().verify_each(password("original-password"), stored).await.unwrap();
        assert_eq!(outcome, [Verified { ok: true, rehash: true }, NO, YES]);
        assert_eq!(passwords().verify_each(password("whatever"), vec![]).await.unwrap(), []);
    }

    /// By a clock that stands still while there is work, so that it counts the waiting alone.
    #[tokio::test(start_paused = true)]
    async fn time_does_not_tell_who_is_there() {
        let passwords = Passwords::new(1);
        let ours = passwords.hash(password("correct horse")).await.unwrap();
        let original = PasswordHash::from_stored(ORIGINAL);
        for stored in [vec![], vec![ours.clone()], vec![original], vec![ours.clone(), ours]] {
            let (count, begun) = (stored.len(), Instant::now());
            passwords.verify_each(password("a wrong password"), stored).await.unwrap();
            let over = begun.elapsed().checked_sub(FLOOR);
            assert!(over.is_some_and(|over| over < Duration::from_millis(5)), "{count}: {over:?}");
        }
        let begun = Instant::now();
        passwords.hash(password("correct horse")).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody learns anything from a sign-up");
    }

    /// Also where hashing is so slow that the floor does not hide it. No machine hashes in 5 ms.
    #[tokio::test]
    async fn an_account_that_is_not_there_costs_a_hash() {
        let begun = Instant::now();
        passwords().verify_each(password("whatever"), vec![]).await.unwrap();
        assert!(begun.elapsed() > Duration::from_millis(5), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_keeps_nobody_from_working() {
        let passwords = Passwords::new(1).with_floor(Duration::from_secs(10));
        let waiting = passwords.clone();
        let waiting =
            tokio::spawn(async move { waiting.verify_each(password("whatever"), vec![]).await });
        tokio::task::yield_now().await;
        assert!(passwords.hash(password("correct horse")).await.is_ok());
        assert!(!waiting.is_finished());
    }

    #[test]
    fn nothing_shows_a_password() {
        assert_eq!(format!("{:?}", password("correct horse")), "[password]");
    }
}
