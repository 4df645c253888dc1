use brownie_domain::{Change, PageRequest};
use brownie_persistence::{Error, Store, TeamPatch};
use harness::{Founded, new_team};

use super::slug;

async fn create(org: &Founded, name: &'static str) -> brownie_persistence::Team {
    org.store
        .write(&org.ctx, move |tx| async move { tx.teams().create(new_team(name)).await })
        .await
        .unwrap()
}

async fn rename(
    org: &Founded,
    team: &brownie_persistence::Team,
    name: &str,
) -> Result<brownie_persistence::Team, Error> {
    let (id, version) = (team.id, team.stamps.version);
    let patch = TeamPatch { name: Some(name.parse().unwrap()), ..TeamPatch::default() };
    org.store
        .write(&org.ctx, move |tx| {
            let patch = patch.clone();
            async move { tx.teams().update(id, version, patch).await }
        })
        .await
}

pub(super) async fn a_team_is_created_read_and_listed(store: &Store) {
    let org = Founded::new(store, &slug("create")).await;

    let team = create(&org, "platform").await;

    assert_eq!(team.stamps.version.get(), 1);
    assert_eq!(team.stamps.created_by, Some(org.founder.id));
    assert_eq!(store.org(&org.ctx).teams().get(team.id).await.unwrap(), team);
    let page = store.org(&org.ctx).teams().list(PageRequest::default()).await.unwrap();
    assert_eq!(page.items.first(), Some(&team));
    assert_eq!(page.items.len(), 2, "and the team of the sign-up");
}

pub(super) async fn a_name_or_slug_is_taken_once_and_free_after_deletion(store: &Store) {
    let org = Founded::new(store, &slug("names")).await;
    let team = create(&org, "platform").await;

    let again = store
        .write(&org.ctx, |tx| async move { tx.teams().create(new_team("platform")).await })
        .await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");

    let (id, version) = (team.id, team.stamps.version);
    store
        .write(&org.ctx, move |tx| async move { tx.teams().delete(id, version).await })
        .await
        .unwrap();
    let successor = create(&org, "platform").await;
    assert_ne!(successor.id, team.id);

    let version = version_after(version);
    let restored =
        store.write(&org.ctx, move |tx| async move { tx.teams().restore(id, version).await }).await;
    assert!(matches!(restored, Err(Error::AlreadyExists { .. })), "{restored:?}");
}

fn version_after(version: brownie_domain::Version) -> brownie_domain::Version {
    brownie_domain::Version::try_from(version.get() + 1).unwrap()
}

pub(super) async fn a_change_names_its_version_and_the_second_writer_loses(store: &Store) {
    let org = Founded::new(store, &slug("versions")).await;
    let read = create(&org, "platform").await;

    let renamed = rename(&org, &read, "Renamed").await.unwrap();
    assert_eq!(renamed.stamps.version, version_after(read.stamps.version));

    let stale = rename(&org, &read, "Too late").await;
    match stale {
        Err(Error::VersionConflict { expected, actual, .. }) => {
            assert_eq!((expected, actual), (read.stamps.version, renamed.stamps.version));
        }
        other => panic!("{other:?}"),
    }
    let now = store.org(&org.ctx).teams().get(read.id).await.unwrap();
    assert_eq!(now.name.as_str(), "Renamed");
}

pub(super) async fn of_two_writers_with_the_same_version_exactly_one_wins(store: &Store) {
    let org = Founded::new(store, &slug("race")).await;
    let mut team = create(&org, "platform").await;
    for round in 0..20 {
        let (one, other) = (format!("One {round}"), format!("Other {round}"));
        let (one, other) =
            futures_util::future::join(rename(&org, &team, &one), rename(&org, &team, &other))
                .await;
        let winner = match (one, other) {
            (Ok(winner), Err(Error::VersionConflict { .. }))
            | (Err(Error::VersionConflict { .. }), Ok(winner)) => winner,
            outcomes => panic!("round {round}: {outcomes:?}"),
        };
        team = store.org(&org.ctx).teams().get(team.id).await.unwrap();
        assert_eq!(team, winner, "round {round}");
    }
}

