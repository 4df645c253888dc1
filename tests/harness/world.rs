//! Organizations to test in, and things to put in them.

use brownie_domain::{
    AgentType, Clock, Document, IdSource, IncidentStatus, Priority, RandomIds, RequestId, Role,
    Severity, SystemClock, Tags, TeamId,
};
use brownie_persistence::{
    NewAgentConfig, NewIncident, NewStat, NewTeam, NewUser, OrgContext, Principal, SignUp, Store,
    SystemContext, User,
};

/// An organization with one team and one user, its admin.
#[derive(Debug, Clone)]
pub struct Founded {
    /// The store it is in.
    pub store: Store,
    /// The founder.
    pub founder: User,
    /// The founder as the database knows them.
    pub principal: Principal,
    /// The founder's right to act.
    pub ctx: OrgContext,
    /// The first team.
    pub team_id: TeamId,
}

/// Returns a fresh request id.
fn request_id() -> RequestId {
    RequestId::from_uuid(RandomIds.next(SystemClock.now()))
}

fn good<T, E: std::fmt::Debug>(value: Result<T, E>) -> T {
    match value {
        Ok(value) => value,
        Err(error) => panic!("the test's own value is not good: {error:?}"),
    }
}

impl Founded {
    /// Founds an organization. `slug` must be unique in the database.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn new(store: &Store, slug: &str) -> Self {
        let visitor = SystemContext::for_visitor(request_id());
        let system = store.system(&visitor);
        let founder = good(
            system
                .sign_up(SignUp {
                    organization: good(format!("The {slug} company").parse()),
                    slug: good(slug.parse()),
                    team: good("First team".parse()),
                    email: good(format!("founder@{slug}.example").parse()),
                    username: good("founder".parse()),
                    full_name: None,
                    password_hash: "not a hash".to_owned(),
                })
                .await,
        );
        let Some(principal) = good(system.principal(founder.org_id, founder.id).await) else {
            panic!("the founder cannot come in");
        };
        let ctx = principal.context(request_id());
        Self { store: store.clone(), team_id: founder.team_id, founder, principal, ctx }
    }
}

/// A team to be created.
///
/// # Panics
/// When `slug` is none.
pub fn new_team(slug: &str) -> NewTeam {
    NewTeam {
        name: good(format!("Team {slug}").parse()),
        slug: good(slug.parse()),
        description: None,
        is_active: true,
        permissions: Document::default(),
    }
}

/// A user to be created.
///
/// # Panics
/// When `username` is none.
pub fn new_user(username: &str, team_id: TeamId, role: Role) -> NewUser {
    NewUser {
        email: good(format!("{username}@people.example").parse()),
        username: good(username.parse()),
        full_name: None,
        avatar_url: None,
        password_hash: None,
        is_active: true,
        is_verified: false,
        team_id,
        role,
        preferences: Document::default(),
    }
}

/// An incident to be created.
///
/// # Panics
/// When `title` is none.
pub fn new_incident(title: &str) -> NewIncident {
    NewIncident {
        title: good(title.parse()),
        description: None,
        status: IncidentStatus::Open,
        priority: Priority::Medium,
        severity: Severity::Medium,
        source: None,
        assigned_to: None,
        tags: Tags::default(),
        metadata: Document::default(),
        idempotency_key: None,
    }
}

/// An agent configuration to be created.
///
/// # Panics
/// When `name` is none.
pub fn new_agent_config(name: &str) -> NewAgentConfig {
    NewAgentConfig {
        name: good(name.parse()),
        description: None,
        agent_type: AgentType::Custom,
        is_active: true,
        config: Document::default(),
        execution_timeout_seconds: 300,
        max_retries: 3,
        retry_delay_seconds: 60,
        triggers: Document::default(),
        conditions: Document::default(),
        tags: Tags::default(),
        metadata: Document::default(),
    }
}

/// A value to be recorded.
///
/// # Panics
/// When `name` is none.
pub fn new_stat(name: &str) -> NewStat {
    NewStat {
        metric_name: good(name.parse()),
        metric_type: good("gauge".parse()),
        value: 1.0,
        count: None,
        timestamp: SystemClock.now(),
        time_window: None,
        labels: Document::default(),
        description: None,
        unit: None,
    }
}
