//! Sessions: from a log-in to its end. Between them lie refresh tokens, each of which is used once.

use brownie_domain::{OrganizationId, SessionId, Timestamp, UserId, Version};
use chrono::TimeDelta;
use sea_orm::{ActiveValue::Set, DbBackend, Statement, Value};
use uuid::Uuid;

use crate::{
    Error, OrgContext, OrgScope, OrgTx, Resource, Result, SystemScope, Writing, context::Actor,
    entity::users, patch::Stored,
};

/// The SHA-256 of a token. Tokens themselves are not stored.
pub type TokenHash = [u8; 32];

/// A session, as an access token names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub org_id: OrganizationId,
    /// Whose it is.
    pub user_id: UserId,
    /// Which it is.
    pub id: SessionId,
    /// The generation of the user's access tokens.
    pub generation: i64,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What became of a refresh token that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// It was good, and its successor is stored.
    Renewed(Session),
    /// It was used before. Its session is over now, for it may have been stolen.
    Reused(SessionId),
    /// It is none, or its session is over.
    Refused,
}

/// How long after its use a token may be shown again without ending the session: two tabs of one
/// browser do that. It is refused all the same.
const TOGETHER: TimeDelta = TimeDelta::seconds(10);

impl SystemScope {
    /// Begins a session of a user who has shown who they are. `refresh` is the SHA-256 of its first
    /// refresh token; `shown` the hash that a password was found to fit, which must be theirs still.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the user may not come in any more.
    pub async fn begin_session(
        &self,
        org_id: OrganizationId,
        user_id: UserId,
        session_id: SessionId,
        refresh: TokenHash,
        expires_at: Timestamp,
        shown: Option<String>,
    ) -> Result<Session> {
        let work = move |tx: OrgTx| {
            let shown = shown.clone();
            async move {
                // Whoever ends all sessions, changes the password, or takes the organization out of use, comes
                // before or after this.
                let open = "SELECT 1 FROM organizations
                    WHERE id = $1 AND is_active AND deleted_at IS NULL FOR SHARE";
                if tx.run(open, [org_id.as_uuid().into()]).await?.is_empty() {
                    return Err(Error::NotFound { resource: Resource::Organization });
                }
                let user = tx.lock::<users::Entity>(user_id.as_uuid()).await?;
                let is_another = shown.is_some() && shown != user.password_hash;
                if !user.is_active || is_another {
                    return Err(Error::NotFound { resource: Resource::User });
                }
                let now = tx.now();
                let id = session_id.as_uuid();
                let values = [
                    org_id.as_uuid().into(),
                    id.into(),
                    user_id.as_uuid().into(),
                    now.into(),
                    expires_at.into(),
                ];
                tx.run(
                "INSERT INTO sessions (org_id, id, user_id, created_at, last_used_at, expires_at)
                 VALUES ($1, $2, $3, $4, $4, $5)",
                values,
            )
            .await?;
                tx.store_refresh(id, refresh, now).await?;
                Ok(Session {
                    org_id,
                    user_id,
                    id: session_id,
                    generation: user.token_generation,
                    expires_at,
                })
            }
        };
        self.store().write(&self.acting(org_id, Actor::User(user_id)), work).await
    }

    /// Takes a refresh token and stores its successor. Of any number that show it at once, one has
    /// it taken.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn refresh_session(
        &self,
        org_id: OrganizationId,
        shown: TokenHash,
        successor: TokenHash,
    ) -> Result<Refreshed> {
        let work = move |tx: OrgTx| async move {
            let now = tx.now();
            let taken = tx
                .run(
                    "UPDATE refresh_tokens SET used_at = $3
                     WHERE org_id = $1 AND hash = $2 AND used_at IS NULL RETURNING session_id",
                    [org_id.as_uuid().into(), shown.to_vec().into(), now.into()],
                )
                .await?;
            let Some(taken) = taken.first() else { return tx.look_for_reuse(shown, now).await };
            let id: Uuid = taken.try_get("session_id")?;
            let session = tx
                .run(
                    "UPDATE sessions SET last_used_at = $3
                     FROM users AS u
                     WHERE sessions.org_id = $1 AND sessions.id = $2
                       AND sessions.revoked_at IS NULL AND sessions.expires_at > $3
                       AND u.org_id = sessions.org_id AND u.id = sessions.user_id
                       AND u.is_active AND u.deleted_at IS NULL
                     RETURNING sessions.user_id, sessions.expires_at, u.token_generation",
                    [org_id.as_uuid().into(), id.into(), now.into()],
                )
                .await?;
            let Some(row) = session.first() else { return Ok(Refreshed::Refused) };
            tx.store_refresh(id, successor, now).await?;
            Ok(Refreshed::Renewed(Session {
                org_id,
                user_id: UserId::from_uuid(row.try_get("user_id")?),
                id: SessionId::from_uuid(id),
                generation: row.try_get("token_generation")?,
                expires_at: row.try_get("expires_at")?,
            }))
        };
        self.store().write(&self.acting(org_id, Actor::Job("refresh")), work).await
    }

    fn acting(&self, org_id: OrganizationId, actor: Actor) -> OrgContext {
        OrgContext { org_id, actor, request_id: self.request_id() }
    }
}

