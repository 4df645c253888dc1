//! Who asks, and whether they may.
//!
//! [`identify`] runs before any handler and finds out who it is. A handler's first parameter then
//! says what it takes: [`Org`], [`InTeam`] or [`Item`], with the permission in its type. They are
//! the only way from a request to the store; a handler that names none reaches no row.
//!
//! The middleware asks the database; the extractors answer at once. So a bad token is 401 whatever
//! the body is: actix polls extractors in their order, and these are first.

mod giving;
mod identity;
mod operator;
mod permission;

use std::{future::Ready, marker::PhantomData, sync::Arc};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use brownie_domain::{Action, OrganizationId, Reach, RequestId, TeamId, UserId};
use brownie_persistence::{Error, OrgScope, OrgTx, Principal, Reading, Resource};

pub(crate) use giving::Giver;
pub use identity::Certified;
pub(crate) use identity::{identify, known};
pub(crate) use operator::Operator;
pub use operator::Operators;
pub use permission::{Permission, perm};

use crate::{
    Code, Problem,
    repeat::{self, Keep, Key, Once},
};
use identity::{Caller, identity_of};

/// Returns the id that the `observe` middleware gave this request.
pub(crate) fn request_id(request: &HttpRequest) -> RequestId {
    let known = request.extensions().get::<RequestId>().copied();
    known.unwrap_or_else(|| RequestId::from_uuid(uuid::Uuid::nil()))
}

fn forbidden(principal: &Principal, action: Action) -> Problem {
    let why = if principal.has_scope(action) {
        format!("{action} takes the role {} or more", action.least_role())
    } else {
        format!("the scopes of this API key do not name {action}")
    };
    Problem::with(Code::Forbidden, why)
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
        if !caller.principal.may(P::ACTION, caller.principal.role()) {
            return Err(forbidden(&caller.principal, P::ACTION));
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

    /// Returns which user it is.
    ///
    /// # Errors
    /// When it is an API key, for what is about a person.
    pub fn user_id(&self) -> Result<UserId, Problem> {
        self.caller.principal.user_id().ok_or_else(|| {
            let why = "An API key is no user; /api/v1/authz/explain tells what it may do.";
            Problem::with(Code::Forbidden, why)
        })
    }

    /// Returns the organization.
    pub fn org_id(&self) -> OrganizationId {
        self.caller.principal.org_id()
    }

    /// Says that something changed that answers kept in the cache depend on. Before the answer, so
    /// that whoever has it is never shown anything older.
    pub(crate) async fn changed(&self) {
        self.caller.cache.bump(self.org_id()).await;
    }

    /// Makes sure of a further permission, for what the signature cannot know.
    ///
    /// # Errors
    /// When the role in the organization does not permit it.
    pub fn require(&self, action: Action) -> Result<(), Problem> {
        let principal = &self.caller.principal;
        if principal.may(action, principal.role()) {
            Ok(())
        } else {
            Err(forbidden(principal, action))
        }
    }

    /// Returns what decides which roles this may give and take.
    pub(crate) fn giver(&self) -> Giver {
        Giver::new(&self.caller.principal, Reach::Organization)
    }

    /// Returns what may be read.
    pub fn read(&self) -> OrgScope<Reading> {
        self.caller.store.org(&self.caller.ctx)
    }

    /// Runs a unit of work, which a client that goes away does not cut. It may be run again with the
    /// same input, if nothing came of it the first time ([`brownie_persistence::Store::write`]).
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

    /// As `write`, but once for all requests with the same `Idempotency-Key`: the second gets the
    /// answer of the first.
    ///
    /// # Errors
    /// As `write`; and when the key was sent with another request, or the first is still under way.
    pub(crate) async fn once<I, A, F, Fut>(
        &self,
        key: Key,
        input: I,
        work: F,
    ) -> Result<Once<A>, Problem>
    where
        I: Clone + Send + Sync + 'static,
        A: Keep + Send + 'static,
        F: Fn(OrgTx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        self.caller.once(key, input, work).await
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
        let may = principal.may(P::ACTION, principal.role_in(self.team_id));
        if !(may && principal.belongs_to(self.team_id)) {
            self.caller.store.org(&self.caller.ctx).teams().get(self.team_id).await?;
        }
        if may { Ok(()) } else { Err(forbidden(principal, P::ACTION)) }
    }

    /// Returns the organization.
    pub fn org_id(&self) -> OrganizationId {
        self.caller.principal.org_id()
    }

    /// As [`Org::changed`].
    pub(crate) async fn changed(&self) {
        self.caller.cache.bump(self.org_id()).await;
    }

    /// Returns what decides which roles in the team this may give and take.
    pub(crate) fn giver(&self) -> Giver {
        Giver::new(&self.caller.principal, Reach::Team)
    }

    /// Tells whether the role in the organization permits an action besides.
    pub fn may(&self, action: Action) -> bool {
        self.caller.principal.may(action, self.caller.principal.role())
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
    /// same input, if nothing came of it the first time ([`brownie_persistence::Store::write`]).
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

    /// As `write`, but once for all requests with the same `Idempotency-Key`: the second gets the
    /// answer of the first.
    ///
    /// # Errors
    /// As `write`; and when the key was sent with another request, or the first is still under way.
    pub(crate) async fn once<I, A, F, Fut>(
        &self,
        key: Key,
        input: I,
        work: F,
    ) -> Result<Once<A>, Problem>
    where
        I: Clone + Send + Sync + 'static,
        A: Keep + Send + 'static,
        F: Fn(OrgTx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        self.admit().await?;
        self.caller.once(key, input, work).await
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
            None => self.principal.role(),
        };
        if self.principal.may(self.action, role) {
            Ok(Pass(()))
        } else {
            Err(forbidden(&self.principal, self.action))
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

    /// As `write`, but once for all requests with the same `Idempotency-Key`: `find` shows the gate
    /// what is worked on, each time; `work` is done the first time, and its answer given again.
    ///
    /// # Errors
    /// As `write`; and when the key was sent with another request, or the first is still under way.
    pub(crate) async fn once<A, G, GFut, F, Fut>(
        &self,
        key: Key,
        find: G,
        work: F,
    ) -> Result<Once<A>, Problem>
    where
        A: Keep + Send + 'static,
        G: Fn(OrgTx, Gate) -> GFut + Send + Sync + 'static,
        GFut: Future<Output = Result<Pass, Problem>> + Send + 'static,
        F: Fn(OrgTx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        let (request, gate) = (key.into_inner(), self.gate());
        let (find, work) = (Arc::new(find), Arc::new(work));
        let unit = move |tx: OrgTx, ()| {
            let (request, gate) = (request.clone(), gate.clone());
            let (find, work) = (Arc::clone(&find), Arc::clone(&work));
            async move {
                let Pass(()) = find(tx.clone(), gate).await?;
                repeat::once(&tx, request.as_ref(), || work(tx.clone())).await
            }
        };
        self.caller.write((), unit).await
    }
}
