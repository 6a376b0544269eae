//! What a person's plan says of their keys, looked up for a command on a key.

use super::commit::{CommandError, Committer};
use crate::domain::{id::UserId, plan::KeyRules, user::User};

/// What the plan said that the person had when it was looked up.
pub(super) struct KnownRules {
    /// None of a person who is not there.
    plan: Option<String>,
    rules: KeyRules,
}

impl KnownRules {
    /// Looks up the person's plan.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn load(committer: &Committer, user: UserId) -> Result<Self, CommandError> {
        let person = committer.stores.views.user(user).await?;
        Self::of_plan(committer, person.map(|person| person.plan)).await
    }

    /// Looks up this plan.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn of_plan(committer: &Committer, plan: Option<String>) -> Result<Self, CommandError> {
        let row = match &plan {
            Some(name) => committer.stores.views.plan(name).await?,
            None => None,
        };
        Ok(Self { plan, rules: row.map(|row| row.rules).unwrap_or_default() })
    }

    /// The rules, if they are still those of the person's plan: none when another was given meanwhile, and they are to be looked up
    /// again.
    pub(super) fn of(&self, user: Option<&User>) -> Option<KeyRules> {
        let is_so = user.is_none_or(|user| self.plan.as_ref() == Some(&user.plan));
        is_so.then(|| self.rules.clone())
    }
}
