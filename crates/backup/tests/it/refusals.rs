//! What is not done, and what is said instead.

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use brownie_backup::{
    Create, Dial, Error, Identities, Provider, Read, Recipients, Replace, Restore, Store, Target,
    create, delete, rekey, verify,
};
use brownie_domain::{ManualClock, RandomIds, SystemClock};
use brownie_test_servers::{PATIENCE, free_port, parts, pass, unique, unprivileged, until};
use tokio_postgres::SimpleQueryMessage;

use crate::{
    postgres::{Postgres, contents},
    world::{Place, back_up, bring_back, bring_back_as, encrypted, into, named, reading},
};

async fn refused(pg: &Postgres, role: &str, database: &str) -> Error {
    let place = Place::new();
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let dial = pg.server(role, database);
    let error = create(dial, &place.store, clock, ids, encrypted("one")).await.unwrap_err();
    assert_eq!(place.files(), [""; 0]);
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_row_level_security_would_filter_is_refused() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let error = refused(pg, "brownie-server", &database).await;
    assert!(matches!(&error, Error::Filtered { role, .. } if role == "brownie-server"), "{error}");
    let client = pg.connect(&database).await;
    for (change, back, table) in [
        (
            "ALTER POLICY teams_backup ON teams USING (is_active)",
            "ALTER POLICY teams_backup ON teams USING (true)",
            "teams",
        ),
        (
            "CREATE POLICY narrow ON users AS RESTRICTIVE FOR SELECT USING (is_active)",
            "DROP POLICY narrow ON users",
            "users",
        ),
        (
            "DROP POLICY stats_backup ON stats",
            "CREATE POLICY stats_backup ON stats FOR SELECT TO \"brownie-backup\" USING (true)",
            "stats",
        ),
    ] {
        client.batch_execute(change).await.unwrap();
        let error = refused(pg, "brownie-backup", &database).await;
        assert!(
            matches!(&error, Error::Filtered { table: found, .. } if found == table),
            "{error}"
        );
        client.batch_execute(back).await.unwrap();
    }
    back_up(pg, &database, &Place::new().store, encrypted("one")).await.unwrap();
    // Whom it does not hold, it does not hide anything from.
    let place = Place::new();
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    create(pg.server("postgres", &database), &place.store, clock, ids, encrypted("one"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_or_not_ours_is_named() {
    let pg = Postgres::debian();
    let error = refused(pg, "postgres", "no_such_database").await;
    assert!(matches!(error, Error::Refused(_)), "{error}");
    let error = refused(pg, "postgres", &pg.empty().await).await;
    assert!(matches!(error, Error::Empty { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_being_changed_is_waited_for_and_then_refused() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let client = pg.connect(&database).await;
    client.batch_execute("BEGIN; LOCK TABLE teams IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = tokio::spawn(async move { refused(pg, "brownie-backup", &database).await });
    pass(Duration::from_secs(2), "in which it waits, and does not give up").await;
    assert!(!waiting.is_finished());
    let patience = Duration::from_mins(1);
    let error = tokio::time::timeout(patience, waiting).await.unwrap().unwrap();
    assert!(matches!(error, Error::Changing), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_backups_at_once_one_is_made() {
    let pg = Postgres::debian();
    let database = pg.filled(20, 2).await;
    let place = Place::new();
    let one = back_up(pg, &database, &place.store, encrypted("one"));
    let two = back_up(pg, &database, &place.store, encrypted("two"));
    let (one, two) = tokio::join!(one, two);
    let (done, refused) = if one.is_ok() { (one, two) } else { (two, one) };
    let first = done.unwrap();
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused}");
    // Afterwards the lock is free, and the number has grown.
    let next = back_up(pg, &database, &place.store, encrypted("three")).await.unwrap();
    assert!(next.fence > first.fence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_once_and_clocks_that_ran_ahead_are_noticed() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let before = place.files();
    let error = back_up(pg, &database, &place.store, encrypted("one")).await.unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert_eq!(place.files(), before);
    let yesterday = Arc::new(ManualClock::at("2020-01-01T00:00:00Z".parse().unwrap()));
    let dial = pg.server("brownie-backup", &database);
    let how = Create { name: None, ..encrypted("one") };
    let error = create(dial, &place.store, yesterday, Arc::new(RandomIds), how).await.unwrap_err();
    assert!(matches!(error, Error::Clock { .. }), "{error}");
    assert_eq!(place.files(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_the_house_unencrypted_unless_told() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let objects = Arc::new(object_store::memory::InMemory::new());
    let store = Store::new(objects, object_store::path::Path::default(), Provider::S3);
    let open = Create { name: Some(named("one")), ..Create::default() };
    let error = back_up(pg, &database, &store, open.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Unencrypted { provider: "s3" }), "{error}");
    let told = Create { allow_unencrypted: true, ..open };
    back_up(pg, &database, &store, told).await.unwrap();
    verify(&store, &named("one"), &SystemClock, &Read::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_the_key_reads_nothing() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    for identities in [Identities::default(), {
        let other = age::x25519::Identity::generate();
        Identities::parse(age::secrecy::ExposeSecret::expose_secret(&other.to_string())).unwrap()
    }] {
        let read = Read { identities, ..Read::default() };
        let error = verify(&place.store, &named("one"), &SystemClock, &read).await.unwrap_err();
        assert!(matches!(error, Error::WrongKey { .. }), "{error}");
        let how = Restore { read, ..into("never") };
        let error = bring_back(pg, &place.store, "one", how).await.unwrap_err();
        assert!(matches!(error, Error::WrongKey { .. }), "{error}");
    }
    let error = bring_back(pg, &place.store, "two", into("never")).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(!pg.databases().await.contains(&"never".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_opened_by_others_when_its_key_was_given_to_them() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let other = age::x25519::Identity::generate();
    let to = Recipients::parse(&other.to_public().to_string()).unwrap();
    let theirs = other.to_string();
    let theirs = Identities::parse(age::secrecy::ExposeSecret::expose_secret(&theirs)).unwrap();
    let (one, ours) = (named("one"), reading());
    // Who cannot open it cannot give it away.
    let error = rekey(&place.store, &one, &theirs, &to, None).await.unwrap_err();
    assert!(matches!(error, Error::WrongKey { .. }), "{error}");
    let nobody = Recipients::default();
    assert!(rekey(&place.store, &one, &ours.identities, &nobody, None).await.is_err());
    verify(&place.store, &one, &SystemClock, &ours).await.unwrap();
    let parts = |place: &Place| place.files().len();
    let before = parts(&place);
    rekey(&place.store, &one, &ours.identities, &to, None).await.unwrap();
    assert_eq!(parts(&place), before);
    let error = verify(&place.store, &one, &SystemClock, &ours).await.unwrap_err();
    assert!(matches!(error, Error::WrongKey { .. }), "{error}");
    let theirs = Read { identities: theirs, ..Read::default() };
    verify(&place.store, &one, &SystemClock, &theirs).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_newer_release_is_named_as_one() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let client = pg.connect(&database).await;
    let ledger =
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 1)";
    client.batch_execute(ledger).await.unwrap();
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let error = bring_back(pg, &place.store, "one", into("never")).await.unwrap_err();
    assert!(matches!(&error, Error::TooNew { what, .. } if what.contains("m29990101")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_database_is_replaced_only_when_its_name_was_typed_and_then_kept() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    let before = contents(&pg.connect(&database).await).await;
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let client = pg.connect(&database).await;
    let changes = "UPDATE users SET email = 'wrecked' || id || '@example.com';
        REVOKE CONNECT ON DATABASE current FROM PUBLIC"
        .replace("current", &database);
    client.batch_execute(&changes).await.unwrap();
    let settings = format!("ALTER DATABASE {database} SET work_mem = '5MB'");
    client.batch_execute(&settings).await.unwrap();
    let wrecked = contents(&client).await;

    let error = bring_back(pg, &place.store, "one", into(&database)).await.unwrap_err();
    assert!(matches!(error, Error::Occupied { .. }), "{error}");
    assert_eq!(contents(&pg.connect(&database).await).await, wrecked);

    let target = Target::new(&database).unwrap();
    assert!(Replace::confirmed("yes", &target).is_err());
    let replace = Some(Replace::confirmed(&database, &target).unwrap());
    // Somebody is connected all the time.
    let how = Restore { replace, ..into(&database) };
    let restored = bring_back(pg, &place.store, "one", how).await.unwrap();
    let client = pg.connect(&database).await;
    assert_eq!(contents(&client).await, before);
    let work_mem: String = client.query_one("SHOW work_mem", &[]).await.unwrap().get(0);
    assert_eq!(work_mem, "5MB");
    let open = "SELECT has_database_privilege('brownie-monitor', current_database(), 'CONNECT')";
    assert!(!client.query_one(open, &[]).await.unwrap().get::<_, bool>(0));
    let kept = restored.replaced.unwrap();
    assert!(kept.starts_with(&format!("{database}_before_")), "{kept}");
    assert_eq!(contents(&pg.connect(&kept).await).await, wrecked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_filled_and_what_a_dead_run_left_is_removed() {
    let pg = &Postgres::alone();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let left = format!("brownie_scratch_{:032x}", 7);
    let client = pg.connect("postgres").await;
    client.batch_execute(&format!("CREATE DATABASE {left}")).await.unwrap();
    let target = pg.empty().await;
    let restored = bring_back(pg, &place.store, "one", into(&target)).await.unwrap();
    assert_eq!(restored.replaced, None);
    let databases = pg.databases().await;
    assert!(!databases.contains(&left), "{databases:?}");
    assert!(!databases.iter().any(|name| name.contains("_before_")), "{databases:?}");
    let original = contents(&pg.connect(&database).await).await;
    assert_eq!(contents(&pg.connect(&target).await).await, original);
}

/// A role that is no superuser: it may make databases, and become the owner of the tables.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_takes_no_superuser() {
    let pg = Postgres::newest();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let role = format!("restorer_{}", unique());
    let sql = format!(
        "CREATE ROLE {role} LOGIN CREATEDB CREATEROLE; GRANT \"brownie-migrator\", \"brownie-lookup\" TO {role} WITH ADMIN OPTION"
    );
    pg.connect("postgres").await.batch_execute(&sql).await.unwrap();
    let target = format!("restored_{}", unique());
    bring_back_as(pg, &role, &place.store, "one", into(&target)).await.unwrap();
    let original = contents(&pg.connect(&database).await).await;
    assert_eq!(contents(&pg.connect(&target).await).await, original);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let server =
        brownie_backup::Server::new("postgres://u:hunter2@127.0.0.1:1/x".parse().unwrap(), None);
    let error = server.dial(None).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(!format!("{server:?} {error:?}").contains("hunter2"));
}

/// A pooler in transaction mode would share the snapshot's transaction and the lock with others.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_refused_and_left_as_it_was() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let port = free_port().unwrap();
    let (settings, users) = (dir.path().join("ini"), dir.path().join("users"));
    std::fs::write(&users, "\"postgres\" \"\"\n\"brownie-backup\" \"\"\n").unwrap();
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
         pool_mode = transaction\nmax_prepared_statements = 200\n",
        pg.port,
        users.display()
    );
    std::fs::write(&settings, text).unwrap();
    let mut pooler = Command::new(parts().join("pgbouncer-1.24/run"));
    pooler.arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut pooler = unprivileged(&mut pooler).unwrap().spawn().expect("tests/install.sh");
    until("the pooler listens", PATIENCE, async || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
    .await;
    let url = format!("postgres://brownie-backup@127.0.0.1:{port}/{database}?sslmode=disable");
    let dial = Arc::new(brownie_backup::Server::new(url.parse().unwrap(), None));
    let place = Place::new();
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let outcome = create(Arc::clone(&dial) as _, &place.store, clock, ids, encrypted("one")).await;
    let cleaned = delete(dial.as_ref(), &place.store, &named("one"), None).await;
    let session = dial.dial(None).await.unwrap();
    let path = session.simple_query("SHOW search_path").await.unwrap();
    let _ = (pooler.kill(), pooler.wait());
    assert!(matches!(outcome, Err(Error::Pooler)), "{outcome:?}");
    assert!(matches!(cleaned, Err(Error::Pooler)), "{cleaned:?}");
    let is_untouched = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("\"$user\", public"));
    assert!(path.iter().any(is_untouched), "{path:?}");
}
