//! Every method of every handle, called with another organization's ids: nothing is found, nothing
//! is written, and the other's rows are byte for byte what they were.
//!
//! A method without a line here fails the last test, by name.

use std::collections::BTreeSet;

use brownie_domain::{Change, PageRequest, Role, Version};
use brownie_persistence::{
    AgentConfigFilter, AgentConfigPatch, AuditFilter, ConfigFilter, ConfigPatch, Created, Error,
    IncidentFilter, IncidentPatch, OrganizationPatch, StatFilter, SummaryRequest, TeamPatch,
    UserPatch,
};
use harness::{Founded, Postgres, new_agent_config, new_incident, new_stat, new_team, new_user};
use uuid::Uuid;

use super::{
    methods::methods,
    theirs::{Theirs, new_config, new_key},
};

/// Calls a method; it must find nothing.
macro_rules! finds_nothing {
    ($covered:ident, $scope:ident.$handle:ident.$method:ident($($argument:expr),*)) => {{
        $covered.insert(concat!(stringify!($handle), ".", stringify!($method)).to_owned());
        let outcome = $scope.$handle().$method($($argument),*).await;
        assert!(
            matches!(outcome, Err(Error::NotFound { .. } | Error::InvalidReference { .. })),
            "{}.{}: {outcome:?}", stringify!($handle), stringify!($method)
        );
    }};
}

/// Calls a method in a unit of work of its own; it must find nothing.
macro_rules! writes_nothing {
    ($covered:ident, $org:ident, $handle:ident.$method:ident($($argument:expr),*)) => {{
        $covered.insert(concat!(stringify!($handle), ".", stringify!($method)).to_owned());
        let outcome = $org
            .store
            .write(&$org.ctx, move |tx| async move { tx.$handle().$method($($argument),*).await })
            .await;
        assert!(
            matches!(outcome, Err(Error::NotFound { .. } | Error::InvalidReference { .. })),
            "{}.{}: {outcome:?}", stringify!($handle), stringify!($method)
        );
    }};
}

