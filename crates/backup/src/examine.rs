//! Whether a backup could be made, without making one.

use brownie_domain::{Clock, Timestamp};
use bytes::Bytes;
use chrono::TimeDelta;
use object_store::ObjectStoreExt;

use crate::{Dial, Error, Plan, Result, Store, server::find_pooler, snapshot::judge_row_security};

/// Finds out whether a role sees every row of every table, and returns how many tables there are.
/// Takes no lock that another backup would mind.
///
/// # Errors
/// [`Error::Pooler`], [`Error::Empty`], [`Error::Filtered`]; [`Error::Settings`] when the role may not
/// read a table at all.
pub async fn may_back_up(dial: &dyn Dial) -> Result<usize> {
    const UNREADABLE: &str = "SELECT c.relname::text, current_user::text, current_database()::text
        FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname::text = ANY ($1) AND NOT has_table_privilege(c.oid, 'SELECT')
        ORDER BY c.relname LIMIT 1";
    let doing = "asking what the role may read";
    let clients = [dial.dial(None).await?, dial.dial(None).await?];
    find_pooler(&clients).await?;
    let [client, _] = &clients;
    let plan = Plan::read(client).await?;
    if plan.tables.is_empty() {
        let row = client.query_one("SELECT current_database()::text", &[]).await;
        let database = row.and_then(|row| row.try_get(0)).map_err(Error::database(doing))?;
        return Err(Error::Empty { database });
    }
    let names: Vec<&str> = plan.tables.iter().map(|(table, _)| table.name.as_str()).collect();
    let unreadable = client.query_opt(UNREADABLE, &[&names]).await;
    if let Some(row) = unreadable.map_err(Error::database(doing))? {
        let get = || Ok((row.try_get(0)?, row.try_get(1)?));
        let (table, role): (String, String) = get().map_err(Error::database(doing))?;
        return Err(Error::Settings(format!(
            "the role {role} may not read {table}; log in as brownie-backup"
        )));
    }
    judge_row_security(client, &plan).await?;
    Ok(names.len())
}

/// Writes an object, looks at it and removes it. Returns how far the store's clock is ahead of ours,
/// and half the time that it took to ask; a store tells whole seconds.
///
/// `id` makes the object's name one that nobody else has.
///
/// # Errors
/// What the store said, and at which step.
pub async fn try_store(
    store: &Store,
    clock: &dyn Clock,
    id: &str,
) -> Result<(TimeDelta, TimeDelta)> {
    // Were it left behind, a clean-up would remove it as what belongs to no backup.
    let key = format!("doctor-{id}/probe");
    let asked: Timestamp = clock.now();
    if !store.put_new(&key, Bytes::from_static(b"brownie-backup doctor")).await? {
        return Err(Error::Settings(format!("somebody else writes {key}, too")));
    }
    let half = (clock.now() - asked) / 2;
    let looked = store.objects().head(&store.path(&key)).await;
    let read = store.read(&key).await;
    // Whatever was seen: nothing stays behind.
    store.delete(&key).await?;
    let meta = looked.map_err(|error| Error::store("looking at", &key, error))?;
    if read?.as_deref() != Some(b"brownie-backup doctor") {
        return Err(Error::Damaged { object: key, what: "it is not what was written".to_owned() });
    }
    Ok((meta.last_modified - (asked + half), half + TimeDelta::milliseconds(500)))
}
