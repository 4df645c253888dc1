//! Deleting, bringing back, and removing for good.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use brownie_domain::{Clock, IncidentId, PageRequest, Role, SystemClock, TeamId};
use brownie_persistence::{
    AgentConfigFilter, Created, Error, IncidentFilter, OrgTx, PoolOptions, Resource, Store,
    SystemContext, UserPatch,
};
use chrono::TimeDelta;
use harness::{
    Founded, PATIENCE, Postgres, new_agent_config, new_incident, new_stat, new_team, new_user,
    until,
};
use tokio_util::sync::CancellationToken;

use super::slug;

/// Tells whether a session of the database waits for another one.
async fn waits_for_lock(database: &harness::Database) -> bool {
    let waits = "SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0";
    !database.connect().await.query(waits, &[]).await.unwrap().is_empty()
}

async fn incident(tx: &OrgTx, team: TeamId, title: &str) -> Result<IncidentId, Error> {
    match tx.incidents().create(team, new_incident(title)).await? {
        Created::New(incident) | Created::Before(incident) => Ok(incident.id),
    }
}

pub(super) async fn a_team_takes_what_is_in_it_along_and_brings_it_back(store: &Store) {
    let org = Founded::new(store, &slug("cascade")).await;
    let home = org.team_id;
    let (team, open, deleted_before, config, ada, stat) = store
        .write(&org.ctx, move |tx| async move {
            let team = tx.teams().create(new_team("platform")).await?;
            let open = incident(&tx, team.id, "open").await?;
            let before = incident(&tx, team.id, "deleted before").await?;
            tx.incidents().delete(before, brownie_domain::Version::FIRST).await?;
            let config = tx.agent_configs().create(team.id, new_agent_config("Triage")).await?;
            let ada = tx.users().create(new_user("ada", home, Role::Viewer)).await?;
            tx.memberships().add(team.id, ada.id, Role::Member).await?;
            let stat = tx.stats().create(team.id, new_stat("latency")).await?;
            Ok::<_, Error>((team, open, before, config.id, ada, stat.id))
        })
        .await
        .unwrap();
    let (id, version) = (team.id, team.stamps.version);
    let gone = store
        .write(&org.ctx, move |tx| async move { tx.teams().delete(id, version).await })
        .await
        .unwrap();

    let scope = store.org(&org.ctx);
    assert!(matches!(scope.incidents().get(open).await, Err(Error::NotFound { .. })));
    assert!(matches!(scope.agent_configs().get(config).await, Err(Error::NotFound { .. })));
    // What was measured is history.
    scope.stats().get(stat).await.unwrap();
    let nothing_new =
        store.write(&org.ctx, move |tx| async move { incident(&tx, id, "too late").await }).await;
    assert!(matches!(nothing_new, Err(Error::NotFound { resource: Resource::Team })));
    // Nor comes an incident back without its team.
    let second = brownie_domain::Version::try_from(2).unwrap();
    let alone = store
        .write(&org.ctx, move |tx| async move { tx.incidents().restore(open, second).await })
        .await;
    assert!(matches!(alone, Err(Error::NotFound { resource: Resource::Team })), "{alone:?}");

    let version = gone.stamps.version;
    store
        .write(&org.ctx, move |tx| async move { tx.teams().restore(id, version).await })
        .await
        .unwrap();
    let page = PageRequest::default();
    let live = scope.incidents().list(id, IncidentFilter::default(), page).await.unwrap().items;
    assert_eq!(live.iter().map(|incident| incident.id).collect::<Vec<_>>(), [open]);
    assert_eq!(live[0].stamps.version.get(), 3, "deleted and restored are versions, too");
    let configs = scope.agent_configs().list(id, AgentConfigFilter::default(), page).await;
    assert_eq!(configs.unwrap().items.len(), 1);
    let members = scope.memberships().list(id, page).await.unwrap().items;
    assert_eq!((members.len(), members[0].user.id), (1, ada.id));
    assert!(matches!(scope.incidents().get(deleted_before).await, Err(Error::NotFound { .. })));
}

pub(super) async fn a_name_that_was_taken_meanwhile_keeps_the_old_one_away(store: &Store) {
    let org = Founded::new(store, &slug("names")).await;
    let home = org.team_id;
    let outcome = store
        .write(&org.ctx, move |tx| async move {
            let ada = tx.users().create(new_user("ada", home, Role::Viewer)).await?;
            let gone = tx.users().delete(ada.id, ada.stamps.version).await?;
            let second = tx.users().create(new_user("ada", home, Role::Viewer)).await?;
            Ok::<_, Error>((gone, second))
        })
        .await;
    let (gone, second) = outcome.unwrap();
    let (id, version) = (gone.id, gone.stamps.version);
    let restore = async || {
        store.write(&org.ctx, move |tx| async move { tx.users().restore(id, version).await }).await
    };
    assert!(matches!(restore().await, Err(Error::AlreadyExists { .. })));
    let renamed = UserPatch {
        username: Some("ada-two".parse().unwrap()),
        email: Some("two@people.example".parse().unwrap()),
        ..UserPatch::default()
    };
    let (second, at) = (second.id, second.stamps.version);
    store
        .write(&org.ctx, move |tx| {
            let renamed = renamed.clone();
            async move { tx.users().update(second, at, renamed).await }
        })
        .await
        .unwrap();
    restore().await.unwrap();
}

