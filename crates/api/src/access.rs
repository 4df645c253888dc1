//! Who asks, and whether they may.
//!
//! [`identify`] runs before any handler and finds out who it is. A handler's first parameter then
//! says what it takes: [`Org`], [`InTeam`] or [`Item`], with the permission in its type. They are
//! the only way from a request to the store; a handler that names none reaches no row.
//!
//! The middleware asks the database; the extractors answer at once. So a bad token is 401 whatever
//! the body is: actix polls extractors in their order, and these are first.

use std::{future::Ready, marker::PhantomData};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};
use brownie_domain::{Action, OrganizationId, Reach, RequestId, TeamId};
use brownie_persistence::{
    Error, OrgContext, OrgScope, OrgTx, Principal, Reading, Resource, Store, SystemContext,
};

use crate::{Code, Deps, Problem};

/// A permission, as a type that a handler's signature can name.
pub trait Permission: 'static {
    /// What it permits.
    const ACTION: Action;
}

/// The permissions, one type for each action.
pub mod perm {
    use brownie_domain::Action;

    macro_rules! permissions {
        ($($name:ident),+ $(,)?) => {$(
            #[doc = concat!("[`Action::", stringify!($name), "`].")]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl super::Permission for $name {
                const ACTION: Action = Action::$name;
            }
        )+};
    }

    permissions!(
        OrganizationRead,
        OrganizationWrite,
        TeamsRead,
        TeamsManage,
        TeamsWrite,
        MembersWrite,
        UsersRead,
        UsersWrite,
        IncidentsRead,
        IncidentsWrite,
        IncidentsDelete,
        AgentConfigsRead,
        AgentConfigsWrite,
        AgentConfigsDelete,
        StatsRead,
        StatsWrite,
        StatsDelete,
        EventsRead,
    );
}

/// What the middleware found out.
#[derive(Clone)]
enum Identity {
    Known(Box<Principal>),
    /// A credential came, and it is not good.
    Refused(Problem),
}

/// Finds out who asks. Whether it matters is for the handler to say.
pub(crate) async fn identify<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    if let Some(identity) = identity_of(request.request()).await {
        request.extensions_mut().insert(identity);
    }
    next.call(request).await
}

async fn identity_of(request: &HttpRequest) -> Option<Identity> {
    let header = request.headers().get(header::AUTHORIZATION)?;
    let deps = request.app_data::<web::Data<Deps>>()?;
    let refused = || Identity::Refused(Problem::new(Code::Unauthenticated));
    let Some(token) = header.to_str().ok().and_then(bearer) else { return Some(refused()) };
    let Ok(claims) = deps.tokens.read(token) else { return Some(refused()) };
    let system = deps.store.system(&SystemContext::for_visitor(request_id(request)));
    Some(match system.principal(claims.org_id, claims.user_id).await {
        Ok(Some(principal)) => Identity::Known(Box::new(principal)),
        Ok(None) => refused(),
        Err(error) => Identity::Refused(error.into()),
    })
}

/// The scheme's name is read in any case (RFC 9110 section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the id that the `observe` middleware gave this request.
pub(crate) fn request_id(request: &HttpRequest) -> RequestId {
    let known = request.extensions().get::<RequestId>().copied();
    known.unwrap_or_else(|| RequestId::from_uuid(uuid::Uuid::nil()))
}

/// Somebody the database knows, and their way to the store.
#[derive(Debug, Clone)]
struct Caller {
    principal: Principal,
    ctx: OrgContext,
    store: Store,
}