pub(super) async fn a_patch_changes_what_it_mentions(store: &Store) {
    let org = Founded::new(store, &slug("patch")).await;
    let team = create(&org, "platform").await;
    let (id, version) = (team.id, team.stamps.version);
    let described = store
        .write(&org.ctx, move |tx| async move {
            let description = Change::Set("Keeps the lights on.\nAlways.".parse()?);
            let patch = TeamPatch { description, ..TeamPatch::default() };
            Ok::<_, anyhow::Error>(tx.teams().update(id, version, patch).await?)
        })
        .await
        .unwrap();
    assert_eq!(described.name, team.name);
    assert_eq!(described.description.unwrap().as_str(), "Keeps the lights on.\nAlways.");

    let version = described.stamps.version;
    let cleared = store
        .write(&org.ctx, move |tx| async move {
            let patch = TeamPatch { description: Change::Clear, ..TeamPatch::default() };
            tx.teams().update(id, version, patch).await
        })
        .await
        .unwrap();
    assert_eq!(cleared.description, None);
}

pub(super) async fn a_deleted_team_is_hidden_and_comes_back(store: &Store) {
    let org = Founded::new(store, &slug("delete")).await;
    let team = create(&org, "platform").await;
    let (id, version) = (team.id, team.stamps.version);

    let deleted = store
        .write(&org.ctx, move |tx| async move { tx.teams().delete(id, version).await })
        .await
        .unwrap();

    let gone = store.org(&org.ctx).teams().get(id).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let again =
        store.write(&org.ctx, move |tx| async move { tx.teams().delete(id, version).await }).await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");

    let version = deleted.stamps.version;
    let restored = store
        .write(&org.ctx, move |tx| async move { tx.teams().restore(id, version).await })
        .await
        .unwrap();
    assert_eq!(restored.stamps.version.get(), 3);
    assert_eq!(store.org(&org.ctx).teams().get(id).await.unwrap(), restored);
}

pub(super) async fn the_limit_of_teams_is_exact_under_concurrency(store: &Store) {
    let org = Founded::new(store, &slug("limit")).await;
    let tries = (0..16).map(|number| {
        let new = new_team(&format!("team-{number}"));
        store.write(&org.ctx, move |tx| {
            let new = new.clone();
            async move { tx.teams().create(new).await }
        })
    });
    let outcomes = futures_util::future::join_all(tries).await;
    let (created, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(created.len(), 9, "ten, and one is there from the sign-up");
    for error in refused.into_iter().filter_map(Result::err) {
        assert!(matches!(error, Error::LimitReached { max: 10, .. }), "{error:?}");
    }
}

pub(super) async fn pages_neither_repeat_nor_hide_a_row(store: &Store) {
    let org = Founded::new(store, &slug("pages")).await;
    let mut expected = vec![org.team_id];
    for name in ["a", "b", "c", "d", "e", "f"] {
        expected.push(create(&org, name).await.id);
    }
    expected.reverse();

    let mut found = Vec::new();
    let mut after = None;
    loop {
        let request = PageRequest::new(2, after).unwrap();
        let page = store.org(&org.ctx).teams().list(request).await.unwrap();
        found.extend(page.items.iter().map(|team| team.id));
        // What comes while somebody turns pages is newer than all they have seen.
        if found.len() == 2 {
            create(&org, "latecomer").await;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected);
}

pub(super) async fn a_team_that_is_a_home_cannot_be_deleted(store: &Store) {
    let org = Founded::new(store, &slug("home")).await;
    let id = org.team_id;
    let outcome = store
        .write(&org.ctx, move |tx| async move {
            let version = tx.teams().get(id).await?.stamps.version;
            tx.teams().delete(id, version).await
        })
        .await;
    assert!(matches!(outcome, Err(Error::InUse { .. })), "{outcome:?}");
}
