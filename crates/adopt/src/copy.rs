//! Copying the rows of a table, and comparing them afterwards.
//!
//! Our tables' owner is walled in, too, and this is about all organizations: each transaction lifts
//! FORCE for itself alone. Nobody uses ours yet.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use uuid::Uuid;

use crate::{
    Error,
    columns::Table,
    run::{ORIGINAL, WORK, transaction},
    source::{is, statement},
};

/// Copies what is not copied yet, `batch` rows to a transaction.
pub(crate) async fn copy(
    db: &DatabaseConnection,
    table: &'static Table,
    batch: u32,
) -> Result<(), Error> {
    while copy_some(db, table, batch.max(1)).await.map_err(|error| of_step(error, table))? {}
    Ok(())
}

/// Copies a batch. Returns whether there may be another.
async fn copy_some(db: &DatabaseConnection, table: &Table, batch: u32) -> Result<bool, Error> {
    let name = table.name;
    let transaction = unforced(db, table).await?;
    let sql = format!("SELECT last_id, rows FROM {WORK}.copied WHERE tbl = '{name}'");
    let (from, rows): (Option<Uuid>, i64) =
        match transaction.query_one_raw(statement(&transaction, sql)).await? {
            Some(row) => (row.try_get_by_index(0)?, row.try_get_by_index(1)?),
            None => (None, 0),
        };
    // A table that is done has a number of rows and no last id.
    let known = format!("EXISTS (SELECT FROM {WORK}.copied WHERE tbl = '{name}')");
    if from.is_none() && is(&transaction, &known).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    if from.is_none() {
        transaction.execute_unprepared(&make_missing(name)).await?;
    }
    let (names, mapping) = (table.names(), table.mapping(WORK, ORIGINAL));
    let after = from.map_or_else(String::new, |id| format!("WHERE t.id > '{id}'"));
    let key = table.key();
    let sql = format!(
        "WITH batch AS MATERIALIZED ({mapping} {after} ORDER BY t.id LIMIT {batch}),
              copied AS (INSERT INTO public.{name} ({names}) SELECT {names} FROM batch
                         ON CONFLICT ({key}) DO NOTHING)
         SELECT count(*), (SELECT id FROM batch ORDER BY id DESC LIMIT 1) FROM batch"
    );
    let (count, last): (i64, Option<Uuid>) =
        match transaction.query_one_raw(statement(&transaction, sql)).await? {
            Some(row) => (row.try_get_by_index(0)?, row.try_get_by_index(1)?),
            None => (0, None),
        };
    let more = count >= i64::from(batch);
    let last = last.filter(|_| more).map_or_else(|| "NULL".to_owned(), |id| format!("'{id}'"));
    let rows = rows + count;
    transaction
        .execute_unprepared(&format!(
            "INSERT INTO {WORK}.copied VALUES ('{name}', {last}, {rows})
             ON CONFLICT (tbl) DO UPDATE SET last_id = excluded.last_id, rows = excluded.rows"
        ))
        .await?;
    force(transaction, table).await?;
    tracing::info!(table = name, rows, "copied");
    Ok(more)
}

/// Begins a transaction in which row-level security does not hold the owner of a table.
async fn unforced(db: &DatabaseConnection, table: &Table) -> Result<DatabaseTransaction, Error> {
    let transaction = transaction(db).await?;
    let lift = format!("ALTER TABLE public.{} NO FORCE ROW LEVEL SECURITY", table.name);
    transaction.execute_unprepared(&lift).await?;
    Ok(transaction)
}

/// And makes it hold them again, before the end.
async fn force(transaction: DatabaseTransaction, table: &Table) -> Result<(), DbErr> {
    let again = format!("ALTER TABLE public.{} FORCE ROW LEVEL SECURITY", table.name);
    transaction.execute_unprepared(&again).await?;
    transaction.commit().await
}

fn of_step(error: Error, table: &'static Table) -> Error {
    match error {
        Error::Database(source) => Error::Step { step: table.name, source },
        other => other,
    }
}

/// Makes the organizations and teams that rows name and that are not there.
fn make_missing(table: &str) -> String {
    let made = format!("FROM {WORK}.made WHERE tbl = '{table}' ON CONFLICT DO NOTHING");
    match table {
        "organizations" => format!(
            "INSERT INTO public.organizations (id, name, slug, is_active)
             SELECT id, 'Recreated ' || id, 'recreated-' || id, false {made}"
        ),
        "teams" => format!(
            "INSERT INTO public.teams (org_id, id, name, slug, is_active)
             SELECT org_id, id, 'Recreated ' || id, 'recreated-' || id, false {made}"
        ),
        _ => "SELECT".to_owned(),
    }
}

/// Compares a table with what was there, and records it.
pub(crate) async fn compare(db: &DatabaseConnection, table: &'static Table) -> Result<(), Error> {
    let failed = |source| Error::Step { step: table.name, source };
    let transaction = unforced(db, table).await.map_err(|error| of_step(error, table))?;
    let (name, names) = (table.name, table.names());
    let of = |rows: &str| {
        format!(
            "SELECT count(*), coalesce(sum(('x' || left(md5(ROW({names})::text), 15))::bit(60)::bigint), 0)::text
             FROM ({rows}) AS rows"
        )
    };
    let there = of(&table.mapping(WORK, ORIGINAL));
    let here = of(&format!(
        "SELECT * FROM public.{name} AS t WHERE NOT EXISTS
            (SELECT FROM {WORK}.made AS m WHERE m.tbl = '{name}' AND m.id = t.id)"
    ));
    let mut sides = Vec::new();
    for sql in [there, here] {
        if let Some(row) =
            transaction.query_one_raw(statement(&transaction, sql)).await.map_err(failed)?
        {
            let side: (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            sides.push(side);
        }
    }
    if let [(there, then), (here, now)] = &sides[..]
        && (there, then) != (here, now)
    {
        let hashes_agree = then == now;
        return Err(Error::Differs { table: name, there: *there, here: *here, hashes_agree });
    }
    if let Some((rows, hash)) = sides.first() {
        transaction
            .execute_unprepared(&format!(
                "INSERT INTO {WORK}.compared VALUES ('{name}', {rows}, '{hash}')
                 ON CONFLICT (tbl) DO UPDATE SET rows = excluded.rows, hash = excluded.hash"
            ))
            .await
            .map_err(failed)?;
    }
    force(transaction, table).await.map_err(failed)
}
