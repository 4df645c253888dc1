//! One at a time, on whatever machines: advisory locks (PostgreSQL manual, section 13.3.5), which go
//! with the connection of whoever holds them, however that ends.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::{
    Dial, Error, Result,
    server::{Settle, find_pooler, settle},
};

/// How long a lock may be held by a connection that has ended.
const LEAVING: Duration = Duration::from_millis(1500);

/// What is done one at a time. A lock counts in the database in which it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Making backups, and removing them.
    Backup,
    /// Making databases of backups.
    Restore,
}

impl Work {
    /// The first seven bytes of "brownie", and one of ours: the migrator's has another.
    const fn key(self) -> i64 {
        match self {
            Self::Backup => 0x6272_6f77_6e69_6562,
            Self::Restore => 0x6272_6f77_6e69_6572,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup or clean-up",
            Self::Restore => "restore or drill",
        }
    }
}

/// A lock, held as long as this is, or until the connection breaks.
#[derive(Debug)]
pub(crate) struct Lock {
    client: Client,
}

impl Lock {
    /// Takes a lock, if nobody has it, or whoever has it is just leaving.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Pooler`], and what dialling says.
    pub(crate) async fn take(dial: &dyn Dial, database: Option<&str>, work: Work) -> Result<Self> {
        let client = dial.dial(database).await?;
        let client = if dial.is_single() {
            client
        } else {
            let clients = [client, dial.dial(database).await?];
            find_pooler(&clients).await?;
            let [client, _] = clients;
            client
        };
        settle(&client, Settle::Session).await?;
        // The server may not have noticed yet that the connection of the command before is gone.
        let deadline = Instant::now() + LEAVING;
        while !ask(&client, "SELECT pg_try_advisory_lock($1)", work).await? {
            if Instant::now() >= deadline {
                return Err(Error::Busy { what: work.name() });
            }
            #[expect(clippy::disallowed_methods, reason = "nobody says when a server has noticed")]
            sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { client })
    }

    /// Returns the connection that holds it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

/// Takes a lock until the end of a connection's transaction, if nobody has it.
pub(crate) async fn take_in_transaction(client: &Client, work: Work) -> Result<()> {
    if ask(client, "SELECT pg_try_advisory_xact_lock($1)", work).await? {
        Ok(())
    } else {
        Err(Error::Busy { what: work.name() })
    }
}

async fn ask(client: &Client, sql: &str, work: Work) -> Result<bool> {
    let answer = client.query_one(sql, &[&work.key()]).await.and_then(|row| row.try_get(0));
    answer.map_err(Error::database("taking the lock"))
}
