//! Log-ins: guessing is slowed down, and nobody is locked out.

use std::{net::IpAddr, time::Duration};

use crate::{Cache, Delays, Key, delays::Numbers, process::AttemptKeys};

/// How long an address is remembered from which an account was logged in to.
const REMEMBER: Duration = Duration::from_hours(30 * 24);

/// Slows down guessing of passwords, by account and by address.
///
/// Each attempt is counted as failed *before* the password is looked at, so that a thousand guesses at
/// once are not a thousand free ones; [`Attempt::succeeded`] takes that back. An attempt that is told
/// to wait counts nothing, and should cost nothing: do not hash a password for it. An account need not
/// exist to be counted, so the answer does not tell whether it does.
///
/// The owner of an account that somebody else keeps guessing at gets in all the same: from where they
/// logged in within the last 30 days, only their own failures from there count; from elsewhere they
/// wait the longest delay at most, and take turns with the guesser.
///
/// ```
/// # use brownie_cache::Throttle;
/// # async fn log_in(throttle: &Throttle, address: std::net::IpAddr, password_is_right: bool) {
/// match throttle.attempt("ada@example.com", address).await {
///     Err(wait) => println!("429, Retry-After: {}", wait.as_secs() + 1),
///     Ok(attempt) if password_is_right => attempt.succeeded().await,
///     Ok(_) => println!("401"),
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Throttle {
    cache: Cache,
    account: Numbers,
    address: Numbers,
}

/// An attempt to log in, counted as failed.
#[derive(Debug)]
#[must_use = "an attempt that is dropped has failed"]
pub struct Attempt {
    throttle: Throttle,
    keys: AttemptKeys,
}

impl Throttle {
    /// Makes a throttle with delays for accounts and for addresses: [`Delays::ACCOUNT`] and
    /// [`Delays::ADDRESS`] unless there is a reason for others.
    pub fn new(cache: Cache, account: Delays, address: Delays) -> Self {
        Self { cache, account: account.numbers(), address: address.numbers() }
    }

    /// Begins an attempt at an account, named in the one spelling by which it is found.
    ///
    /// # Errors
    /// How long to wait, if it is too early.
    pub async fn attempt(&self, account: &str, address: IpAddr) -> Result<Attempt, Duration> {
        let keys = self.keys(account, address);
        match self.cache.attempt(&keys, &self.account, &self.address).await {
            0 => Ok(Attempt { throttle: self.clone(), keys }),
            wait => Err(Duration::from_micros(wait)),
        }
    }

    /// Forgets the failures of an account, as when its password was reset.
    pub async fn forgive(&self, account: &str) {
        self.cache.forgive(&account_key(account)).await;
    }

    fn keys(&self, account: &str, address: IpAddr) -> AttemptKeys {
        let pair = |kind| Key::new(kind).private(account).address(address);
        AttemptKeys {
            account: self.cache.write(&account_key(account)),
            address: self.cache.write(&Key::new("log-ins-from").address(address)),
            pair: self.cache.write(&pair("log-ins-to-from")),
            known: self.cache.write(&pair("logged-in-from")),
        }
    }
}

fn account_key(account: &str) -> Key {
    Key::new("log-ins-to").private(account)
}

impl Attempt {
    /// Takes back that it failed, clears the failures of the account, and remembers the address.
    pub async fn succeeded(self) {
        let Throttle { cache, address, .. } = &self.throttle;
        cache.succeed(&self.keys, address, REMEMBER).await;
    }
}
