use brownie_domain::{RequestId, Role, UserId};
use brownie_persistence::{Error, OrganizationPatch, Store, SystemContext, User, UserPatch};
use harness::{Founded, new_user};

use super::slug;

async fn create(org: &Founded, username: &str, role: Role) -> Result<User, Error> {
    let new = new_user(username, org.team_id, role);
    org.store
        .write(&org.ctx, move |tx| {
            let new = new.clone();
            async move { tx.users().create(new).await }
        })
        .await
}

async fn patch(org: &Founded, user: &User, patch: UserPatch) -> Result<User, Error> {
    let (id, version) = (user.id, user.stamps.version);
    org.store
        .write(&org.ctx, move |tx| {
            let patch = patch.clone();
            async move { tx.users().update(id, version, patch).await }
        })
        .await
}

async fn delete(org: &Founded, user: &User) -> Result<User, Error> {
    let (id, version) = (user.id, user.stamps.version);
    org.store.write(&org.ctx, move |tx| async move { tx.users().delete(id, version).await }).await
}

async fn comes_in(org: &Founded, id: UserId) -> bool {
    let visitor = SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()));
    let principal = org.store.system(&visitor).principal(org.founder.org_id, id).await.unwrap();
    principal.is_some()
}

pub(super) async fn a_mailbox_is_one_account_in_any_case(store: &Store) {
    let org = Founded::new(store, &slug("mailbox")).await;
    create(&org, "ada", Role::Member).await.unwrap();

    let mut shouting = new_user("other", org.team_id, Role::Member);
    shouting.email = "ADA@People.Example".parse().unwrap();
    let outcome = store
        .write(&org.ctx, move |tx| {
            let shouting = shouting.clone();
            async move { tx.users().create(shouting).await }
        })
        .await;
    assert!(matches!(outcome, Err(Error::AlreadyExists { field: "email", .. })), "{outcome:?}");

    let mut shouting = new_user("ADA", org.team_id, Role::Member);
    shouting.email = "another@people.example".parse().unwrap();
    let outcome = store
        .write(&org.ctx, move |tx| {
            let shouting = shouting.clone();
            async move { tx.users().create(shouting).await }
        })
        .await;
    assert!(matches!(outcome, Err(Error::AlreadyExists { field: "username", .. })), "{outcome:?}");
}

pub(super) async fn the_last_admin_stays(store: &Store) {
    let org = Founded::new(store, &slug("admin")).await;
    let demotion = UserPatch { role: Some(Role::Member), ..UserPatch::default() };
    let retirement = UserPatch { is_active: Some(false), ..UserPatch::default() };

    let outcome = patch(&org, &org.founder, demotion.clone()).await;
    assert!(matches!(outcome, Err(Error::LastAdmin)), "{outcome:?}");
    let outcome = patch(&org, &org.founder, retirement).await;
    assert!(matches!(outcome, Err(Error::LastAdmin)), "{outcome:?}");
    let outcome = delete(&org, &org.founder).await;
    assert!(matches!(outcome, Err(Error::LastAdmin)), "{outcome:?}");

    // Of two admins who leave at once, one stays.
    // An admin who cannot log in does not count.
    create(&org, "keyless", Role::Admin).await.unwrap();
    let outcome = delete(&org, &org.founder).await;
    assert!(matches!(outcome, Err(Error::LastAdmin)), "{outcome:?}");
    let mut second = new_user("second", org.team_id, Role::Admin);
    second.password_hash = Some("not a hash".to_owned());
    let second = store
        .write(&org.ctx, move |tx| {
            let second = second.clone();
            async move { tx.users().create(second).await }
        })
        .await
        .unwrap();
    let (one, other) =
        futures_util::future::join(delete(&org, &org.founder), delete(&org, &second)).await;
    assert!(
        matches!((&one, &other), (Ok(_), Err(Error::LastAdmin)) | (Err(Error::LastAdmin), Ok(_))),
        "{one:?} {other:?}"
    );
}

pub(super) async fn a_team_takes_as_many_users_as_it_may(store: &Store) {
    let org = Founded::new(store, &slug("crowd")).await;
    store
        .write(&org.ctx, |tx| async move {
            let version = tx.organization().get().await?.stamps.version;
            let lower =
                OrganizationPatch { max_users_per_team: Some(3), ..OrganizationPatch::default() };
            tx.organization().update(version, lower).await
        })
        .await
        .unwrap();
    let names: Vec<String> = (0..6).map(|number| format!("user-{number}")).collect();
    let tries = names.iter().map(|name| create(&org, name, Role::Member));
    let outcomes = futures_util::future::join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2, "{outcomes:?}");
}

pub(super) async fn who_is_inactive_or_deleted_does_not_come_in(store: &Store) {
    let org = Founded::new(store, &slug("entry")).await;
    let user = create(&org, "ada", Role::Member).await.unwrap();
    assert!(comes_in(&org, user.id).await);

    let retired = UserPatch { is_active: Some(false), ..UserPatch::default() };
    let user = patch(&org, &user, retired).await.unwrap();
    assert!(!comes_in(&org, user.id).await);

    let back = UserPatch { is_active: Some(true), ..UserPatch::default() };
    let user = patch(&org, &user, back).await.unwrap();
    assert!(comes_in(&org, user.id).await);

    delete(&org, &user).await.unwrap();
    assert!(!comes_in(&org, user.id).await);
}