impl OrgScope<Writing> {
    /// Ends one session: what it was given is void.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn end_session(&self, id: SessionId) -> Result<()> {
        self.records().concerns_admissions();
        self.run(
            "UPDATE sessions SET revoked_at = $3
             WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL",
            [self.org_id().as_uuid().into(), id.as_uuid().into(), self.now().into()],
        )
        .await
        .map(drop)
    }

    /// Ends all sessions of a user and makes all access tokens void that they have.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such user.
    pub async fn end_all_sessions(&self, user_id: UserId) -> Result<()> {
        let user = self.lock::<users::Entity>(user_id.as_uuid()).await?;
        self.revoke_sessions(user_id).await?;
        let stored = Stored { resource: Resource::User, id: user.id };
        let version: Version = stored.read("version", user.version)?;
        let changes = users::ActiveModel {
            token_generation: Set(user.token_generation + 1),
            ..Default::default()
        };
        self.update::<users::Entity>(user.id, version, changes).await.map(drop)
    }

    /// Ends all sessions of a user whose row this unit holds, so that none begins meanwhile.
    pub(crate) async fn revoke_sessions(&self, user_id: UserId) -> Result<()> {
        self.records().concerns_admissions();
        self.run(
            "UPDATE sessions SET revoked_at = $3
             WHERE org_id = $1 AND user_id = $2 AND revoked_at IS NULL",
            [self.org_id().as_uuid().into(), user_id.as_uuid().into(), self.now().into()],
        )
        .await
        .map(drop)
    }

    async fn store_refresh(&self, session: Uuid, hash: TokenHash, now: Timestamp) -> Result<()> {
        self.run(
            "INSERT INTO refresh_tokens (org_id, id, session_id, hash, created_at)
             VALUES ($1, $2, $3, $4, $5)",
            [
                self.org_id().as_uuid().into(),
                self.new_id(now).into(),
                session.into(),
                hash.to_vec().into(),
                now.into(),
            ],
        )
        .await
        .map(drop)
    }

    async fn look_for_reuse(&self, shown: TokenHash, now: Timestamp) -> Result<Refreshed> {
        let used = self
            .run(
                "SELECT session_id, used_at FROM refresh_tokens WHERE org_id = $1 AND hash = $2",
                [self.org_id().as_uuid().into(), shown.to_vec().into()],
            )
            .await?;
        let Some(row) = used.first() else { return Ok(Refreshed::Refused) };
        let used_at: Option<Timestamp> = row.try_get("used_at")?;
        if used_at.is_none_or(|at| now - at < TOGETHER) {
            return Ok(Refreshed::Refused);
        }
        let id = SessionId::from_uuid(row.try_get("session_id")?);
        self.end_session(id).await?;
        Ok(Refreshed::Reused(id))
    }

    /// Removes some sessions that ended before an instant, with their tokens. Returns how many:
    /// none when there are no more.
    pub(crate) async fn forget_sessions(&self, before: Timestamp) -> Result<u64> {
        let gone = self
            .run(
                "DELETE FROM sessions WHERE org_id = $1 AND id IN (
                     SELECT id FROM sessions WHERE org_id = $1 AND expires_at < $2
                     ORDER BY expires_at LIMIT 1000)
                 RETURNING id",
                [self.org_id().as_uuid().into(), before.into()],
            )
            .await?;
        Ok(gone.len() as u64)
    }

    /// Runs a statement of one text.
    pub(crate) async fn run<const N: usize>(
        &self,
        sql: &'static str,
        values: [Value; N],
    ) -> Result<Vec<tokio_postgres::Row>> {
        self.rows(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await
    }
}
