//! The walls as PostgreSQL's catalogue has them: a table, a policy, a function or a grant that is not
//! as it should be fails a test by name.

use std::collections::BTreeSet;

use harness::Postgres;
use tokio_postgres::Client;

/// Partitions are looked at by themselves.
const TABLES: &str = "SELECT c.relname::text FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND c.relname <> 'seaql_migrations'
      AND c.relname NOT IN ('operations', 'backup_reports', 'login_guesses')";

async fn names(client: &Client, sql: &str) -> BTreeSet<String> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}

#[tokio::test]
async fn every_tenant_table_is_walled_in() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let open = format!("{TABLES} AND NOT (c.relrowsecurity AND c.relforcerowsecurity)");
    assert_eq!(names(&client, &open).await, none(), "no row-level security, or not forced");

    // For everybody, reading and writing alike, and evaluated once per statement: in a sub-select.
    let wall = r"'^\((org_id|id) = \( SELECT \(NULLIF\(current_setting\(''app.org_id''::text, true\), ''''::text\)\)::uuid AS .*\)\)$'";
    let without = format!(
        "{TABLES} AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid
            AND p.polname = c.relname || '_tenant' AND p.polcmd = '*' AND p.polpermissive
            AND p.polroles = '{{0}}' AND pg_get_expr(p.polqual, c.oid) ~ {wall}
            AND pg_get_expr(p.polwithcheck, c.oid) ~ {wall})"
    );
    assert_eq!(names(&client, &without).await, none(), "no wall, or another one");

    // Who else gets through: every policy is named after its table.
    let gates = "SELECT polname || ' for ' ||
            (SELECT string_agg(rolname, ',') FROM pg_roles WHERE oid = ANY (polroles))
         FROM pg_policy JOIN pg_class c ON c.oid = polrelid
         WHERE polname <> c.relname || '_tenant' AND polname <> c.relname || '_backup'";
    let expected = ["organizations_lookup for brownie-lookup", "users_lookup for brownie-lookup"];
    assert_eq!(names(&client, gates).await, expected.map(str::to_owned).into());
    let wide = r#"SELECT polname::text FROM pg_policy WHERE right(polname, 7) = '_backup'
        AND (polcmd <> 'r' OR polroles <> ARRAY['"brownie-backup"'::regrole::oid])"#;
    assert_eq!(names(&client, wide).await, none());

    // Those made later, too.
    client
        .batch_execute(r#"SET ROLE "brownie-migrator"; SELECT make_partitions(5); RESET ROLE"#)
        .await
        .unwrap();
    let parts = "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r'
        AND (NOT relrowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid)
             OR has_table_privilege('brownie-server', oid, 'SELECT, INSERT, UPDATE'))";
    assert_eq!(names(&client, parts).await, none(), "opened by its own name");
}

/// The test above notices a wall that is missing: each of these takes one away.
#[tokio::test]
async fn a_wall_that_is_missing_is_noticed() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    for breach in [
        "ALTER TABLE teams NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE teams DISABLE ROW LEVEL SECURITY",
    ] {
        client.batch_execute(breach).await.unwrap();
        let open = format!("{TABLES} AND NOT (c.relrowsecurity AND c.relforcerowsecurity)");
        assert_eq!(names(&client, &open).await, BTreeSet::from(["teams".to_owned()]), "{breach}");
    }
}

#[tokio::test]
async fn the_server_owns_nothing_and_the_public_may_nothing() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let others = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p', 'S') AND pg_get_userbyid(relowner) <> 'brownie-migrator'
        UNION SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            AND pg_get_userbyid(proowner) <> 'brownie-migrator'";
    let of_lookup =
        ["linked_accounts", "login_accounts", "organization_ids"].map(str::to_owned).into();
    assert_eq!(names(&client, others).await, of_lookup, "not the owner's");
    let public = "SELECT relname::text FROM pg_class, aclexplode(relacl)
            WHERE grantee = 0 AND relnamespace = 'public'::regnamespace
        UNION SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner)))
                        WHERE grantee = 0)";
    assert_eq!(names(&client, public).await, none(), "open to PUBLIC");
    let loose = "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        AND coalesce(proconfig::text, '') NOT LIKE '%search_path=%'";
    assert_eq!(names(&client, loose).await, none(), "no fixed search_path");
    let powerful = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'brownie-%'
        AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)";
    assert_eq!(names(&client, powerful).await, none());
    let removable = "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND has_table_privilege('brownie-server', oid, 'DELETE, TRUNCATE')";
    assert_eq!(names(&client, removable).await, none());
}

