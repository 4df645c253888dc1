//! The one transaction in which an organization changes, and what is counted instead on a dry run.

use std::time::Duration;

use brownie_domain::{Clock, IdSource};
use serde_json::{Map, Value, json};
use tokio_postgres::{Client, error::SqlState};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Named, Problem, TableChanges,
    changes::Changes,
    find::find,
    live::{Live, is_at_head},
    tables::{Rule, TenantTable},
};
use crate::{Error, Result, server::literal, task::unless_cancelled};

/// How often to begin anew when a writer of the organization was in the way.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// How an organization comes into the live database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// As the one that it is, or was.
    Back,
    /// As one that has not been there.
    New,
}

/// An organization whose rows are staged.
pub(crate) struct Applying<'a> {
    pub(crate) live: &'a Live,
    pub(crate) tables: &'a [TenantTable],
    pub(crate) staged: Vec<&'a TenantTable>,
    pub(crate) organization: Uuid,
    pub(crate) slug: &'a str,
    pub(crate) arrival: Arrival,
    /// What the audit log says besides the numbers.
    pub(crate) told: Vec<(&'static str, String)>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) ids: &'a dyn IdSource,
}

/// What was done, or would be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    pub(crate) tables: Vec<TableChanges>,
    pub(crate) sessions_ended: u64,
}

