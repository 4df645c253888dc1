//! Guesses at passwords: counted in the database, so that all servers together answer so many and no more.

use std::time::Duration;

use brownie_domain::{EmailAddress, UserId};
use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use crate::{Result, SystemScope};

/// What is guessed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guessed {
    /// Accounts of a mailbox, in whatever organization. There need be none, so that counting tells nothing.
    Mailbox(EmailAddress),
    /// The account that a device has logged in to before.
    Device(Uuid),
    /// The password so far, of a user who is logged in.
    User(UserId),
}

impl Guessed {
    /// Returns what it is counted by; the database keeps a digest of it.
    fn name(&self) -> String {
        match self {
            Self::Mailbox(email) => format!("mailbox {email}"),
            Self::Device(id) => format!("device {id}"),
            Self::User(id) => format!("user {id}"),
        }
    }
}

/// How many guesses are answered: a burst, and then one each `spacing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimit {
    spacing: Duration,
    burst: u32,
}

impl GuessLimit {
    /// Allows `limit` within any hour, the first half of them at once. None for any number, which is 0.
    pub fn per_hour(limit: u32) -> Option<Self> {
        let burst = limit.div_ceil(2);
        // What is left of the limit comes back evenly, the last of it when the hour is over.
        let later = (limit - burst).max(1);
        (limit > 0).then(|| Self { spacing: Duration::from_hours(1) / later, burst })
    }
}

impl SystemScope {
    /// Counts a guess before the password is looked at, so that a thousand at once are not free ones. Returns
    /// how long to wait, if it is too early; nothing is counted then.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_guess(&self, at: &Guessed, limit: GuessLimit) -> Result<Option<Duration>> {
        let GuessLimit { spacing, burst } = limit;
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT ceil(extract(epoch FROM count_login_guess($1, make_interval(secs => $2),
                make_interval(secs => $3))))::bigint AS wait",
            [
                at.name().into(),
                spacing.as_secs_f64().into(),
                (spacing * burst).as_secs_f64().into(),
            ],
        );
        let rows = self.store().engine().write_unscoped(statement).await?;
        let wait: Option<i64> = rows.first().map_or(Ok(None), |row| row.try_get("wait"))?;
        Ok(wait.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(1))))
    }

    /// Takes back a guess that was right.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn return_guess(&self, at: &Guessed, limit: GuessLimit) -> Result<()> {
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT return_login_guess($1, make_interval(secs => $2))",
            [at.name().into(), limit.spacing.as_secs_f64().into()],
        );
        self.store().engine().write_unscoped(statement).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In any hour, its first and last instant included: the burst, and one for each `spacing` that fits.
    #[test]
    fn no_hour_has_more_than_the_limit() {
        assert_eq!(GuessLimit::per_hour(0), None);
        for limit in 2..200 {
            let GuessLimit { spacing, burst } = GuessLimit::per_hour(limit).unwrap();
            let later = Duration::from_hours(1).as_nanos() / spacing.as_nanos();
            assert_eq!(u128::from(burst) + later, u128::from(limit), "{limit}");
        }
    }
}
