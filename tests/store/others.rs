use brownie_domain::{AgentType, Document, PageRequest, Tags};
use brownie_persistence::{
    AgentConfigFilter, AgentConfigPatch, Error, NewAgentConfig, NewStat, OrganizationPatch,
    StatFilter, Store,
};
use chrono::{TimeDelta, TimeZone, Utc};
use harness::Founded;
use serde_json::json;

use super::slug;

pub(super) async fn an_agent_configuration_is_kept_as_sent(store: &Store) {
    let org = Founded::new(store, &slug("agent")).await;
    let team_id = org.team_id;
    let document =
        json!({"model": "large", "steps": [1, 2.5, null, {"deep": true}], "ünïcode": "✓"});
    let new = NewAgentConfig {
        name: "Triage".parse().unwrap(),
        description: None,
        agent_type: AgentType::Analysis,
        is_active: true,
        config: Document::try_from(document.clone()).unwrap(),
        execution_timeout_seconds: 300,
        max_retries: 0,
        retry_delay_seconds: 60,
        triggers: Document::default(),
        conditions: Document::default(),
        tags: Tags::try_from(vec!["llm".to_owned()]).unwrap(),
        metadata: Document::default(),
    };
    let twice = new.clone();
    let config = store
        .write(&org.ctx, move |tx| {
            let new = new.clone();
            async move { tx.agent_configs().create(team_id, new).await }
        })
        .await
        .unwrap();
    let read = store.org(&org.ctx).agent_configs().get(config.id).await.unwrap();
    assert_eq!(read, config);
    assert_eq!(serde_json::Value::from(read.config), document);

    let again = store
        .write(&org.ctx, move |tx| {
            let twice = twice.clone();
            async move { tx.agent_configs().create(team_id, twice).await }
        })
        .await;
    assert!(matches!(again, Err(Error::AlreadyExists { field: "name", .. })), "{again:?}");

    let (id, version) = (config.id, config.stamps.version);
    let patch = AgentConfigPatch { is_active: Some(false), ..AgentConfigPatch::default() };
    let off = store
        .write(&org.ctx, move |tx| {
            let patch = patch.clone();
            async move { tx.agent_configs().update(id, version, patch).await }
        })
        .await
        .unwrap();
    let filter = AgentConfigFilter { is_active: Some(true), agent_type: None };
    let page =
        store.org(&org.ctx).agent_configs().list(team_id, filter, PageRequest::default()).await;
    assert!(page.unwrap().items.is_empty());
    let version = off.stamps.version;
    store
        .write(&org.ctx, move |tx| async move {
            let deleted = tx.agent_configs().delete(id, version).await?;
            tx.agent_configs().restore(id, deleted.stamps.version).await
        })
        .await
        .unwrap();
}

pub(super) async fn statistics_are_listed_by_their_own_time(store: &Store) {
    let org = Founded::new(store, &slug("stats")).await;
    let team_id = org.team_id;
    let noon = Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap();
    // Recorded in another order than measured.
    for (minutes, value) in [(5, 0.5), (0, -1.25), (10, 1e300)] {
        let new = NewStat {
            metric_name: "latency".parse().unwrap(),
            metric_type: "gauge".parse().unwrap(),
            value,
            count: None,
            timestamp: noon + TimeDelta::minutes(minutes),
            time_window: None,
            labels: Document::default(),
            description: None,
            unit: Some("ms".parse().unwrap()),
        };
        store
            .write(&org.ctx, move |tx| {
                let new = new.clone();
                async move { tx.stats().create(team_id, new).await }
            })
            .await
            .unwrap();
    }
    let list = async |filter: StatFilter, request: PageRequest| {
        store.org(&org.ctx).stats().list(filter, request).await.unwrap()
    };
    let first = list(StatFilter::default(), PageRequest::new(2, None).unwrap()).await;
    let values: Vec<f64> = first.items.iter().map(|stat| stat.value).collect();
    assert_eq!(values, [1e300, 0.5]);
    let rest = list(StatFilter::default(), PageRequest::new(2, first.next).unwrap()).await;
    assert_eq!(rest.items.len(), 1);
    let until = StatFilter { until: Some(noon), team_id: Some(team_id), ..StatFilter::default() };
    let early = list(until, PageRequest::default()).await.items;
    assert_eq!(early.len(), 1);

    let (id, version) = (early[0].id, early[0].stamps.version);
    store
        .write(&org.ctx, move |tx| async move { tx.stats().delete(id, version).await })
        .await
        .unwrap();
    let gone = store.org(&org.ctx).stats().get(id).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

pub(super) async fn the_organization_changes_itself(store: &Store) {
    let (mine, other) = (slug("self"), slug("other"));
    let org = Founded::new(store, &mine).await;
    Founded::new(store, &other).await;
    let version = store.org(&org.ctx).organization().get().await.unwrap().stamps.version;

    let taken = OrganizationPatch { slug: Some(other.parse().unwrap()), ..Default::default() };
    let outcome = store
        .write(&org.ctx, move |tx| {
            let taken = taken.clone();
            async move { tx.organization().update(version, taken).await }
        })
        .await;
    assert!(matches!(outcome, Err(Error::AlreadyExists { field: "slug", .. })), "{outcome:?}");

    let renamed = OrganizationPatch { name: Some("Acme".parse().unwrap()), ..Default::default() };
    let organization = store
        .write(&org.ctx, move |tx| {
            let renamed = renamed.clone();
            async move { tx.organization().update(version, renamed).await }
        })
        .await
        .unwrap();
    assert_eq!((organization.name.as_str(), organization.slug.as_str()), ("Acme", mine.as_str()));
}
