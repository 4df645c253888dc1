//! Another organization, and what it has.

use brownie_domain::{
    AgentConfigId, ApiKeyId, ConfigId, ConfigStatus, ConfigType, Document, EventId, IncidentId,
    Role, StatId, Tags, TeamId, UserId, Version,
    config::{BodyFormat, ConfigBody},
};
use brownie_persistence::{Created, Error, NewApiKey, NewConfig, Store};
use harness::{Founded, new_agent_config, new_incident, new_stat, new_team, new_user};

/// What another organization has: one of each, live and deleted.
#[derive(Clone, Copy)]
pub(super) struct Theirs {
    pub(super) team: TeamId,
    pub(super) user: UserId,
    pub(super) incident: IncidentId,
    pub(super) config: AgentConfigId,
    pub(super) stat: StatId,
    pub(super) gone: Gone,
    pub(super) event: EventId,
    pub(super) api_key: ApiKeyId,
    pub(super) hierarchical: ConfigId,
}

#[derive(Clone, Copy)]
pub(super) struct Gone {
    pub(super) team: TeamId,
    pub(super) user: UserId,
    pub(super) incident: IncidentId,
    pub(super) config: AgentConfigId,
    pub(super) stat: StatId,
}

impl Theirs {
    pub(super) async fn of(store: &Store, org: &Founded) -> Self {
        let team = org.team_id;
        let live = make(store, org, team, "live").await;
        let gone = make(store, org, team, "gone").await;
        let v1 = Version::FIRST;
        store
            .write(&org.ctx, move |tx| async move {
                tx.memberships().add(live.team, live.user, Role::Member).await?;
                tx.teams().delete(gone.team, v1).await?;
                tx.users().delete(gone.user, v1).await?;
                tx.incidents().delete(gone.incident, v1).await?;
                tx.agent_configs().delete(gone.config, v1).await?;
                tx.stats().delete(gone.stat, v1).await
            })
            .await
            .unwrap();
        let events = store.org(&org.ctx);
        let (events, _) = events.events().list(events.events().beginning(), 1).await.unwrap();
        Self {
            team: live.team,
            user: live.user,
            incident: live.incident,
            config: live.config,
            stat: live.stat,
            gone,
            event: events[0].id,
            api_key: make_key(store, org).await,
            hierarchical: make_config(store, org).await,
        }
    }
}

pub(super) fn new_config(team_id: Option<TeamId>) -> NewConfig {
    NewConfig {
        team_id,
        name: "a configuration".parse().unwrap(),
        description: None,
        config_type: ConfigType::Team,
        status: ConfigStatus::Active,
        name_pattern: None,
        severity_pattern: None,
        team_pattern: None,
        body: ConfigBody::read(BodyFormat::Json, "{}".to_owned()).unwrap(),
        schema: None,
        config_version: None,
        priority: 0,
        is_global: false,
        is_active: true,
        tags: Tags::default(),
        metadata: Document::default(),
    }
}

async fn make_config(store: &Store, org: &Founded) -> ConfigId {
    let made =
        store.write(&org.ctx, |tx| async move { tx.configs().create(new_config(None)).await });
    made.await.unwrap().id
}

pub(super) fn new_key(team_id: Option<TeamId>) -> NewApiKey {
    NewApiKey {
        team_id,
        name: "a key".parse().unwrap(),
        role: Role::Admin,
        scopes: Vec::new(),
        expires_at: None,
    }
}

async fn make_key(store: &Store, org: &Founded) -> ApiKeyId {
    let made = store.write(&org.ctx, |tx| async move {
        let id = tx.api_keys().next_id();
        tx.api_keys().create(id, [0xff; 32], new_key(None)).await
    });
    made.await.unwrap().id
}

async fn make(store: &Store, org: &Founded, home: TeamId, name: &'static str) -> Gone {
    store
        .write(&org.ctx, move |tx| async move {
            let Created::New(incident) = tx.incidents().create(home, new_incident(name)).await?
            else {
                panic!("it is new")
            };
            Ok::<_, Error>(Gone {
                team: tx.teams().create(new_team(name)).await?.id,
                user: tx.users().create(new_user(name, home, Role::Member)).await?.id,
                incident: incident.id,
                config: tx.agent_configs().create(home, new_agent_config(name)).await?.id,
                stat: tx.stats().create(home, new_stat(name)).await?.id,
            })
        })
        .await
        .unwrap()
}
