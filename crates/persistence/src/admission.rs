//! Who may come in: from what a credential names to somebody the database knows.
//!
//! Every request asks, so an answer is believed for a second ([`crate::principals`]).

use brownie_domain::{ApiKeyId, OrganizationId, Role, SessionId, TeamId, Timestamp, UserId};
use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use crate::{
    OrgContext, OrgTx, Principal, Resource, Result, SystemContext, SystemScope,
    context::{Actor, Subject},
    patch::Stored,
    principals::Who,
};

/// What an access token says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenClaims {
    /// The organization.
    pub org_id: OrganizationId,
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The generation of the user's tokens.
    pub generation: i64,
}

/// An API key that the database knows: whoever has a text of which one of these is the SHA-256 is
/// `principal`.
#[derive(Debug, Clone)]
pub struct KnownKey {
    /// Who comes in by it.
    pub principal: Principal,
    /// The SHA-256 of each text that is good now.
    pub hashes: Vec<Vec<u8>>,
    /// Whether the database was asked just now, and a use should be noted.
    pub asked_now: bool,
}

/// An answer, as it is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(crate) principal: Principal,
    /// Of a user's tokens.
    generation: i64,
    /// Of an API key.
    hashes: Vec<Vec<u8>>,
}

const USER: &str = "
    SELECT u.team_id AS home_team, u.role, u.token_generation,
        m.team_id AS member_team, m.role AS member_role
    FROM users u JOIN organizations o ON o.id = u.org_id
    LEFT JOIN (memberships m JOIN teams t
            ON t.org_id = m.org_id AND t.id = m.team_id AND t.deleted_at IS NULL)
        ON m.org_id = u.org_id AND m.user_id = u.id AND m.deleted_at IS NULL
    WHERE u.org_id = $1 AND u.id = $2 AND u.deleted_at IS NULL AND u.is_active
      AND o.deleted_at IS NULL AND o.is_active
      AND ($3::uuid IS NULL OR EXISTS (
          SELECT FROM sessions s WHERE s.org_id = u.org_id AND s.id = $3 AND s.user_id = u.id
              AND s.revoked_at IS NULL AND s.expires_at > $4))";

const KEY: &str = "
    SELECT k.team_id, k.role, k.scopes, k.hash,
        CASE WHEN k.previous_until > $3 THEN k.previous_hash END AS previous_hash
    FROM api_keys k JOIN organizations o ON o.id = k.org_id
    WHERE k.org_id = $1 AND k.id = $2 AND k.deleted_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > $3)
      AND o.deleted_at IS NULL AND o.is_active
      AND (k.team_id IS NULL OR EXISTS (
          SELECT FROM teams t
          WHERE t.org_id = k.org_id AND t.id = k.team_id AND t.deleted_at IS NULL))";

/// A use is noted when the last one noted is older than this.
const NOTE_USE: &str = "
    INSERT INTO api_key_uses AS known (org_id, id, last_used_at) VALUES ($1, $2, $3)
    ON CONFLICT (org_id, id) DO UPDATE SET last_used_at = excluded.last_used_at
        WHERE known.last_used_at < excluded.last_used_at - interval '1 minute'
    RETURNING id";

