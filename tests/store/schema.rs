//! The schema as PostgreSQL has it, compared with what we say of it.

use std::collections::BTreeSet;

use harness::Postgres;
use tokio_postgres::Client;

/// Tables without an `org_id`, and why. A name that is not needed here fails the test, too.
const WITHOUT_ORG_ID: &[(&str, &str)] = &[
    ("backup_reports", "backups are of the whole database; for operators"),
    ("login_guesses", "at log-in the organization is not known yet"),
    ("operations", "operations are of the whole database; for operators"),
    ("organizations", "its id is the organization"),
    ("seaql_migrations", "sea-orm's ledger of migrations"),
];

/// Indexes that do not begin with `org_id`, and why.
const NOT_LED_BY_ORG_ID: &[(&str, &str)] = &[
    ("backup_reports_pkey", "of the whole database"),
    ("login_guesses_pkey", "at log-in the organization is not known yet"),
    ("login_guesses_until_idx", "at log-in the organization is not known yet"),
    ("operations_created_at_idx", "of the whole database"),
    ("operations_open_idx", "of the whole database"),
    ("operations_pkey", "of the whole database"),
    ("operations_requested_by_request_key_key", "of the whole database"),
    ("organizations_pkey", "its id is the organization"),
    ("organizations_slug_key", "a slug names an organization in a URL: unique among all"),
    ("seaql_migrations_pkey", "sea-orm's ledger of migrations"),
    ("users_email_idx", "at log-in the organization is not known yet"),
    ("users_oidc_subject_idx", "at log-in the organization is not known yet"),
];

/// Partitions inherit what they have from their parent.
const TABLES: &str = "
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition";

async fn names(client: &Client, sql: &str) -> BTreeSet<String> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn set(exemptions: &[(&str, &str)]) -> BTreeSet<String> {
    exemptions.iter().map(|(name, _)| (*name).to_owned()).collect()
}

#[tokio::test]
async fn every_table_has_an_org_id_or_a_reason() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let without = names(
        &client,
        &format!(
            "{TABLES} AND NOT EXISTS (SELECT 1 FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND a.attnotnull)"
        ),
    )
    .await;
    assert_eq!(without, set(WITHOUT_ORG_ID));
}

#[tokio::test]
async fn every_tenant_table_has_the_key_org_id_id() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let others = names(
        &client,
        &format!(
            "{TABLES} AND coalesce((SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
                WHERE k.conrelid = c.oid AND k.contype = 'p'), '') <> 'PRIMARY KEY (org_id, id)'"
        ),
    )
    .await;
    assert_eq!(others, set(WITHOUT_ORG_ID));
}

#[tokio::test]
async fn every_index_is_led_by_org_id_or_has_a_reason() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let others = names(
        &client,
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
         JOIN pg_class t ON t.oid = x.indrelid
         WHERE t.relnamespace = 'public'::regnamespace AND NOT t.relispartition
           AND pg_get_indexdef(x.indexrelid, 1, true) <> 'org_id'",
    )
    .await;
    assert_eq!(others, set(NOT_LED_BY_ORG_ID));
}

#[tokio::test]
async fn a_reference_inside_a_tenant_carries_the_tenant() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let others = names(
        &client,
        "SELECT conname FROM pg_constraint
         WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0
           AND confrelid <> 'organizations'::regclass
           AND pg_get_constraintdef(oid) !~ '^FOREIGN KEY \\(org_id, \\w+\\) REFERENCES \\w+\\(org_id, id\\)'",
    )
    .await;
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn every_constraint_is_named_after_its_table_and_columns() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let names = names(
        &client,
        "SELECT c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
         WHERE c.connamespace = 'public'::regnamespace AND c.conparentid = 0
           AND c.contype IN ('p', 'f', 'c', 'u') AND NOT t.relispartition
           AND c.conname !~ ('^' || t.relname || '_.*(pkey|fkey|key|check)$')
           AND c.conname <> t.relname || '_pkey'",
    )
    .await;
    assert!(names.is_empty(), "{names:?}");
}

#[tokio::test]
async fn every_mutable_table_keeps_updated_at_true_under_raw_sql() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let without_trigger = names(
        &client,
        &format!(
            "{TABLES} AND EXISTS (SELECT 1 FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname = 'updated_at')
             AND NOT EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid
                AND g.tgfoid = 'touch_updated_at'::regproc)"
        ),
    )
    .await;
    assert!(without_trigger.is_empty(), "{without_trigger:?}");

    client
        .batch_execute(
            "INSERT INTO organizations (id, name, slug, updated_at)
                 VALUES (gen_random_uuid(), 'x', 'x', '2020-01-01');
             UPDATE organizations SET name = 'y'",
        )
        .await
        .unwrap();
    let row = client.query_one("SELECT updated_at > '2026-01-01' FROM organizations", &[]).await;
    assert!(row.unwrap().get::<_, bool>(0));
}

#[tokio::test]
async fn the_constraints_that_errors_name_exist() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let exist = names(
        &client,
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
            AND connamespace = 'public'::regnamespace
            AND confrelid <> 'organizations'::regclass
         UNION SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
         WHERE i.relnamespace = 'public'::regnamespace AND x.indisunique AND NOT x.indisprimary",
    )
    .await;
    // What no request can break: nothing writes these tables yet, or nothing but our own ids.
    let unwritten = [
        "api_key_uses_org_id_id_fkey",
        "idempotency_keys_org_id_principal_id_route_key_key",
        "operations_requested_by_request_key_key",
        "refresh_tokens_org_id_hash_key",
        "refresh_tokens_org_id_session_id_fkey",
        "sessions_org_id_user_id_fkey",
    ];
    let known = brownie_persistence::known_constraints().into_iter().chain(unwritten);
    let spoken_of: BTreeSet<String> = known.map(str::to_owned).collect();
    assert_eq!(spoken_of, exist);
}

#[tokio::test]
async fn a_foreign_team_cannot_be_referred_to_even_with_sql() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let ours = harness::Founded::new(&store, "ours").await;
    let theirs = harness::Founded::new(&store, "theirs").await;
    let client = database.connect().await;
    let outcome = client
        .execute(
            "INSERT INTO incidents (org_id, id, team_id, title) VALUES ($1, gen_random_uuid(), $2, 'x')",
            &[&ours.founder.org_id.as_uuid(), &theirs.team_id.as_uuid()],
        )
        .await;
    let code = outcome.unwrap_err().code().cloned();
    assert_eq!(code, Some(tokio_postgres::error::SqlState::FOREIGN_KEY_VIOLATION));
}
