//! Who is in a team: those whose home it is, and those who have a membership besides their home.

use std::collections::HashMap;

use brownie_domain::{Page, PageRequest, Role, TeamId, UserId, Version};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, QueryFilter, QuerySelect, QueryTrait};

use crate::{
    Error, OrgScope, Resource, Result, User, Writing,
    entity::{memberships, teams, users},
    patch::Stored,
    users::position,
};

/// A user in a team.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Which team.
    pub team_id: TeamId,
    /// The role in this team.
    pub role: Role,
    /// Whether this is the user's home team. The role is the one in the organization then.
    pub is_home: bool,
    /// The version of the membership, or of the user in their home team: what changes are made on.
    pub version: Version,
    /// Who it is.
    pub user: User,
}

/// The people in the teams of an organization: what [`OrgScope::memberships`] gives out.
#[derive(Debug)]
pub struct Memberships<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The people in the organization's teams.
    pub fn memberships(&self) -> Memberships<'_, Mode> {
        Memberships { scope: self }
    }
}

impl<Mode> Memberships<'_, Mode> {
    /// Returns the people in a team, those who joined the organization last first.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such team.
    pub async fn list(&self, team_id: TeamId, page: PageRequest) -> Result<Page<Member>> {
        self.scope.get::<teams::Entity>(team_id.as_uuid()).await?;
        let of_team = || {
            self.scope
                .select::<memberships::Entity>()
                .filter(memberships::Column::TeamId.eq(team_id.as_uuid()))
        };
        let ids = of_team().select_only().column(memberships::Column::UserId).into_query();
        let here = Condition::any()
            .add(users::Column::TeamId.eq(team_id.as_uuid()))
            .add(users::Column::Id.in_subquery(ids));
        let select = self.scope.select::<users::Entity>().filter(here);
        let people = self.scope.page(select, users::Column::CreatedAt, page, position).await?;

        let ids = people.items.iter().map(|row| row.id);
        let rows = of_team().filter(memberships::Column::UserId.is_in(ids));
        let rows = self.scope.all(rows).await?;
        let mut joined: HashMap<_, _> = rows.into_iter().map(|row| (row.user_id, row)).collect();
        people.try_map(|row| {
            let membership = joined.remove(&row.id);
            member(team_id, row.try_into()?, membership)
        })
    }

    /// Returns a user's place in a team.
    ///
    /// # Errors
    /// [`Error::NotFound`] when they have none.
    pub async fn get(&self, team_id: TeamId, user_id: UserId) -> Result<Member> {
        let (user, membership) = self.place(team_id, user_id).await?;
        member(team_id, user, membership)
    }

    /// Returns a user in a team, with their membership unless the team is their home.
    async fn place(
        &self,
        team_id: TeamId,
        user_id: UserId,
    ) -> Result<(User, Option<memberships::Model>)> {
        let user: User = self.scope.get::<users::Entity>(user_id.as_uuid()).await?.try_into()?;
        if user.team_id == team_id {
            return Ok((user, None));
        }
        let select = self
            .scope
            .select::<memberships::Entity>()
            .filter(memberships::Column::TeamId.eq(team_id.as_uuid()))
            .filter(memberships::Column::UserId.eq(user_id.as_uuid()));
        match self.scope.one(select).await? {
            Some(row) => Ok((user, Some(row))),
            None => Err(Error::NotFound { resource: Resource::Membership }),
        }
    }
}

impl Memberships<'_, Writing> {
    /// Gives a user a role in a team that is not their home.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such team or user, [`Error::AlreadyExists`] when they
    /// are in the team already, [`Error::LimitReached`].
    pub async fn add(&self, team_id: TeamId, user_id: UserId, role: Role) -> Result<Member> {
        self.scope.users().make_room(team_id).await?;
        let user: User = self.scope.get::<users::Entity>(user_id.as_uuid()).await?.try_into()?;
        if user.team_id == team_id {
            return Err(Error::AlreadyExists { resource: Resource::Membership, field: "user_id" });
        }
        let before = self
            .scope
            .select_deleted::<memberships::Entity>()
            .filter(memberships::Column::TeamId.eq(team_id.as_uuid()))
            .filter(memberships::Column::UserId.eq(user_id.as_uuid()));
        let row = memberships::ActiveModel {
            team_id: Set(team_id.as_uuid()),
            user_id: Set(user_id.as_uuid()),
            role: Set(role.as_str().to_owned()),
            ..Default::default()
        };
        let row = match self.scope.one(before).await? {
            None => self.scope.insert::<memberships::Entity>(row).await?,
            // Whoever was here before has a row, whose version goes on: an ETag from then names no
            // membership of now.
            Some(ended) => {
                let stored = Stored { resource: Resource::Membership, id: ended.id };
                let version = stored.read("version", ended.version)?;
                let live = self.scope.restore::<memberships::Entity>(ended.id, version).await?;
                let version = stored.read("version", live.version)?;
                self.scope.update::<memberships::Entity>(ended.id, version, row).await?
            }
        };
        member(team_id, user, Some(row))
    }

    /// Changes a user's role in a team that is not their home. In the home team the role is the one
    /// in the organization, and changing it is changing the user.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`]; [`Error::HomeTeam`] for the home team.
    pub async fn change_role(
        &self,
        team_id: TeamId,
        user_id: UserId,
        expected: Version,
        role: Role,
    ) -> Result<Member> {
        let (user, Some(membership)) = self.place(team_id, user_id).await? else {
            return Err(Error::HomeTeam);
        };
        let changes =
            memberships::ActiveModel { role: Set(role.as_str().to_owned()), ..Default::default() };
        let row =
            self.scope.update::<memberships::Entity>(membership.id, expected, changes).await?;
        member(team_id, user, Some(row))
    }

    /// Takes a user out of a team that is not their home. The user stays.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`]; [`Error::HomeTeam`] for the home team, which
    /// a user leaves by moving to another.
    pub async fn remove(&self, team_id: TeamId, user_id: UserId, expected: Version) -> Result<()> {
        let (_, Some(membership)) = self.place(team_id, user_id).await? else {
            return Err(Error::HomeTeam);
        };
        self.scope.delete::<memberships::Entity>(membership.id, expected).await.map(drop)
    }
}

impl Memberships<'_, Writing> {
    /// Ends a user's memberships: all of them, or the one in a team.
    pub(crate) async fn end_all(&self, user_id: UserId, team_id: Option<TeamId>) -> Result<()> {
        let mut select = self
            .scope
            .select::<memberships::Entity>()
            .filter(memberships::Column::UserId.eq(user_id.as_uuid()));
        if let Some(team_id) = team_id {
            select = select.filter(memberships::Column::TeamId.eq(team_id.as_uuid()));
        }
        for row in self.scope.all(select).await? {
            let stored = Stored { resource: Resource::Membership, id: row.id };
            let version = stored.read("version", row.version)?;
            self.scope.delete::<memberships::Entity>(row.id, version).await?;
        }
        Ok(())
    }
}

fn member(team_id: TeamId, user: User, membership: Option<memberships::Model>) -> Result<Member> {
    let (role, version) = match membership {
        Some(row) if user.team_id != team_id => {
            let stored = Stored { resource: Resource::Membership, id: row.id };
            (stored.read("role", row.role)?, stored.read("version", row.version)?)
        }
        _ => (user.role, user.stamps.version),
    };
    Ok(Member { team_id, role, is_home: user.team_id == team_id, version, user })
}