/// The server asks, and calls off; it cannot say that anything was done, nor what backups there are.
#[tokio::test]
async fn the_server_only_queues_operations() {
    let database = Postgres::shared().database();
    let server = database.connect_as("brownie-server").await;
    let queued = "INSERT INTO operations (id, kind, requested_by)
        VALUES ('01a1fca1-0000-7000-8000-000000000001', 'backup.create', 'ada')";
    server.batch_execute(queued).await.unwrap();
    server.batch_execute("UPDATE operations SET cancel_requested_at = now()").await.unwrap();
    for refused in [
        "INSERT INTO operations (id, kind, requested_by, state)
            VALUES (gen_random_uuid(), 'backup.create', 'ada', 'succeeded')",
        "UPDATE operations SET state = 'succeeded'",
        "UPDATE operations SET request = '{}'",
        "UPDATE operations SET requested_by = 'grace'",
        "DELETE FROM operations",
        "INSERT INTO backup_reports (id) VALUES (1)",
        "UPDATE backup_reports SET runs = '{}'",
    ] {
        let error = server.batch_execute(refused).await.unwrap_err();
        let code = error.code().map(tokio_postgres::error::SqlState::code);
        assert_eq!(code, Some("42501"), "{refused}");
    }
    // The worker may, and reads the tenants' rows, and writes none.
    let worker = database.connect_as("brownie-backup").await;
    worker
        .batch_execute(
            "UPDATE operations SET state = 'succeeded'; DELETE FROM operations;
             INSERT INTO backup_reports (id) VALUES (1)",
        )
        .await
        .unwrap();
    let writable = "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
          AND has_any_column_privilege('brownie-backup', oid, 'INSERT, UPDATE')";
    let client = database.connect().await;
    let expected = ["backup_reports", "operations"].map(str::to_owned).into();
    assert_eq!(names(&client, writable).await, expected);
}

/// The order of events rests on it: a session that took positions in advance would give out lower
/// ones later.
#[tokio::test]
async fn positions_are_given_one_by_one() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let cached = "SELECT seqrelid::regclass::text FROM pg_sequence WHERE seqcache <> 1";
    assert_eq!(names(&client, cached).await, none());
}

/// Purging and bringing back look for what was deleted, by organization.
#[tokio::test]
async fn what_was_deleted_is_found_by_an_index() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let without = format!(
        "{TABLES} AND EXISTS (SELECT FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname = 'deleted_at')
         AND NOT EXISTS (SELECT FROM pg_class i JOIN pg_index x ON x.indexrelid = i.oid
            WHERE x.indrelid = c.oid AND i.relname = c.relname || '_org_id_deleted_at_idx'
              AND pg_get_indexdef(i.oid) LIKE '%(org_id, deleted_at DESC, id DESC) WHERE%')"
    );
    // An organization is not deleted by anybody yet, and its id is the organization.
    let expected = BTreeSet::from(["organizations".to_owned()]);
    assert_eq!(names(&client, &without).await, expected);
}

/// Whoever removes a row asks who refers to it, deleted rows included.
#[tokio::test]
async fn every_reference_is_found_by_an_index_of_all_rows() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let without = "SELECT k.conname::text FROM pg_constraint k
        WHERE k.contype = 'f' AND k.conparentid = 0 AND cardinality(k.conkey) = 2
          AND k.connamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = k.conrelid
              AND x.indkey[0] = k.conkey[1] AND x.indkey[1] = k.conkey[2]
              AND coalesce(pg_get_expr(x.indpred, x.indrelid), '') !~ 'deleted_at')";
    assert_eq!(names(&client, without).await, none());
}

/// A table that a later migration makes needs one line to be covered.
#[tokio::test]
async fn a_table_to_come_is_granted_and_walled_in() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    client
        .batch_execute(
            r#"SET ROLE "brownie-migrator";
               CREATE TABLE notes (org_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (org_id, id));
               SELECT wall_in('notes')"#,
        )
        .await
        .unwrap();
    let server = database.connect_as("brownie-server").await;
    server
        .batch_execute(
            "BEGIN; SET LOCAL app.org_id = '00000000-0000-7000-8000-000000000001';
             INSERT INTO notes VALUES ('00000000-0000-7000-8000-000000000001', gen_random_uuid());
             COMMIT",
        )
        .await
        .unwrap();
    let count = async |role: &str| -> i64 {
        let client = database.connect_as(role).await;
        client.query_one("SELECT count(*) FROM notes", &[]).await.unwrap().get(0)
    };
    assert_eq!((count("brownie-server").await, count("brownie-backup").await), (0, 1));
}

#[tokio::test]
async fn what_is_said_of_references_and_of_time_tables_is_so() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let references =
        "SELECT confrelid::regclass || ' <- ' || conrelid::regclass || '.' || a.attname
        FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[2]
        WHERE contype = 'f' AND conparentid = 0 AND cardinality(conkey) = 2
          AND connamespace = 'public'::regnamespace
          AND EXISTS (SELECT FROM pg_attribute d WHERE d.attrelid = confrelid
              AND d.attname = 'deleted_at')
          AND confdeltype <> 'c'";
    let known = brownie_persistence::known_references();
    let known: BTreeSet<String> =
        known.iter().map(|(to, by, column)| format!("{to} <- {by}.{column}")).collect();
    assert_eq!(known, names(&client, references).await);
    let time_tables = "SELECT relname::text FROM pg_class
        WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace";
    let known = brownie_migration::TimeTable::ALL.iter().map(|table| table.as_str().to_owned());
    assert_eq!(known.collect::<BTreeSet<_>>(), names(&client, time_tables).await);
}