impl Caller {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        Self::known_as(request.extensions().get::<Identity>(), request)
    }

    fn known_as(identity: Option<&Identity>, request: &HttpRequest) -> Result<Self, Problem> {
        let principal = match identity {
            Some(Identity::Known(principal)) => (**principal).clone(),
            Some(Identity::Refused(problem)) => return Err(problem.clone()),
            None => return Err(Problem::new(Code::Unauthenticated)),
        };
        let deps =
            request.app_data::<web::Data<Deps>>().ok_or_else(|| Problem::new(Code::Internal))?;
        let caller = Self {
            ctx: principal.context(request_id(request)),
            store: deps.store.clone(),
            principal,
        };
        // Another organization's path is nobody's path.
        if let Some(org_id) = request.match_info().get("org_id")
            && org_id.parse() != Ok(caller.principal.org_id())
        {
            return Err(Error::NotFound { resource: Resource::Organization }.into());
        }
        Ok(caller)
    }

    async fn write<I, T, F, Fut>(&self, input: I, work: F) -> Result<T, Problem>
    where
        I: Clone + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(OrgTx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        self.store.write(&self.ctx, move |tx| work(tx, input.clone())).await
    }
}

fn forbidden(action: Action) -> Problem {
    Problem::with(
        Code::Forbidden,
        format!("{action} takes the role {} or more", action.least_role()),
    )
}

/// Somebody whose role in the organization permits `P`.
#[derive(Debug)]
pub struct Org<P> {
    caller: Caller,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequest for Org<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        const { assert!(matches!(P::ACTION.reach(), Reach::Organization), "use InTeam or Item") };
        std::future::ready(Caller::of(request).and_then(Self::admit))
    }
}

impl<P: Permission> Org<P> {
    fn admit(caller: Caller) -> Result<Self, Problem> {
        if !caller.principal.role().may(P::ACTION) {
            return Err(forbidden(P::ACTION));
        }
        Ok(Self { caller, permission: PhantomData })
    }

    /// Asks again, as if the request came now, for an answer that takes long.
    ///
    /// # Errors
    /// When the credential or the role is not good any more.
    pub async fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let identity = identity_of(request).await;
        Caller::known_as(identity.as_ref(), request).and_then(Self::admit)
    }

    /// Returns who it is.
    pub fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    /// Returns the organization.
    pub fn org_id(&self) -> OrganizationId {
        self.caller.principal.org_id()
    }

    /// Makes sure of a further permission, for what the signature cannot know.
    ///
    /// # Errors
    /// When the role in the organization does not permit it.
    pub fn require(&self, action: Action) -> Result<(), Problem> {
        if self.caller.principal.role().may(action) { Ok(()) } else { Err(forbidden(action)) }
    }

    /// Returns what may be read.
    pub fn read(&self) -> OrgScope<Reading> {
        self.caller.store.org(&self.caller.ctx)
    }

    /// Runs a unit of work, which a client that goes away does not cut. It may be run again with the
    /// same input, if nothing came of it the first time ([`Store::write`]).
    ///
    /// # Errors
    /// What `work` returned, or why it could not be committed.
    pub async fn write<I, T, F, Fut>(&self, input: I, work: F) -> Result<T, Problem>
    where
        I: Clone + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(OrgTx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        self.caller.write(input, work).await
    }
}

/// Somebody whose role in the team of the path (`{team_id}`) permits `P`.
#[derive(Debug)]
pub struct InTeam<P> {
    caller: Caller,
    /// The team.
    pub team_id: TeamId,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequest for InTeam<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        const { assert!(matches!(P::ACTION.reach(), Reach::Team), "use Org") };
        std::future::ready(Caller::of(request).and_then(|caller| {
            let team_id = request.match_info().get("team_id").and_then(|id| id.parse().ok());
            let team_id = team_id
                .ok_or_else(|| Problem::from(Error::NotFound { resource: Resource::Team }))?;
            Ok(Self { caller, team_id, permission: PhantomData })
        }))
    }
}

impl<P: Permission> InTeam<P> {
    /// Decides. A stranger to the team learns that it exists only if it is in their organization:
    /// another organization's team and one that is not there are the same 404.
    async fn admit(&self) -> Result<(), Problem> {
        let principal = &self.caller.principal;
        let may = principal.role_in(self.team_id).is_some_and(|role| role.may(P::ACTION));
        if !(may && principal.belongs_to(self.team_id)) {
            self.caller.store.org(&self.caller.ctx).teams().get(self.team_id).await?;
        }
        if may { Ok(()) } else { Err(forbidden(P::ACTION)) }
    }

