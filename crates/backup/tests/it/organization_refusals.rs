//! What is not done for one organization, and that nothing changed then.

use std::time::Duration;

use brownie_backup::{Destination, Error, Named, Overwrite, Problem, RestoreOrganization};
use brownie_test_servers::{PATIENCE, pass, unique, until};
use tokio_util::sync::CancellationToken;

use crate::{
    organizations::{World, org},
    world::reading,
};

impl World {
    /// Makes sure that something is refused, with nothing changed, and returns why.
    async fn refused(&self, how: RestoreOrganization) -> Error {
        let before = (self.very_rows(1).await, self.very_rows(2).await);
        let error = self.restore_as("postgres", how).await.unwrap_err();
        assert_eq!((self.very_rows(1).await, self.very_rows(2).await), before);
        let sql = "SELECT count(*) FROM audit_log WHERE actor_name = 'brownie-backup'";
        assert_eq!(self.value::<i64>(sql).await, 0);
        error
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_taken_is_named() {
    let world = World::new(2, 1).await;
    let error = world.refused(world.in_place("org-9")).await;
    assert!(
        matches!(&error, Error::Organization(Problem::Unknown { place, .. }) if place.contains("one")),
        "{error}"
    );
    let error = world.refused(world.in_place(&org(9))).await;
    assert!(matches!(&error, Error::Organization(Problem::Unknown { .. })), "{error}");
    let error = world.refused(world.beside("org-1", "org-2")).await;
    let is_two = |by: &brownie_domain::OrganizationId| by.to_string() == org(2);
    let taken = |error: &Error, slug: &str| {
        matches!(error, Error::Organization(Problem::SlugTaken { slug: it, by })
        if it == slug && is_two(&brownie_domain::OrganizationId::from_uuid(*by)))
    };
    assert!(taken(&error, "org-2"), "{error}");
    // It was called org-1 then, and the other one has that slug now.
    world.run("UPDATE organizations SET slug = 'old' WHERE slug = 'org-1'").await;
    world.run("UPDATE organizations SET slug = 'org-1' WHERE slug = 'org-2'").await;
    for name in ["org-1".to_owned(), org(1)] {
        let error = world.refused(world.in_place(&name)).await;
        assert!(taken(&error, "org-1"), "{error}");
    }
    // By the slug that it has now it is found, too.
    let error = world.refused(world.in_place("old")).await;
    assert!(taken(&error, "org-1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_overwritten_only_when_that_was_confirmed() {
    let world = World::new(2, 1).await;
    let named: Named = "org-1".parse().unwrap();
    for typed in ["", "yes", "org-2", "ORG-1"] {
        assert!(Overwrite::confirmed(typed, &named).is_err(), "{typed:?}");
    }
    let how = RestoreOrganization { into: Destination::Live(None), ..world.in_place("org-1") };
    let error = world.refused(how).await;
    assert!(matches!(&error, Error::Organization(Problem::Unconfirmed(_))), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_changes_nothing() {
    let world = World::new(2, 1).await;
    let files = world.place.files();
    let part = files.iter().find(|file| file.contains("/teams-")).unwrap();
    let path = world.place.dir.path().join(part);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = world.refused(world.in_place("org-1")).await;
    assert!(
        matches!(&error, Error::Damaged { object, .. } if object.contains("teams-")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_database_of_another_schema_is_refused_by_name() {
    let world = World::new(2, 1).await;
    world.run("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 1)").await;
    let error = world.refused(world.in_place("org-1")).await;
    assert!(
        matches!(&error, Error::Organization(Problem::NotAtHead { what, .. }) if what.contains("m29990101")),
        "{error}"
    );
    let newest = brownie_migration::names().pop().unwrap();
    world
        .run(&format!(
            "DELETE FROM seaql_migrations WHERE version IN ('m29990101_000001_later', '{newest}')"
        ))
        .await;
    let error = world.refused(world.in_place("org-1")).await;
    assert!(
        matches!(&error, Error::Organization(Problem::NotAtHead { what, .. }) if what.contains(&newest)),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn called_off_at_any_moment_it_has_changed_nothing() {
    let world = World::new(2, 1).await;
    world.run("DELETE FROM configs WHERE org_id = '00000000-0000-7000-8000-000000000001'").await;
    // A writer who holds the organization's row makes it wait at the very end.
    let writer = world.pg.connect(&world.database).await;
    let hold = format!("BEGIN; SELECT FROM organizations WHERE id = '{}' FOR KEY SHARE", org(1));
    writer.batch_execute(&hold).await.unwrap();
    for patience in [50, 800, 6000] {
        let cancel = CancellationToken::new();
        let read = brownie_backup::Read { cancel: cancel.clone(), ..reading() };
        let how = RestoreOrganization { read, ..world.in_place("org-1") };
        let stopper = async {
            pass(Duration::from_millis(patience), "the moment at which it is called off").await;
            cancel.cancel();
        };
        let (error, ()) = tokio::join!(world.refused(how), stopper);
        assert!(matches!(error, Error::Cancelled), "{error}");
        // Its session is gone, though what it waited for is not.
        let sessions = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'brownie-backup'";
        until("its session is gone", PATIENCE, async || world.value::<i64>(sessions).await == 0)
            .await;
    }
    writer.batch_execute("COMMIT").await.unwrap();
    let free = format!(
        "SET lock_timeout = '3s'; UPDATE organizations SET name = 'free' WHERE id = '{}'",
        org(1)
    );
    world.run(&free).await;
    world.restore("org-1").await.unwrap();
}

/// Whose role may not write events, their announcement would not count, and readers would miss them.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_whose_events_nobody_would_wait_for_is_refused() {
    let world = World::on(crate::postgres::Postgres::newest(), 2, 1).await;
    let role = format!("restorer_{}", unique());
    world
        .run(&format!(
            "CREATE ROLE {role} LOGIN CREATEDB CREATEROLE NOINHERIT;
             GRANT \"brownie-migrator\", \"brownie-lookup\" TO {role} WITH ADMIN OPTION, INHERIT FALSE"
        ))
        .await;
    let error = world.restore_as(&role, world.in_place("org-1")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Organization(Problem::Role { role: it }) if *it == role),
        "{error}"
    );
}