/// More than one batch of a cascade, while others put incidents into the team: none is left live in
/// a team that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_behind_in_a_team_that_goes() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "busy").await;
    let team = store
        .write(&org.ctx, |tx| async move { tx.teams().create(new_team("busy")).await })
        .await
        .unwrap();
    let (id, version) = (team.id, team.stamps.version);
    let admin = database.connect().await;
    let fill = "INSERT INTO incidents (org_id, id, team_id, title)
        SELECT $1, gen_random_uuid(), $2, 'many' FROM generate_series(1, 2500)";
    admin.execute(fill, &[&org.founder.org_id.as_uuid(), &id.as_uuid()]).await.unwrap();

    let written = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (store, ctx, written) = (store.clone(), org.ctx, Arc::clone(&written));
            tokio::spawn(async move {
                let mut made = 0;
                while store
                    .write(&ctx, move |tx| async move { incident(&tx, id, "late").await })
                    .await
                    .is_ok()
                {
                    made += 1;
                    written.fetch_add(1, Ordering::SeqCst);
                }
                made
            })
        })
        .collect();
    // The team goes while they are at work.
    until("somebody has written", PATIENCE, async || written.load(Ordering::SeqCst) > 0).await;
    store
        .write(&org.ctx, move |tx| async move { tx.teams().delete(id, version).await })
        .await
        .unwrap();
    let mut made = 0;
    for writer in writers {
        made += writer.await.unwrap();
    }
    assert!(made > 0, "nobody wrote meanwhile");
    let count =
        async |sql: &str| -> i64 { admin.query_one(sql, &[&id.as_uuid()]).await.unwrap().get(0) };
    let live = "SELECT count(*) FROM incidents WHERE team_id = $1 AND deleted_at IS NULL";
    assert_eq!(count(live).await, 0, "after {made} were made meanwhile");
    let odd = "SELECT count(*) FROM incidents i WHERE team_id = $1 AND 1 <>
        (SELECT count(*) FROM outbox o WHERE o.resource_id = i.id AND o.event = 'incident.deleted')";
    assert_eq!(count(odd).await, 0, "each has its event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_long_ago_is_removed_and_nothing_else() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "purge").await;
    let home = org.team_id;
    let v1 = brownie_domain::Version::FIRST;
    store
        .write(&org.ctx, move |tx| async move {
            let team = tx.teams().create(new_team("old")).await?;
            let gone = incident(&tx, team.id, "of the old team").await?;
            tx.agent_configs().create(team.id, new_agent_config("Old")).await?;
            let ada = tx.users().create(new_user("ada", home, Role::Viewer)).await?;
            tx.memberships().add(team.id, ada.id, Role::Viewer).await?;
            tx.teams().delete(team.id, v1).await?;
            tx.users().delete(ada.id, v1).await?;
            // Still named by an incident that lives.
            let bob = tx.users().create(new_user("bob", home, Role::Viewer)).await?;
            let mut with_bob = new_incident("of Bob");
            with_bob.assigned_to = Some(bob.id);
            tx.incidents().create(home, with_bob).await?;
            tx.users().delete(bob.id, v1).await?;
            let stat = tx.stats().create(home, new_stat("latency")).await?;
            tx.stats().delete(stat.id, v1).await?;
            Ok::<_, Error>(gone)
        })
        .await
        .unwrap();
    let keep = store
        .write(&org.ctx, move |tx| async move {
            let recent = incident(&tx, home, "deleted just now").await?;
            tx.incidents().delete(recent, v1).await.map(|incident| incident.id)
        })
        .await
        .unwrap();
    let admin = database.connect().await;
    for table in ["teams", "users", "incidents", "agent_configs", "memberships", "stats"] {
        let age = format!(
            "UPDATE {table} SET deleted_at = deleted_at - interval '40 days'
             WHERE deleted_at IS NOT NULL AND id <> $1"
        );
        admin.execute(&age, &[&keep.as_uuid()]).await.unwrap();
    }

    let owner = Store::new(&PoolOptions {
        role: Some("brownie-migrator".to_owned()),
        ..PoolOptions::new(database.admin_url())
    })
    .unwrap();
    let ctx = SystemContext::for_visitor(brownie_domain::RequestId::from_uuid(uuid::Uuid::nil()));
    let system = owner.system(&ctx);
    let (before, go_on) = (SystemClock.now() - TimeDelta::days(30), CancellationToken::new());
    let expected = [
        (Resource::ApiKey, 0),
        (Resource::Config, 0),
        (Resource::Incident, 1),
        (Resource::AgentConfig, 1),
        (Resource::Membership, 1),
        (Resource::Stat, 1),
        (Resource::User, 1),
        (Resource::Team, 1),
    ];
    let dry = system.purge_dry(before, &go_on).await.unwrap();
    assert_eq!(dry.rows, expected);
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert!(system.purge(before, &stopped).await.unwrap().stopped);
    let purged = system.purge(before, &go_on).await.unwrap();
    assert_eq!((purged.rows, purged.stopped), (expected.to_vec(), false));
    let again = system.purge(before, &go_on).await.unwrap();
    assert!(again.rows.iter().all(|(_, rows)| *rows == 0), "{again:?}");

    let count = async |sql: &str| -> i64 { admin.query_one(sql, &[]).await.unwrap().get(0) };
    assert_eq!(count("SELECT count(*) FROM incidents WHERE deleted_at IS NOT NULL").await, 1);
    assert_eq!(count("SELECT count(*) FROM users WHERE username = 'bob'").await, 1);
    assert_eq!(count("SELECT count(*) FROM users WHERE username = 'ada'").await, 0);
    assert_eq!(
        count(
            "SELECT count(*) FROM audit_log WHERE action LIKE '%.purged' AND actor_name = 'purge'"
        )
        .await,
        6
    );
    assert_eq!(count("SELECT count(*) FROM outbox WHERE event LIKE '%.purged'").await, 6);

    // The server's role may not.
    let refused = store.system(&ctx).purge(before, &go_on).await;
    assert!(matches!(refused, Err(Error::Database(_))), "{refused:?}");
}

