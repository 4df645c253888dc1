use brownie_domain::{Change, IncidentStatus, PageRequest, Priority};
use brownie_persistence::{
    Created, Error, Incident, IncidentFilter, IncidentPatch, NewIncident, Store,
};
use harness::{Founded, new_incident, new_team};

use super::slug;

async fn create(org: &Founded, new: NewIncident) -> Result<Created, Error> {
    let team_id = org.team_id;
    org.store
        .write(&org.ctx, move |tx| {
            let new = new.clone();
            async move { tx.incidents().create(team_id, new).await }
        })
        .await
}

async fn open(org: &Founded, title: &str) -> Incident {
    match create(org, new_incident(title)).await.unwrap() {
        Created::New(incident) => incident,
        Created::Before(incident) => panic!("{incident:?} was there"),
    }
}

async fn patch(
    org: &Founded,
    incident: &Incident,
    patch: IncidentPatch,
) -> Result<Incident, Error> {
    let (id, version) = (incident.id, incident.stamps.version);
    org.store
        .write(&org.ctx, move |tx| {
            let patch = patch.clone();
            async move { tx.incidents().update(id, version, patch).await }
        })
        .await
}

fn moved_to(status: IncidentStatus) -> IncidentPatch {
    IncidentPatch { status: Some(status), ..IncidentPatch::default() }
}

pub(super) async fn an_incident_lives_and_dies(store: &Store) {
    let org = Founded::new(store, &slug("life")).await;
    let incident = open(&org, "Disk full").await;
    assert_eq!(incident.progress.status, IncidentStatus::Open);

    let incident = patch(&org, &incident, moved_to(IncidentStatus::InProgress)).await.unwrap();
    assert!(incident.progress.started_at.is_some());
    let incident = patch(&org, &incident, moved_to(IncidentStatus::Resolved)).await.unwrap();
    assert_eq!(incident.progress.resolution_time_minutes, Some(0));
    let incident = patch(&org, &incident, moved_to(IncidentStatus::Closed)).await.unwrap();
    let illegal = patch(&org, &incident, moved_to(IncidentStatus::Cancelled)).await;
    assert!(matches!(illegal, Err(Error::IllegalTransition(_))), "{illegal:?}");
    let incident = patch(&org, &incident, moved_to(IncidentStatus::Open)).await.unwrap();
    assert_eq!(incident.progress.resolved_at, None);

    let (id, version) = (incident.id, incident.stamps.version);
    store
        .write(&org.ctx, move |tx| async move {
            let deleted = tx.incidents().delete(id, version).await?;
            tx.incidents().restore(id, deleted.stamps.version).await
        })
        .await
        .unwrap();
    let read = store.org(&org.ctx).incidents().get(id).await.unwrap();
    assert_eq!(read.progress, incident.progress);
}

pub(super) async fn the_same_idempotency_key_makes_one_incident(store: &Store) {
    let org = Founded::new(store, &slug("again")).await;
    let new =
        NewIncident { idempotency_key: Some("alert-42".to_owned()), ..new_incident("Disk full") };
    let tries = (0..8).map(|_| create(&org, new.clone()));
    let outcomes = futures_util::future::join_all(tries).await;

    let mut made = 0;
    let mut ids = std::collections::BTreeSet::new();
    for outcome in outcomes {
        let incident = match outcome.unwrap() {
            Created::New(incident) => {
                made += 1;
                incident
            }
            Created::Before(incident) => incident,
        };
        ids.insert(incident.id);
    }
    assert_eq!((made, ids.len()), (1, 1));

    let elsewhere = Founded::new(store, &slug("elsewhere")).await;
    let independent = create(&elsewhere, new).await.unwrap();
    assert!(matches!(independent, Created::New(_)), "keys are each organization's own");
}

pub(super) async fn a_key_of_another_team_shows_nothing(store: &Store) {
    let org = Founded::new(store, &slug("key")).await;
    let new =
        NewIncident { idempotency_key: Some("alert-42".to_owned()), ..new_incident("Secret") };
    create(&org, new.clone()).await.unwrap();
    let outcome = store
        .write(&org.ctx, move |tx| {
            let new = new.clone();
            async move {
                let other = tx.teams().create(new_team("other")).await?.id;
                tx.incidents().create(other, new).await
            }
        })
        .await;
    assert!(matches!(outcome, Err(Error::AlreadyExists { .. })), "{outcome:?}");
}

pub(super) async fn a_filter_finds_what_it_says(store: &Store) {
    let org = Founded::new(store, &slug("filter")).await;
    let urgent = create(
        &org,
        NewIncident { priority: Priority::Critical, ..new_incident("100% of the disk") },
    );
    let Created::New(urgent) = urgent.await.unwrap() else { panic!("it is new") };
    let other = open(&org, "Certificate expires").await;
    let found = async |filter: IncidentFilter| -> Vec<_> {
        let page =
            store.org(&org.ctx).incidents().list(org.team_id, filter, PageRequest::default()).await;
        page.unwrap().items.into_iter().map(|incident| incident.id).collect()
    };

    assert_eq!(found(IncidentFilter::default()).await, [other.id, urgent.id]);
    let priority = Some(Priority::Critical);
    assert_eq!(found(IncidentFilter { priority, ..Default::default() }).await, [urgent.id]);
    let status = Some(IncidentStatus::Closed);
    assert!(found(IncidentFilter { status, ..Default::default() }).await.is_empty());
    for (text, expected) in
        [("CERTIFICATE", vec![other.id]), ("100%", vec![urgent.id]), ("_", vec![])]
    {
        let text = Some(text.parse().unwrap());
        assert_eq!(found(IncidentFilter { text, ..Default::default() }).await, expected);
    }
    let since = Some(other.stamps.created_at);
    assert_eq!(found(IncidentFilter { since, ..Default::default() }).await, [other.id]);
}

pub(super) async fn an_assignee_must_be_there(store: &Store) {
    let org = Founded::new(store, &slug("assignee")).await;
    let stranger = Founded::new(store, &slug("stranger")).await;
    let incident = open(&org, "Disk full").await;

    let foreign =
        IncidentPatch { assigned_to: Change::Set(stranger.founder.id), ..IncidentPatch::default() };
    let outcome = patch(&org, &incident, foreign).await;
    assert!(matches!(outcome, Err(Error::InvalidReference { .. })), "{outcome:?}");

    let own =
        IncidentPatch { assigned_to: Change::Set(org.founder.id), ..IncidentPatch::default() };
    let assigned = patch(&org, &incident, own).await.unwrap();
    assert_eq!(assigned.assigned_to, Some(org.founder.id));
    assert_eq!(assigned.progress.response_time_minutes, Some(0));
    let nobody = IncidentPatch { assigned_to: Change::Clear, ..IncidentPatch::default() };
    assert_eq!(patch(&org, &assigned, nobody).await.unwrap().assigned_to, None);
}