impl Applying<'_> {
    /// Counts what would change, in one snapshot.
    pub(crate) async fn count(&self) -> Result<Done> {
        self.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let outcome = self.count_all().await;
        self.roll_back().await;
        outcome
    }

    async fn count_all(&self) -> Result<Done> {
        let is_known = self.is_there("").await?;
        let mut tables = Vec::new();
        for table in &self.staged {
            let sql = self.changes(table, is_known).count(&self.restored());
            let failed =
                || Error::database(format!("counting what would change in {}", table.name));
            let row = self.client().query_one(&sql, &[]).await.map_err(failed())?;
            let get = |at: usize| {
                row.try_get::<_, i64>(at)
                    .map(|rows| u64::try_from(rows).unwrap_or(0))
                    .map_err(failed())
            };
            let (added, changed, removed) = (get(0)?, get(1)?, get(2)?);
            tables.push(TableChanges { table: table.name.clone(), added, changed, removed });
        }
        let failed = || Error::database("counting sessions");
        let sql = format!("SELECT count(*) {OPEN_SESSIONS}'{}'", self.organization);
        let open =
            self.client().query_one(&sql, &[]).await.and_then(|row| row.try_get::<_, i64>(0));
        let sessions_ended = u64::try_from(open.map_err(failed())?).unwrap_or(0);
        Ok(Done { tables, sessions_ended })
    }

    /// Does it: all of it, or nothing. Called off, it does nothing; but not while it is committed.
    pub(crate) async fn apply(&self, cancel: &CancellationToken) -> Result<Done> {
        for attempt in 1.. {
            match unless_cancelled(cancel, self.attempt()).await {
                Ok(done) => {
                    return match self.client().batch_execute("COMMIT").await {
                        Ok(()) => Ok(done),
                        Err(error) if error.code().is_none() => Err(Problem::InDoubt(error).into()),
                        Err(error) => Err(Error::database("committing")(error)),
                    };
                }
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => {
                    self.roll_back().await;
                    if !is_contended(&error) {
                        return Err(self.explain(error).await);
                    }
                    if attempt == TRIES {
                        return Err(Problem::Contended(self.organization).into());
                    }
                }
            }
            unless_cancelled(cancel, async {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a lock that was not got in time is tried for again"
                )]
                tokio::time::sleep(PAUSE).await;
                Ok(())
            })
            .await?;
        }
        Err(Error::Cancelled)
    }

    /// Does everything but the commit.
    async fn attempt(&self) -> Result<Done> {
        self.begin("").await?;
        // Against changes of the schema, until the end. Reading and writing rows goes on.
        let names: Vec<String> = self.tables.iter().map(TenantTable::live).collect();
        let lock = format!("LOCK TABLE {} IN ROW EXCLUSIVE MODE", names.join(", "));
        self.execute("locking the schema", &lock).await?;
        is_at_head(self.client(), &self.live.database).await?;
        // Every new row of the organization refers to its row here, and so does the record that every
        // unit of work ends with: from now on they wait for us, and we have waited for all before.
        // Whoever has changed a row, and has not come to its record, holds that row and waits for us.
        // So we do not wait for it for long, but let it go first.
        let is_known = self.is_there("FOR UPDATE").await?;
        if is_known && self.arrival == Arrival::New {
            return Err(Problem::Exists(self.organization).into());
        }
        self.execute("setting up the transaction", "SET LOCAL lock_timeout = '500ms'").await?;
        let sessions_ended = self.end_sessions().await?;
        let tables = self.change_all(is_known).await?;
        self.compare_all(is_known).await?;
        self.record(&tables, sessions_ended).await?;
        Ok(Done { tables, sessions_ended })
    }

    /// Names go first, so that they can be given anew; then rows come in the order of references, and
    /// go in the other one.
    async fn change_all(&self, is_known: bool) -> Result<Vec<TableChanges>> {
        let restored = self.restored();
        if is_known {
            for table in &restored {
                if let Some(park) = self.changes(table, is_known).park() {
                    self.execute(&table.name, &park).await?;
                }
            }
        }
        let mut done = Vec::new();
        for table in &self.staged {
            let changes = self.changes(table, is_known);
            let mut counts = TableChanges { table: table.name.clone(), ..TableChanges::default() };
            if table.rule == Rule::Restored && is_known {
                counts.changed = self.execute(&table.name, &changes.change()).await?;
            }
            if table.rule != Rule::Narrowed {
                counts.added = self.execute(&table.name, &changes.add()).await?;
            }
            done.push(counts);
        }
        for (table, counts) in self.staged.iter().zip(&mut done).rev() {
            if table.rule != Rule::Added && is_known {
                let remove = self.changes(table, is_known).remove(&restored);
                counts.removed = self.execute(&table.name, &remove).await?;
            }
        }
        Ok(done)
    }

    /// Makes sure that the rows are the backup's now, whatever triggers there are.
    async fn compare_all(&self, is_known: bool) -> Result<()> {
        for table in self.restored() {
            let failed = || Error::database(format!("comparing {}", table.name));
            let sql = self.changes(table, is_known).count_others();
            let others = self.client().query_one(&sql, &[]).await;
            let others: i64 = others.and_then(|row| row.try_get(0)).map_err(failed())?;
            if others != 0 {
                let what = format!("{others} of its rows are others");
                return Err(Error::Differs { table: table.name.clone(), what });
            }
        }
        Ok(())
    }

    async fn end_sessions(&self) -> Result<u64> {
        let now = self.clock.now().to_rfc3339();
        let sql = format!(
            "WITH ended AS (SELECT org_id, id {OPEN_SESSIONS}'{}')
             UPDATE public.sessions AS l SET revoked_at = {}::timestamptz FROM ended
             WHERE l.org_id = ended.org_id AND l.id = ended.id",
            self.organization,
            literal(&now)
        );
        self.execute("ending sessions", &sql).await
    }

    /// Writes one audit row and one event, however many rows changed.
    async fn record(&self, tables: &[TableChanges], sessions_ended: u64) -> Result<()> {
        let after = |value: Value| json!({"after": value});
        let mut changes = Map::new();
        for (name, value) in &self.told {
            changes.insert((*name).to_owned(), after(value.clone().into()));
        }
        changes.insert("sessions_ended".to_owned(), after(sessions_ended.into()));
        for one in tables.iter().filter(|one| !one.is_empty()) {
            let counts =
                json!({"added": one.added, "changed": one.changed, "removed": one.removed});
            changes.insert(one.table.clone(), after(counts));
        }
        let now = self.clock.now();
        let action = match self.arrival {
            Arrival::Back => "organization.restored",
            Arrival::New => "organization.created",
        };
        let (org, at, action) =
            (literal(&self.organization.to_string()), literal(&now.to_rfc3339()), literal(action));
        let id = || literal(&self.ids.next(now).to_string());
        let audit = format!(
            "INSERT INTO public.audit_log (org_id, id, occurred_at, actor_kind, actor_name, request_id,
                action, resource, resource_id, version, changes)
             SELECT id, {}::uuid, {at}::timestamptz, 'job', 'brownie-backup', {}::uuid, {action},
                'organization', id, version,
                {}::jsonb || jsonb_build_object('role', jsonb_build_object('after', session_user))
             FROM public.organizations WHERE id = {org}::uuid",
            id(),
            id(),
            literal(&Value::Object(changes).to_string())
        );
        self.execute("writing the audit row", &audit).await?;
        let event = format!(
            "INSERT INTO public.outbox (org_id, id, occurred_at, event, resource, resource_id, version)
             SELECT id, {}::uuid, {at}::timestamptz, {action}, 'organization', id, version
             FROM public.organizations WHERE id = {org}::uuid",
            id()
        );
        self.execute("writing the event", &event).await.map(drop)
    }

    async fn begin(&self, mode: &str) -> Result<()> {
        let sql = format!(
            "BEGIN {mode}; SET LOCAL app.org_id = {}",
            literal(&self.organization.to_string())
        );
        self.client()
            .batch_execute(&sql)
            .await
            .map_err(Error::database("beginning the transaction"))
    }

    async fn roll_back(&self) {
        // Where this fails the connection is gone, and the transaction with it.
        let _ = self.client().batch_execute("ROLLBACK").await;
    }

    async fn is_there(&self, locking: &str) -> Result<bool> {
        let sql = format!(
            "SELECT FROM public.organizations WHERE id = '{}' {locking}",
            self.organization
        );
        let found = self.client().query_opt(&sql, &[]).await;
        Ok(found.map_err(Error::database("looking for the organization"))?.is_some())
    }

    /// Turns what the database says about a name that was taken in between into words.
    async fn explain(&self, error: Error) -> Error {
        let Error::Database { source, .. } = &error else { return error };
        let constraint = source.as_db_error().and_then(|it| it.constraint().map(str::to_owned));
        if constraint.as_deref() != Some("organizations_slug_key") {
            return error;
        }
        let Ok(named) = self.slug.parse::<Named>() else { return error };
        let found = find(self.client(), &named).await.unwrap_or_default();
        match found.iter().find(|it| !it.is_deleted && it.id != self.organization) {
            Some(other) => Problem::SlugTaken { slug: other.slug.clone(), by: other.id }.into(),
            None => error,
        }
    }

    async fn execute(&self, doing: &str, sql: &str) -> Result<u64> {
        let failed = Error::database(format!("bringing the organization back ({doing})"));
        self.client().execute(sql, &[]).await.map_err(failed)
    }

    fn changes<'t>(&self, table: &'t TenantTable, is_known: bool) -> Changes<'t> {
        Changes { table, organization: self.organization, is_known }
    }

    fn restored(&self) -> Vec<&TenantTable> {
        self.staged.iter().copied().filter(|table| table.rule == Rule::Restored).collect()
    }

    fn client(&self) -> &Client {
        &self.live.client
    }
}

const OPEN_SESSIONS: &str = "FROM public.sessions WHERE revoked_at IS NULL AND org_id = ";

/// Tells whether a writer was in the way, or we in its.
fn is_contended(error: &Error) -> bool {
    let Error::Database { source, .. } = error else { return false };
    source.code().is_some_and(|code| {
        [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .contains(code)
    })
}
