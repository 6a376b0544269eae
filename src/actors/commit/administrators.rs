//! Keeps the set of administrators from becoming empty: see [`crate::domain::user::administrators`].
//!
//! Refuses nothing while the set is empty: then only administrators' tokens exist, and a first person must be able to join and leave
//! repeatedly. Working tokens do not count: the rule concerns people only.

use super::{CommandError, Committer};
use crate::{
    domain::{
        event::Role,
        id::{StreamId, UserId},
        user::{CommandRefusal, User, administrators::Move},
        view::UserStatus,
    },
    store::AdministratorsChange,
};

impl Committer {
    /// The change of the set of administrators by a commit.
    ///
    /// # Errors
    /// When the set would become empty or too large.
    pub(super) async fn administrators_change(
        &self,
        stream: &StreamId,
        was: bool,
        is: bool,
    ) -> Result<Option<AdministratorsChange>, CommandError> {
        let StreamId::User(user) = stream else { return Ok(None) };
        let Some(moved) = Move::between(*user, was, is) else { return Ok(None) };
        // The set is read first: a later change of it fails the append, and the command is decided again.
        let seen = self.stores.log.administrators().await?;
        let there = match &seen {
            Some(set) => set.clone(),
            None => self.find_administrators().await?,
        };
        let now = match moved {
            Move::Joins(_) => moved.made(&there)?,
            Move::Leaves(_) => self.left(moved.made(&there)?).await?,
        };
        Ok(Some(AdministratorsChange { seen, now }))
    }

    /// The remaining members, from the first one who can really administer: the set may be wrong, since a store may have been restored in
    /// part.
    async fn left(&self, set: Vec<UserId>) -> Result<Vec<UserId>, CommandError> {
        for (at, id) in set.iter().enumerate() {
            if self.load_admissible(*id).await?.as_ref().is_some_and(User::can_administer) {
                return Ok(set.get(at..).unwrap_or_default().to_vec());
            }
        }
        Err(CommandRefusal::LastAdministrator.into())
    }

    /// The set by the views, for a store that has none yet.
    async fn find_administrators(&self) -> Result<Vec<UserId>, CommandError> {
        let (mut everybody, mut found) = (self.stores.everybody(), Vec::new());
        while let Some(people) = everybody.next_page().await? {
            let stands = |status| matches!(status, UserStatus::Invited | UserStatus::Active);
            for person in people.iter().filter(|person| person.role == Role::Admin && stands(person.status)) {
                if self.load_admissible(person.id).await?.as_ref().is_some_and(User::can_administer) {
                    found.push(person.id);
                }
            }
        }
        Ok(found)
    }
}