/// Calls a method that names nobody's thing; what it returns must be ours.
macro_rules! stays_at_home {
    ($covered:ident, $handle:ident.$method:ident, $call:expr, $ids:expr) => {{
        $covered.insert(concat!(stringify!($handle), ".", stringify!($method)).to_owned());
        let outcome = $call.await.unwrap();
        let ids: Vec<Uuid> = $ids(outcome);
        assert!(!ids.is_empty(), "{}.{} shows nothing", stringify!($handle), stringify!($method));
        ids
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_method_of_any_handle_reaches_another_organization() {
    let database = Postgres::shared().database();
    Box::pin(walk(&database, database.url())).await;
}

/// The same as superuser, whom row-level security does not hold: the door is a wall of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_any_without_row_level_security() {
    let database = Postgres::shared().database();
    Box::pin(walk(&database, database.admin_url())).await;
}

#[expect(clippy::too_many_lines, reason = "it is a table: a line for each method")]
async fn walk(database: &harness::Database, url: &str) {
    let store = harness::open(url);
    let (ours, victim) = (Founded::new(&store, "ours").await, Founded::new(&store, "theirs").await);
    let theirs = Theirs::of(&store, &victim).await;
    let their_id = victim.founder.org_id.as_uuid();
    let before = database.rows_of(their_id).await;
    let mut covered = BTreeSet::new();
    let (v1, v2, page) = (Version::FIRST, Version::try_from(2).unwrap(), PageRequest::default());

    let scope = store.org(&ours.ctx);
    finds_nothing!(covered, scope.teams.get(theirs.team));
    finds_nothing!(covered, scope.users.get(theirs.user));
    finds_nothing!(covered, scope.memberships.list(theirs.team, page));
    finds_nothing!(covered, scope.memberships.get(theirs.team, theirs.user));
    finds_nothing!(covered, scope.incidents.get(theirs.incident));
    finds_nothing!(covered, scope.agent_configs.get(theirs.config));
    finds_nothing!(covered, scope.stats.get(theirs.stat));
    finds_nothing!(covered, scope.configs.get(theirs.hierarchical));
    assert!(scope.configs().list(ConfigFilter::default(), page).await.unwrap().items.is_empty());
    let question = brownie_domain::config::Question::default();
    assert!(scope.configs().candidates(&question, true).await.unwrap().is_empty());
    covered.extend(["configs.list".to_owned(), "configs.candidates".to_owned()]);
    let slug = victim.store.org(&victim.ctx).teams().get(theirs.team).await.unwrap().slug;
    let found = scope.teams().by_slug(&slug).await;
    assert!(found.is_err() || found.is_ok_and(|team| team.org_id == ours.founder.org_id));
    covered.insert("teams.by_slug".to_owned());
    finds_nothing!(covered, scope.api_keys.get(theirs.api_key));
    assert!(scope.api_keys().list(page).await.unwrap().items.is_empty());
    covered.insert("api_keys.list".to_owned());
    finds_nothing!(covered, scope.events.after(theirs.event));
    let about = AuditFilter { resource_id: Some(theirs.incident.as_uuid()), ..Default::default() };
    let log = scope.audit_log().list(about, page).await.unwrap();
    assert!(log.items.is_empty(), "{log:?}");
    let log = scope.audit_log().list(AuditFilter::default(), page).await.unwrap();
    assert!(!log.items.is_empty());
    covered.insert("audit_log.list".to_owned());
    let stats = scope.stats();
    let summed = stats.summary(SummaryRequest {
        filter: StatFilter { team_id: Some(theirs.team), ..StatFilter::default() },
        window: chrono::TimeDelta::hours(1),
        limit: 10,
    });
    assert_eq!(summed.await.unwrap(), []);
    covered.insert("stats.summary".to_owned());

    let ids = stays_at_home!(
        covered,
        organization.get,
        scope.organization().get(),
        |organization: brownie_persistence::Organization| vec![organization.id.as_uuid()]
    );
    assert_eq!(ids, [ours.founder.org_id.as_uuid()]);
    let ids = stays_at_home!(
        covered,
        teams.list,
        scope.teams().list(page),
        |page: brownie_domain::Page<brownie_persistence::Team>| page
            .items
            .iter()
            .map(|team| team.org_id.as_uuid())
            .collect()
    );
    assert!(!ids.contains(&their_id));
    let ids = stays_at_home!(
        covered,
        users.list,
        scope.users().list(page),
        |page: brownie_domain::Page<brownie_persistence::User>| page
            .items
            .iter()
            .map(|user| user.org_id.as_uuid())
            .collect()
    );
    assert!(!ids.contains(&their_id));
    let events = scope.events();
    let ids = stays_at_home!(
        covered,
        events.list,
        events.list(events.beginning(), 100),
        |(events, _): (Vec<brownie_persistence::Event>, _)| events
            .iter()
            .map(|event| event.id.as_uuid())
            .collect()
    );
    assert!(!ids.contains(&theirs.event.as_uuid()));
    // Another's team has no incidents as far as we can see.
    for (name, empty) in [
        (
            "incidents.list",
            scope
                .incidents()
                .list(theirs.team, IncidentFilter::default(), page)
                .await
                .unwrap()
                .items
                .is_empty(),
        ),
        (
            "agent_configs.list",
            scope
                .agent_configs()
                .list(theirs.team, AgentConfigFilter::default(), page)
                .await
                .unwrap()
                .items
                .is_empty(),
        ),
        (
            "stats.list",
            scope
                .stats()
                .list(StatFilter { team_id: Some(theirs.team), ..StatFilter::default() }, page)
                .await
                .unwrap()
                .items
                .is_empty(),
        ),
    ] {
        covered.insert(name.to_owned());
        assert!(empty, "{name}");
    }

    let Theirs { team, user, incident, config, stat, gone, .. } = theirs;
    writes_nothing!(covered, ours, teams.update(team, v1, TeamPatch::default()));
    writes_nothing!(covered, ours, teams.delete(team, v1));
    writes_nothing!(covered, ours, teams.restore(gone.team, v2));
    writes_nothing!(covered, ours, users.create(new_user("somebody", team, Role::Admin)));
    writes_nothing!(covered, ours, users.update(user, v1, UserPatch::default()));
    writes_nothing!(covered, ours, users.password_hash(user));
    writes_nothing!(covered, ours, users.set_password(user, "x".to_owned()));
    writes_nothing!(covered, ours, users.link(user, "x".to_owned(), "x".to_owned()));
    writes_nothing!(covered, ours, users.delete(user, v1));
    writes_nothing!(covered, ours, users.restore(gone.user, v2));
    writes_nothing!(covered, ours, memberships.add(team, user, Role::Admin));
    writes_nothing!(covered, ours, memberships.change_role(team, user, v1, Role::Admin));
    writes_nothing!(covered, ours, memberships.remove(team, user, v1));
    writes_nothing!(covered, ours, incidents.create(team, new_incident("x")));
    writes_nothing!(covered, ours, incidents.create_all(team, vec![new_incident("x")]));
    writes_nothing!(covered, ours, incidents.update(incident, v1, IncidentPatch::default()));
    writes_nothing!(covered, ours, incidents.delete(incident, v1));
    writes_nothing!(covered, ours, incidents.restore(gone.incident, v2));
    writes_nothing!(covered, ours, incidents.live_or_deleted(gone.incident));
    writes_nothing!(covered, ours, agent_configs.create(team, new_agent_config("x")));
    writes_nothing!(covered, ours, agent_configs.update(config, v1, AgentConfigPatch::default()));
    writes_nothing!(covered, ours, agent_configs.delete(config, v1));
    writes_nothing!(covered, ours, agent_configs.restore(gone.config, v2));
    writes_nothing!(covered, ours, agent_configs.live_or_deleted(gone.config));
    writes_nothing!(covered, ours, configs.create(new_config(Some(team))));
    writes_nothing!(covered, ours, configs.update(theirs.hierarchical, v1, ConfigPatch::default()));
    writes_nothing!(covered, ours, configs.delete(theirs.hierarchical, v1));
    writes_nothing!(covered, ours, configs.restore(theirs.hierarchical, v2));
    writes_nothing!(covered, ours, api_keys.create(theirs.api_key, [0; 32], new_key(Some(team))));
    writes_nothing!(covered, ours, api_keys.rotate(theirs.api_key, v1, [0; 32], None));
    writes_nothing!(covered, ours, api_keys.revoke(theirs.api_key, v1));
    writes_nothing!(covered, ours, stats.create(team, new_stat("x")));
    writes_nothing!(covered, ours, stats.delete(stat, v1));
    writes_nothing!(covered, ours, stats.restore(gone.stat, v2));
    writes_nothing!(covered, ours, stats.live_or_deleted(gone.stat));

    // Our own things do not come to refer to theirs either.
    let home = ours.team_id;
    let theirs_in_ours = [
        ours.store
            .write(&ours.ctx, move |tx| async move {
                tx.users()
                    .update(
                        tx.users().list(PageRequest::default()).await?.items[0].id,
                        v1,
                        UserPatch { team_id: Some(team), ..UserPatch::default() },
                    )
                    .await
                    .map(drop)
            })
            .await,
        ours.store
            .write(&ours.ctx, move |tx| async move {
                let mut new = new_incident("ours");
                new.assigned_to = Some(user);
                tx.incidents().create(home, new).await.map(drop)
            })
            .await,
        ours.store
            .write(&ours.ctx, move |tx| async move {
                let Created::New(ours) = tx.incidents().create(home, new_incident("ours")).await?
                else {
                    panic!()
                };
                let patch =
                    IncidentPatch { assigned_to: Change::Set(user), ..IncidentPatch::default() };
                tx.incidents().update(ours.id, v1, patch).await.map(drop)
            })
            .await,
        ours.store
            .write(&ours.ctx, move |tx| async move {
                tx.memberships().add(home, user, Role::Member).await.map(drop)
            })
            .await,
    ];
    for outcome in theirs_in_ours {
        assert!(
            matches!(outcome, Err(Error::NotFound { .. } | Error::InvalidReference { .. })),
            "{outcome:?}"
        );
    }

    // What makes something of one's own makes it at home.
    let made = ours
        .store
        .write(&ours.ctx, |tx| async move { tx.teams().create(new_team("another")).await });
    assert_eq!(made.await.unwrap().org_id, ours.founder.org_id);
    covered.insert("teams.create".to_owned());
    let renamed = ours.store.write(&ours.ctx, move |tx| async move {
        tx.organization().update(v1, OrganizationPatch::default()).await
    });
    assert_eq!(renamed.await.unwrap().id, ours.founder.org_id);
    covered.insert("organization.update".to_owned());

    assert_eq!(database.rows_of(their_id).await, before);
    assert_eq!(covered, methods(), "left: those with a line here; right: those there are");
}