/// Somebody brings a row back at the very moment when it would be removed: it stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_brought_back_is_not_removed() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "rescue").await;
    let home = org.team_id;
    let (v1, v2) = (brownie_domain::Version::FIRST, brownie_domain::Version::try_from(2).unwrap());
    let id = store
        .write(&org.ctx, move |tx| async move {
            let id = incident(&tx, home, "rescued").await?;
            tx.incidents().delete(id, v1).await.map(|incident| incident.id)
        })
        .await
        .unwrap();
    let admin = database.connect().await;
    admin
        .batch_execute("UPDATE incidents SET deleted_at = deleted_at - interval '40 days'")
        .await
        .unwrap();
    let owner = Store::new(&PoolOptions {
        role: Some("brownie-migrator".to_owned()),
        ..PoolOptions::new(database.admin_url())
    })
    .unwrap();
    let rescue = store.begin(&org.ctx).await.unwrap();
    rescue.incidents().restore(id, v2).await.unwrap();
    let purge = tokio::spawn(async move {
        let ctx =
            SystemContext::for_visitor(brownie_domain::RequestId::from_uuid(uuid::Uuid::nil()));
        let before = SystemClock.now() - TimeDelta::days(30);
        owner.system(&ctx).purge(before, &CancellationToken::new()).await
    });
    until("somebody waits for the lock", PATIENCE, async || {
        waits_for_lock(&database).await || purge.is_finished()
    })
    .await;
    rescue.commit().await.unwrap();
    let purged = purge.await.unwrap().unwrap();
    assert!(purged.rows.iter().all(|(_, rows)| *rows == 0), "{purged:?}");
    assert_eq!(store.org(&org.ctx).incidents().get(id).await.unwrap().id, id);
}

/// An incident is deleted at the very moment when its team is: it does not come back with the team.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_deleted_does_not_come_back_with_its_team() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "twice").await;
    let v1 = brownie_domain::Version::FIRST;
    let (team, id) = store
        .write(&org.ctx, move |tx| async move {
            let team = tx.teams().create(new_team("platform")).await?;
            Ok::<_, Error>((team.id, incident(&tx, team.id, "deleted").await?))
        })
        .await
        .unwrap();
    let deletion = store.begin(&org.ctx).await.unwrap();
    deletion.incidents().delete(id, v1).await.unwrap();
    let going = tokio::spawn({
        let (store, ctx) = (store.clone(), org.ctx);
        async move {
            store.write(&ctx, move |tx| async move { tx.teams().delete(team, v1).await }).await
        }
    });
    until("somebody waits for the lock", PATIENCE, async || {
        waits_for_lock(&database).await || going.is_finished()
    })
    .await;
    deletion.commit().await.unwrap();
    let version = going.await.unwrap().unwrap().stamps.version;
    store
        .write(&org.ctx, move |tx| async move { tx.teams().restore(team, version).await })
        .await
        .unwrap();
    let scope = store.org(&org.ctx);
    assert!(matches!(scope.incidents().get(id).await, Err(Error::NotFound { .. })));
    let client = database.connect().await;
    let sql = "SELECT version FROM incidents WHERE id = $1";
    let version: i64 = client.query_one(sql, &[&id.as_uuid()]).await.unwrap().get(0);
    assert_eq!(version, 2, "deleted once");
}