impl SystemScope {
    /// Returns the user of an access token as the database knows them now, or none if they may not
    /// come in: unknown, deleted, inactive, of an organization that is, or by a token that was made
    /// void. "Now" may be up to a second ago as far as other processes' changes are concerned; those
    /// of this store count at once.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn admit(&self, claims: TokenClaims) -> Result<Option<Principal>> {
        let who = Who::User(claims.user_id, Some(claims.session_id));
        let found = self.user(claims.org_id, claims.user_id, who).await?;
        Ok(found.filter(|found| found.generation == claims.generation).map(|found| found.principal))
    }

    /// Returns a user as the database knows them now, whatever they came by.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn principal(
        &self,
        org_id: OrganizationId,
        user_id: UserId,
    ) -> Result<Option<Principal>> {
        let found = self.user(org_id, user_id, Who::User(user_id, None)).await?;
        Ok(found.map(|found| found.principal))
    }

    /// Tells whether this process has seen an API key before that is, or was, good. Nothing is asked.
    pub fn has_met_key(&self, org_id: OrganizationId, id: ApiKeyId) -> bool {
        self.store().principals().has_met(org_id, Who::ApiKey(id))
    }

    /// Returns an API key as the database knows it now, or none if it is unknown, revoked, over, or
    /// of what is deleted. The caller compares the hashes.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn api_key(&self, org_id: OrganizationId, id: ApiKeyId) -> Result<Option<KnownKey>> {
        let asked = match self.store().principals().get(org_id, Who::ApiKey(id)) {
            Ok(known) => return Ok(Some(known.into())),
            Err(asked) => asked,
        };
        let now = self.store().sources().clock.now();
        let values = [org_id.as_uuid().into(), id.as_uuid().into(), now.into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, KEY, values.clone());
        let rows = self.store().engine().read_unproven(org_id, statement).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let stored = Stored { resource: Resource::ApiKey, id: id.as_uuid() };
        let previous: Option<Vec<u8>> = row.try_get("previous_hash")?;
        let team: Option<Uuid> = row.try_get("team_id")?;
        let admission = Admission {
            principal: Principal {
                org_id,
                subject: Subject::ApiKey { id, team: team.map(TeamId::from_uuid) },
                role: stored.read("role", row.try_get::<_, String>("role")?)?,
                memberships: Vec::new(),
                scopes: stored.read_json("scopes", row.try_get("scopes")?)?,
            },
            generation: 0,
            hashes: [row.try_get("hash")?].into_iter().chain(previous).collect(),
        };
        self.store().principals().put(asked, Who::ApiKey(id), &admission);
        Ok(Some(KnownKey { asked_now: true, ..admission.into() }))
    }

    /// Notes aside that an API key was used, to the minute. What comes of it is nobody's concern.
    pub fn note_use(&self, org_id: OrganizationId, id: ApiKeyId) {
        let aside = Self::new(self.store().clone(), SystemContext::for_visitor(self.request_id()));
        self.store().engine().spawn_aside(async move { aside.write_use(org_id, id).await });
    }

    async fn write_use(&self, org_id: OrganizationId, id: ApiKeyId) {
        let ctx = OrgContext { org_id, actor: Actor::ApiKey(id), request_id: self.request_id() };
        let work = move |tx: OrgTx| async move {
            let values = [org_id.as_uuid().into(), id.as_uuid().into(), tx.now().into()];
            tx.run(NOTE_USE, values).await.map(drop)
        };
        if let Err(error) = self.store().write(&ctx, work).await {
            tracing::debug!(%error, "the use of an API key was not noted");
        }
    }

    async fn user(
        &self,
        org_id: OrganizationId,
        user_id: UserId,
        who: Who,
    ) -> Result<Option<Admission>> {
        let asked = match self.store().principals().get(org_id, who) {
            Ok(known) => return Ok(Some(known)),
            Err(asked) => asked,
        };
        let session = match who {
            Who::User(_, session) => session,
            Who::ApiKey(_) => None,
        };
        let by_session = session.map(|id| id.as_uuid());
        let now: Timestamp = self.store().sources().clock.now();
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            USER,
            [org_id.as_uuid().into(), user_id.as_uuid().into(), by_session.into(), now.into()],
        );
        let rows = self.store().engine().read(org_id, statement).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let user = Stored { resource: Resource::User, id: user_id.as_uuid() };
        let mut memberships: Vec<(TeamId, Role)> = Vec::new();
        for row in &rows {
            let team: Option<Uuid> = row.try_get("member_team")?;
            let role: Option<String> = row.try_get("member_role")?;
            if let (Some(team), Some(role)) = (team, role) {
                memberships.push((TeamId::from_uuid(team), user.read("role", role)?));
            }
        }
        let home = TeamId::from_uuid(first.try_get("home_team")?);
        let principal = Principal {
            org_id,
            subject: Subject::User { id: user_id, home, session },
            role: user.read("role", first.try_get::<_, String>("role")?)?,
            memberships,
            scopes: Vec::new(),
        };
        let admission = Admission::of_user(principal, first.try_get("token_generation")?);
        self.store().principals().put(asked, who, &admission);
        Ok(Some(admission))
    }
}

impl Admission {
    pub(crate) fn of_user(principal: Principal, generation: i64) -> Self {
        Self { principal, generation, hashes: Vec::new() }
    }
}

impl From<Admission> for KnownKey {
    fn from(known: Admission) -> Self {
        Self { principal: known.principal, hashes: known.hashes, asked_now: false }
    }
}
