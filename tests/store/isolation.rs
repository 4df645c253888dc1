use brownie_domain::PageRequest;
use brownie_persistence::{Created, Error, IncidentFilter, Store, TeamPatch};
use harness::{Founded, new_incident, new_team};

use super::slug;

pub(super) async fn another_organizations_rows_are_not_there(store: &Store) {
    let ours = Founded::new(store, &slug("ours")).await;
    let theirs = Founded::new(store, &slug("theirs")).await;
    let team_id = theirs.team_id;
    let created = store
        .write(&theirs.ctx, move |tx| async move {
            tx.incidents().create(team_id, new_incident("Theirs")).await
        })
        .await
        .unwrap();
    let Created::New(incident) = created else { panic!("it is new") };

    let scope = store.org(&ours.ctx);
    assert!(matches!(scope.teams().get(team_id).await, Err(Error::NotFound { .. })));
    assert!(matches!(scope.users().get(theirs.founder.id).await, Err(Error::NotFound { .. })));
    assert!(matches!(scope.incidents().get(incident.id).await, Err(Error::NotFound { .. })));
    let page =
        scope.incidents().list(team_id, IncidentFilter::default(), PageRequest::default()).await;
    assert!(page.unwrap().items.is_empty());

    let version = incident.stamps.version;
    let outcome = store
        .write(
            &ours.ctx,
            move |tx| async move { tx.incidents().delete(incident.id, version).await },
        )
        .await;
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    let outcome = store
        .write(&ours.ctx, move |tx| async move {
            tx.incidents().create(team_id, new_incident("In their team")).await
        })
        .await;
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    assert_eq!(store.org(&theirs.ctx).incidents().get(incident.id).await.unwrap(), incident);
}

pub(super) async fn a_unit_that_fails_leaves_nothing(store: &Store) {
    let org = Founded::new(store, &slug("unit")).await;
    let team_id = org.team_id;
    let outcome = store
        .write(&org.ctx, move |tx| async move {
            tx.teams().create(new_team("half")).await?;
            let version = tx.teams().get(team_id).await?.stamps.version;
            let beyond = brownie_domain::Version::try_from(version.get() + 7).unwrap();
            tx.teams().update(team_id, beyond, TeamPatch::default()).await
        })
        .await;
    assert!(matches!(outcome, Err(Error::VersionConflict { .. })), "{outcome:?}");
    let page = store.org(&org.ctx).teams().list(PageRequest::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
}

pub(super) async fn a_dropped_unit_leaves_nothing(store: &Store) {
    let org = Founded::new(store, &slug("drop")).await;
    let tx = store.begin(&org.ctx).await.unwrap();
    tx.teams().create(new_team("half")).await.unwrap();
    drop(tx);
    let page = store.org(&org.ctx).teams().list(PageRequest::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
}
