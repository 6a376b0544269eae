//! Somebody is always left who can sign in and administer, once somebody was: see [`crate::domain::user::administrators`].
//!
//! With no such person at all nothing is refused: then administrators' tokens are all there is, and a first one must be able to come
//! and go as often as it takes. A token that works makes nobody less the last: the rule is about people.

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
    /// What a commit does to the set of administrators.
    ///
    /// # Errors
    /// When nobody would be left, or more than there may be.
    pub(super) async fn administrators_change(
        &self,
        stream: &StreamId,
        was: bool,
        is: bool,
    ) -> Result<Option<AdministratorsChange>, CommandError> {
        let StreamId::User(user) = stream else { return Ok(None) };
        let Some(moved) = Move::between(*user, was, is) else { return Ok(None) };
        // The set is read first: whoever changes it after this fails the append, and it is decided anew.
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

    /// Those of a set who are left when somebody goes. At least one of them must be what the set says, whatever happened to it: a store
    /// may have been restored in part.
    async fn left(&self, set: Vec<UserId>) -> Result<Vec<UserId>, CommandError> {
        for (at, id) in set.iter().enumerate() {
            if self.load_user(*id).await?.as_ref().is_some_and(User::can_administer) {
                return Ok(set.get(at..).unwrap_or_default().to_vec());
            }
        }
        Err(CommandRefusal::LastAdministrator.into())
    }

    /// The set as the views have it, for a store that was written before there was one.
    async fn find_administrators(&self) -> Result<Vec<UserId>, CommandError> {
        let (mut everybody, mut found) = (self.stores.everybody(), Vec::new());
        while let Some(people) = everybody.next_page().await? {
            let stands = |status| matches!(status, UserStatus::Invited | UserStatus::Active);
            for person in people.iter().filter(|person| person.role == Role::Admin && stands(person.status)) {
                if self.load_user(person.id).await?.as_ref().is_some_and(User::can_administer) {
                    found.push(person.id);
                }
            }
        }
        Ok(found)
    }
}
