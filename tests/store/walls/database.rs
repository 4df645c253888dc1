//! Row-level security and grants, as psql meets them.

use std::collections::BTreeSet;

use brownie_persistence::Store;
use harness::{Database, Founded, Postgres, TENANT_TABLES, new_incident, new_user};
use tokio_postgres::{Client, error::SqlState};
use uuid::Uuid;

/// Two organizations, each with something in it, and a connection as the role that serves.
struct Two {
    database: Database,
    server: Client,
    ours: Founded,
    theirs: Founded,
}

impl Two {
    async fn new() -> Self {
        let database = Postgres::shared().database();
        let store = harness::open(database.url());
        let (ours, theirs) =
            (Founded::new(&store, "ours").await, Founded::new(&store, "theirs").await);
        for org in [&ours, &theirs] {
            furnish(&store, org).await;
        }
        let server = database.connect_as("brownie-server").await;
        Self { database, server, ours, theirs }
    }

    fn their_id(&self) -> Uuid {
        self.theirs.founder.org_id.as_uuid()
    }

    /// Begins a transaction for our organization.
    async fn begin_as_ours(&self) {
        let id = self.ours.founder.org_id;
        let sql = format!("BEGIN; SET LOCAL app.org_id = '{id}'");
        self.server.batch_execute(&sql).await.unwrap();
    }
}

async fn furnish(store: &Store, org: &Founded) {
    let team_id = org.team_id;
    store
        .write(&org.ctx, move |tx| async move {
            tx.incidents().create(team_id, new_incident("Disk full")).await?;
            tx.users().create(new_user("ada", team_id, brownie_domain::Role::Member)).await
        })
        .await
        .unwrap();
}

