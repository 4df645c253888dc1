//! What belongs to no single organization: coming in, and looking at the database itself.
//!
//! The look-ups here return only what a decision needs. Those that come before an organization is
//! known are functions of the schema, which see the columns they need and no others.

use brownie_domain::{
    EmailAddress, OrganizationId, OrganizationName, RequestId, Role, Slug, TeamName, UserId,
    Username,
};
use sea_orm::{ActiveValue::Set, DbBackend, Statement};

use crate::{
    OrgContext, Result, Store, SystemContext, User,
    context::Actor,
    engine::Footing,
    entity::{organizations, teams, users},
};

/// Somebody who founds an organization.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// The organization to found.
    pub organization: OrganizationName,
    /// Its slug, unique among all organizations.
    pub slug: Slug,
    /// Its first team.
    pub team: TeamName,
    /// The founder's mailbox.
    pub email: EmailAddress,
    /// The founder's name in the organization.
    pub username: Username,
    /// The founder's full name.
    pub full_name: Option<brownie_domain::FullName>,
    /// The hash of the founder's password, as a PHC string.
    pub password_hash: String,
}

/// An account that a password may open.
#[derive(Clone)]
pub struct Account {
    /// Whose it is.
    pub org_id: OrganizationId,
    /// Which it is.
    pub user_id: UserId,
    /// A PHC string.
    pub password_hash: String,
}

/// The hash is nobody's business.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("org_id", &self.org_id)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// What belongs to no single organization: what [`Store::system`] gives out.
#[derive(Debug)]
pub struct SystemScope {
    store: Store,
    ctx: SystemContext,
}

/// How many accounts a log-in looks for: whether there is one, or more than one.
const MAX_ACCOUNTS: i32 = 2;

impl SystemScope {
    pub(crate) fn new(store: Store, ctx: SystemContext) -> Self {
        Self { store, ctx }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn request_id(&self) -> RequestId {
        self.ctx.request_id
    }

    /// Founds an organization with a first team and a first user, its admin.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`] when the slug is taken.
    pub async fn sign_up(&self, new: SignUp) -> Result<User> {
        let sources = self.store.sources();
        let now = sources.clock.now();
        let (org_id, team_id, user_id) =
            (sources.ids.next(now), sources.ids.next(now), sources.ids.next(now));
        let ctx = OrgContext {
            org_id: OrganizationId::from_uuid(org_id),
            actor: Actor::User(UserId::from_uuid(user_id)),
            request_id: self.ctx.request_id,
        };
        let first_team = Slug::from_name(new.team.as_str(), "team");
        self.store
            .write(&ctx, move |tx| {
                let (new, first_team) = (new.clone(), first_team.clone());
                async move {
                    let row = organizations::ActiveModel {
                        name: Set(new.organization.into()),
                        slug: Set(new.slug.into()),
                        ..Default::default()
                    };
                    tx.insert_as::<organizations::Entity>(org_id, row).await?;
                    let row = teams::ActiveModel {
                        name: Set(new.team.into()),
                        slug: Set(first_team.into()),
                        ..Default::default()
                    };
                    tx.insert_as::<teams::Entity>(team_id, row).await?;
                    let row = users::ActiveModel {
                        email: Set(new.email.into()),
                        username: Set(new.username.into()),
                        full_name: Set(new.full_name.map(Into::into)),
                        password_hash: Set(Some(new.password_hash)),
                        team_id: Set(team_id),
                        role: Set(Role::Admin.as_str().to_owned()),
                        ..Default::default()
                    };
                    tx.insert_as::<users::Entity>(user_id, row).await?.try_into()
                }
            })
            .await
    }

    /// Returns the accounts that a mailbox can log in to, in one organization or in all: two, if there are
    /// more than one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn accounts(
        &self,
        email: &EmailAddress,
        organization: Option<&Slug>,
    ) -> Result<Vec<Account>> {
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT org_id, id, password_hash FROM login_accounts($1, $2, $3)",
            [
                email.as_str().into(),
                organization.map(|slug| slug.as_str().to_owned()).into(),
                MAX_ACCOUNTS.into(),
            ],
        );
        let rows = self.store.engine().read_unscoped(statement).await?;
        rows.iter()
            .map(|row| {
                Ok(Account {
                    org_id: OrganizationId::from_uuid(row.try_get("org_id")?),
                    user_id: UserId::from_uuid(row.try_get("id")?),
                    password_hash: row.try_get("password_hash")?,
                })
            })
            .collect()
    }

    /// Stores an account's password by other parameters, if it is still the same password.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn renew_password_hash(&self, account: &Account, hash: String) -> Result<()> {
        let account = account.clone();
        let ctx = OrgContext {
            org_id: account.org_id,
            actor: Actor::User(account.user_id),
            request_id: self.ctx.request_id,
        };
        self.store
            .write(&ctx, move |tx| {
                let (account, hash) = (account.clone(), hash.clone());
                async move {
                    let stored = tx.users().password_hash(account.user_id).await?;
                    if stored.as_deref() == Some(account.password_hash.as_str()) {
                        tx.users().set_password(account.user_id, hash).await?;
                    }
                    Ok(())
                }
            })
            .await
    }

    /// Returns the users who are linked to somebody at an issuer of OpenID Connect, in one
    /// organization or in all: two, if there are more than one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn linked_accounts(
        &self,
        issuer: &str,
        subject: &str,
        organization: Option<&Slug>,
    ) -> Result<Vec<(OrganizationId, UserId)>> {
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT org_id, id FROM linked_accounts($1, $2, $3, $4)",
            [
                issuer.into(),
                subject.into(),
                organization.map(|slug| slug.as_str().to_owned()).into(),
                MAX_ACCOUNTS.into(),
            ],
        );
        let rows = self.store.engine().read_unscoped(statement).await?;
        rows.iter()
            .map(|row| {
                let org_id = OrganizationId::from_uuid(row.try_get("org_id")?);
                Ok((org_id, UserId::from_uuid(row.try_get("id")?)))
            })
            .collect()
    }

    /// Returns the names of the migrations that were applied, or an empty list for a database that
    /// was never migrated. `ledger` is the table that records them. Asked on a connection beside the pool, so
    /// that whoever fills the pool does not make the service look dead.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn applied_migrations(&self, ledger: &str) -> Result<Vec<String>> {
        let engine = self.store.engine();
        let name = ledger.replace(['"', '\''], "");
        let exists = format!("SELECT to_regclass('\"{name}\"') IS NOT NULL AS answer");
        let rows = engine.read_aside(&exists).await?;
        if !rows.first().map_or(Ok(false), |row| row.try_get("answer"))? {
            return Ok(Vec::new());
        }
        let rows = engine.read_aside(&format!("SELECT version FROM \"{name}\"")).await?;
        rows.iter().map(|row| Ok(row.try_get("version")?)).collect()
    }

    /// Finds out what stands between us and the rows: a pooler, and whether row-level security
    /// holds our role. A service asks before it serves; what is found about a pooler holds for the
    /// store from then on.
    ///
    /// # Errors
    /// [`crate::Error::Settings`] when the pooler is of a kind that returns other queries' rows; or when
    /// the database cannot answer.
    pub async fn footing(&self) -> Result<Footing> {
        self.store.engine().footing().await
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When it gives none.
    pub async fn ping(&self) -> Result<()> {
        let statement = Statement::from_string(DbBackend::Postgres, "SELECT 1 AS one");
        self.store.engine().read_unscoped(statement).await.map(drop)
    }
}
