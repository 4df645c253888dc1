//! What a server refuses to start on.

use harness::{Database, Postgres, Service, run, unique};

fn start(url: &str, more: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut variables = vec![
        ("DATABASE_URL", url),
        ("METADATA_JWT_SECRET", "a secret for tests, long enough for HS256"),
        ("METADATA_PORT", "0"),
        ("METRICS_PORT", "0"),
    ];
    variables.extend(more);
    let output = run("brownie-server", &["--wait", "1"], &variables).unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn refusal(url: &str) -> String {
    let (status, message) = start(url, &[]);
    assert_eq!(status, Some(1), "{message}");
    assert!(message.contains("row-level security would not keep organizations apart"), "{message}");
    assert!(message.contains("log in as brownie-server"), "{message}");
    message
}

/// Makes a role that is a member of the server's, and returns its URL. Roles belong to the whole cluster,
/// which other tests share.
async fn with_role(database: &Database, name: &str, sql: &str) -> String {
    database
        .connect()
        .await
        .batch_execute(&format!(
            "CREATE ROLE {name} LOGIN; GRANT \"brownie-server\" TO {name}; {sql}"
        ))
        .await
        .unwrap();
    database.url_as(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_could_get_past_the_walls() {
    let database = Postgres::shared().database();
    assert!(refusal(database.admin_url()).contains("postgres is a superuser"));
    assert!(refusal(&database.url_as("brownie-migrator")).contains("owns the table"));

    let [bypasser, climber, reader, colleague] =
        ["bypasser", "climber", "reader", "colleague"].map(|name| format!("{name}_{}", unique()));
    let url = with_role(&database, &bypasser, &format!("ALTER ROLE {bypasser} BYPASSRLS")).await;
    assert!(refusal(&url).contains(&format!("{bypasser} has BYPASSRLS")));
    let grant = format!("GRANT \"brownie-migrator\" TO {climber}");
    let url = with_role(&database, &climber, &grant).await;
    assert!(refusal(&url).contains(&format!("{climber} can become brownie-migrator")));
    let grant = format!("GRANT \"brownie-backup\" TO {reader}");
    let url = with_role(&database, &reader, &grant).await;
    assert!(refusal(&url).contains(&format!("{reader} can become brownie-backup")));

    // Another name for what the server may be is welcome.
    let url = with_role(&database, &colleague, "").await;
    let mut service = Service::server(&url).await.unwrap();
    assert!(service.stop().unwrap().success());
    database
        .connect()
        .await
        .batch_execute(&format!("DROP ROLE {bypasser}, {climber}, {reader}, {colleague}"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_wall_was_taken_down() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    client.batch_execute("ALTER TABLE incidents NO FORCE ROW LEVEL SECURITY").await.unwrap();
    let message = refusal(database.url());
    assert!(message.contains("meets no row-level security on the table incidents"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_development_it_may_be_allowed_and_is_said() {
    let database = Postgres::shared().database();
    let allow = [("DB_ALLOW_UNWALLED_ROLE", "true")];
    let mut service = Service::server_with(database.admin_url(), &allow).await.unwrap();
    assert!(service.log().contains("not for production"), "{}", service.log());
    assert!(service.stop().unwrap().success());
}