    /// Returns the organization.
    pub fn org_id(&self) -> OrganizationId {
        self.caller.principal.org_id()
    }

    /// Tells whether the role in the organization permits an action besides.
    pub fn may(&self, action: Action) -> bool {
        self.caller.principal.role().may(action)
    }

    /// Returns what may be read.
    ///
    /// # Errors
    /// When the role in the team does not permit it.
    pub async fn read(&self) -> Result<OrgScope<Reading>, Problem> {
        self.admit().await?;
        Ok(self.caller.store.org(&self.caller.ctx))
    }

    /// Runs a unit of work, which a client that goes away does not cut. It may be run again with the
    /// same input, if nothing came of it the first time ([`Store::write`]).
    ///
    /// # Errors
    /// When the role in the team does not permit it; what `work` returned; or why it could not be
    /// committed.
    pub async fn write<I, T, F, Fut>(&self, input: I, work: F) -> Result<T, Problem>
    where
        I: Clone + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(OrgTx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        self.admit().await?;
        self.caller.write(input, work).await
    }
}

/// Somebody who asks for a thing by its id alone, whose team is known only when it is read. The
/// handler shows the [`Gate`] the team and hands on the [`Pass`] it got: without one, no answer.
#[derive(Debug)]
pub struct Item<P> {
    caller: Caller,
    permission: PhantomData<P>,
}

/// Decides about a team that was found by reading.
#[derive(Debug, Clone)]
pub struct Gate {
    principal: Principal,
    action: Action,
}

/// Proof that somebody asked the gate.
#[derive(Debug)]
pub struct Pass(());

impl Gate {
    /// Decides by the role in `team`; by the role in the organization for what is of no team.
    ///
    /// # Errors
    /// When the role does not permit it.
    pub fn admit(&self, team: impl Into<Option<TeamId>>) -> Result<Pass, Problem> {
        let role = match team.into() {
            Some(team) => self.principal.role_in(team),
            None => Some(self.principal.role()),
        };
        match role {
            Some(role) if role.may(self.action) => Ok(Pass(())),
            _ => Err(forbidden(self.action)),
        }
    }
}

impl<P: Permission> FromRequest for Item<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        const { assert!(matches!(P::ACTION.reach(), Reach::Team), "use Org") };
        let caller = Caller::of(request);
        std::future::ready(caller.map(|caller| Self { caller, permission: PhantomData }))
    }
}

impl<P: Permission> Item<P> {
    fn gate(&self) -> Gate {
        Gate { principal: self.caller.principal.clone(), action: P::ACTION }
    }

    /// Reads, and shows the gate what was read.
    ///
    /// # Errors
    /// What `work` returned.
    pub async fn read<T, F, Fut>(&self, work: F) -> Result<T, Problem>
    where
        F: FnOnce(OrgScope<Reading>, Gate) -> Fut,
        Fut: Future<Output = Result<(Pass, T), Problem>>,
    {
        let (Pass(()), value) = work(self.caller.store.org(&self.caller.ctx), self.gate()).await?;
        Ok(value)
    }

    /// Runs a unit of work that shows the gate what it works on. Without a pass it is rolled back.
    ///
    /// # Errors
    /// What `work` returned, or why it could not be committed.
    pub async fn write<I, T, F, Fut>(&self, input: I, work: F) -> Result<T, Problem>
    where
        I: Clone + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(OrgTx, Gate, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(Pass, T), Problem>> + Send + 'static,
    {
        let gate = self.gate();
        let work = move |tx, input| work(tx, gate.clone(), input);
        let (Pass(()), value) = self.caller.write(input, work).await?;
        Ok(value)
    }
}