async fn tables(client: &Client) -> Vec<(String, String)> {
    let rows = client.query(TENANT_TABLES, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn code(outcome: Result<u64, tokio_postgres::Error>) -> SqlState {
    match outcome {
        Ok(rows) => panic!("{rows} rows were written"),
        Err(error) => error.code().cloned().unwrap_or_else(|| panic!("{error}")),
    }
}

#[tokio::test]
async fn without_an_organization_there_are_no_rows() {
    let two = Two::new().await;
    let tables = tables(&two.server).await;
    assert!(tables.len() >= 11, "{tables:?}");
    for (table, _) in &tables {
        assert_eq!(
            count(&two.server, &format!("SELECT count(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
    // Nor after a transaction that had one: the setting is '' by then, not null.
    two.begin_as_ours().await;
    two.server.batch_execute("COMMIT").await.unwrap();
    for (table, _) in &tables {
        assert_eq!(
            count(&two.server, &format!("SELECT count(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
    let outcome = two
        .server
        .execute(
            "INSERT INTO organizations (id, name, slug) VALUES (gen_random_uuid(), 'x', 'x')",
            &[],
        )
        .await;
    assert_eq!(code(outcome), SqlState::INSUFFICIENT_PRIVILEGE);
}

#[tokio::test]
async fn with_one_organization_no_row_of_another_can_be_read_changed_or_made() {
    let two = Two::new().await;
    let before = two.database.rows_of(two.their_id()).await;
    two.begin_as_ours().await;
    let mut seen = 0;
    for (table, column) in tables(&two.server).await {
        seen += count(&two.server, &format!("SELECT count(*) FROM {table}")).await;
        let theirs = format!("{column} = '{}'", two.their_id());
        let foreign = format!("SELECT count(*) FROM {table} WHERE {theirs}");
        assert_eq!(count(&two.server, &foreign).await, 0, "{table}");
        // What was recorded, nobody changes; the rest, not theirs.
        if !matches!(table.as_str(), "audit_log" | "outbox") {
            let change = format!("UPDATE {table} SET {column} = {column} WHERE {theirs}");
            assert_eq!(two.server.execute(&change, &[]).await.unwrap(), 0, "{table}");
        }
    }
    assert!(seen > 8, "our own rows are there");
    two.server.batch_execute("ROLLBACK").await.unwrap();

    let (ours, theirs) = (two.ours.founder.org_id, two.theirs.founder.org_id);
    let (our_team, their_team) = (two.ours.team_id, two.theirs.team_id);
    let insert = |org, team| {
        format!(
            "INSERT INTO incidents (org_id, id, team_id, title)
                 VALUES ('{org}', gen_random_uuid(), '{team}', 'x')"
        )
    };
    for (what, sql, expected) in [
        ("a row of theirs", insert(theirs, their_team), SqlState::INSUFFICIENT_PRIVILEGE),
        (
            "our row made theirs",
            format!("UPDATE incidents SET org_id = '{theirs}', team_id = '{their_team}'"),
            SqlState::INSUFFICIENT_PRIVILEGE,
        ),
        ("a reference to theirs", insert(ours, their_team), SqlState::FOREIGN_KEY_VIOLATION),
        (
            "an event of theirs",
            format!("INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
                     VALUES ('{theirs}', gen_random_uuid(), now(), 'x', 'x', '{our_team}', 1)"),
            SqlState::INSUFFICIENT_PRIVILEGE,
        ),
    ] {
        two.begin_as_ours().await;
        assert_eq!(code(two.server.execute(&sql, &[]).await), expected, "{what}");
        two.server.batch_execute("ROLLBACK").await.unwrap();
    }
    assert_eq!(two.database.rows_of(two.their_id()).await, before);
}

#[tokio::test]
async fn the_server_cannot_rewrite_history_remove_rows_or_go_round_its_tables() {
    let two = Two::new().await;
    for sql in [
        "UPDATE audit_log SET action = 'x'",
        "DELETE FROM audit_log",
        "UPDATE outbox SET event = 'x'",
        "DELETE FROM incidents",
        "TRUNCATE incidents",
        "SELECT count(*) FROM outbox_default",
        "SELECT count(*) FROM ONLY stats_default",
        "SELECT organization_ids()",
        "SET ROLE \"brownie-migrator\"",
        "SET ROLE \"brownie-lookup\"",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE teams DISABLE ROW LEVEL SECURITY",
        "UPDATE seaql_migrations SET version = 'x'",
        "SELECT setval('outbox_position', 1)",
    ] {
        two.begin_as_ours().await;
        let outcome = two.server.batch_execute(sql).await;
        let refusal = outcome.err().and_then(|error| error.code().cloned());
        assert_eq!(refusal, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
        two.server.batch_execute("ROLLBACK").await.unwrap();
    }
    let month: String = two
        .server
        .query_one("SELECT 'outbox_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')", &[])
        .await
        .unwrap()
        .get(0);
    let direct = two.server.query(&format!("SELECT 1 FROM {month}"), &[]).await;
    assert_eq!(
        direct.unwrap_err().code(),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE),
        "events are in {month}, which its name alone must not open"
    );
}

#[tokio::test]
async fn every_role_sees_what_it_is_for() {
    let two = Two::new().await;
    let all = count(&two.database.connect().await, "SELECT count(*) FROM teams").await;
    assert_eq!(all, 2);
    let rows_as = async |role: &str| {
        let client = two.database.connect_as(role).await;
        client.query_one("SELECT count(*) FROM teams", &[]).await.map(|row| row.get::<_, i64>(0))
    };
    assert_eq!(rows_as("brownie-migrator").await.unwrap(), 0, "the owner is walled in, too");
    assert_eq!(rows_as("brownie-backup").await.unwrap(), all);
    let refused = rows_as("brownie-monitor").await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));

    let backup = two.database.connect_as("brownie-backup").await;
    for (table, _) in tables(&backup).await {
        let rows = count(&backup, &format!("SELECT count(*) FROM {table}")).await;
        let really =
            count(&two.database.connect().await, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(rows, really, "a backup leaves out nothing of {table}");
        let change = backup.batch_execute(&format!("UPDATE {table} SET id = id")).await;
        assert!(change.is_err(), "{table}");
    }
    let monitor = two.database.connect_as("brownie-monitor").await;
    count(&monitor, "SELECT count(*) FROM pg_stat_activity").await;
    count(&monitor, "SELECT count(*) FROM seaql_migrations").await;
}

/// The look-ups before an organization is known run as a role that sees these columns and no more.
#[tokio::test]
async fn a_look_up_returns_what_it_is_for_and_nothing_else() {
    let two = Two::new().await;
    let sql = "SELECT * FROM login_accounts($1, NULL, 5)";
    let rows = two.server.query(sql, &[&"founder@theirs.example"]).await.unwrap();
    let columns: Vec<&str> = rows[0].columns().iter().map(tokio_postgres::Column::name).collect();
    assert_eq!((rows.len(), columns), (1, vec!["org_id", "id", "password_hash"]));

    let admin = two.database.connect().await;
    let visible =
        "SELECT table_name || '.' || column_name FROM information_schema.column_privileges
        WHERE grantee = 'brownie-lookup' AND table_schema = 'public'";
    let visible: BTreeSet<String> =
        admin.query(visible, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let expected = [
        "organizations.deleted_at",
        "organizations.id",
        "organizations.is_active",
        "organizations.slug",
        "users.created_at",
        "users.deleted_at",
        "users.email",
        "users.oidc_provider",
        "users.oidc_subject",
        "users.id",
        "users.is_active",
        "users.org_id",
        "users.password_hash",
    ];
    assert_eq!(visible, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn an_injected_statement_is_a_value() {
    let two = Two::new().await;
    let sql = "SELECT * FROM login_accounts($1, NULL, 5)";
    for text in ["' OR true --", "x' UNION SELECT id, id, 'x' FROM organizations --", "%"] {
        assert!(two.server.query(sql, &[&text]).await.unwrap().is_empty(), "{text}");
    }
    two.server.batch_execute("BEGIN").await.unwrap();
    let set = "SELECT set_config('app.org_id', $1, true)";
    two.server.query(set, &[&"' OR true --"]).await.unwrap();
    let outcome = two.server.query("SELECT * FROM teams", &[]).await;
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
    two.server.batch_execute("ROLLBACK").await.unwrap();
}
