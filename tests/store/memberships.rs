use brownie_domain::{PageRequest, RequestId, Role};
use brownie_persistence::{Error, Store, SystemContext, UserPatch};
use harness::{Founded, new_team, new_user};

use super::slug;

pub(super) async fn a_role_in_another_team_counts_there(store: &Store) {
    let org = Founded::new(store, &slug("member")).await;
    let home = org.team_id;
    let (user, team) = store
        .write(&org.ctx, move |tx| async move {
            let user = tx.users().create(new_user("ada", home, Role::Viewer)).await?;
            let team = tx.teams().create(new_team("second")).await?;
            tx.memberships().add(team.id, user.id, Role::Member).await?;
            Ok::<_, Error>((user, team))
        })
        .await
        .unwrap();

    let visitor = SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()));
    let principal = store.system(&visitor).principal(org.founder.org_id, user.id).await;
    let principal = principal.unwrap().unwrap();
    assert_eq!(principal.role_in(home), Some(Role::Viewer));
    assert_eq!(principal.role_in(team.id), Some(Role::Member));
    assert_eq!(org.principal.role_in(team.id), Some(Role::Admin), "an admin is one everywhere");

    let members = store.org(&org.ctx).memberships().list(team.id, PageRequest::default()).await;
    let members = members.unwrap().items;
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].role, members[0].is_home), (Role::Member, false));

    let again = store
        .write(&org.ctx, move |tx| async move {
            tx.memberships().add(team.id, user.id, Role::Admin).await
        })
        .await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");

    let version = members[0].version;
    store
        .write(&org.ctx, move |tx| async move {
            let changed =
                tx.memberships().change_role(team.id, user.id, version, Role::Admin).await?;
            assert_eq!(changed.role, Role::Admin);
            tx.memberships().remove(team.id, user.id, changed.version).await
        })
        .await
        .unwrap();
    let principal = store.system(&visitor).principal(org.founder.org_id, user.id).await;
    assert_eq!(principal.unwrap().unwrap().role_in(team.id), None);

    let back = store
        .write(&org.ctx, move |tx| async move {
            tx.memberships().add(team.id, user.id, Role::Viewer).await
        })
        .await
        .unwrap();
    assert_eq!(back.role, Role::Viewer);
    assert!(back.version > version, "a version from before the break must not fit");
}

pub(super) async fn the_home_team_cannot_be_left_only_changed(store: &Store) {
    let org = Founded::new(store, &slug("home")).await;
    let home = org.team_id;
    let user = store
        .write(&org.ctx, move |tx| async move {
            tx.users().create(new_user("ada", home, Role::Viewer)).await
        })
        .await
        .unwrap();

    let version = user.stamps.version;
    let outcome = store
        .write(
            &org.ctx,
            move |tx| async move { tx.memberships().remove(home, user.id, version).await },
        )
        .await;
    assert!(matches!(outcome, Err(Error::HomeTeam)), "{outcome:?}");

    let outcome = store
        .write(&org.ctx, move |tx| async move {
            tx.memberships().change_role(home, user.id, version, Role::Admin).await
        })
        .await;
    assert!(matches!(outcome, Err(Error::HomeTeam)), "{outcome:?}");
}

pub(super) async fn a_membership_ends_with_the_user_and_with_a_move(store: &Store) {
    let org = Founded::new(store, &slug("ends")).await;
    let home = org.team_id;
    store
        .write(&org.ctx, move |tx| async move {
            let second = tx.teams().create(new_team("second")).await?.id;
            let ada = tx.users().create(new_user("ada", home, Role::Viewer)).await?;
            let bob = tx.users().create(new_user("bob", home, Role::Viewer)).await?;
            for user in [&ada, &bob] {
                tx.memberships().add(second, user.id, Role::Admin).await?;
            }
            // Ada moves into the second team, and on: the membership does not come back.
            let there = UserPatch { team_id: Some(second), ..UserPatch::default() };
            let ada = tx.users().update(ada.id, ada.stamps.version, there).await?;
            let back = UserPatch { team_id: Some(home), ..UserPatch::default() };
            tx.users().update(ada.id, ada.stamps.version, back).await?;
            tx.users().delete(bob.id, bob.stamps.version).await?;
            let left = tx.memberships().list(second, PageRequest::default()).await?.items;
            assert!(left.is_empty(), "{left:?}");
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}
