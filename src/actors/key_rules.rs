//! Looks up the key rules of a person's plan for a command on a key.

use super::commit::{CommandError, Committer};
use crate::domain::{id::UserId, plan::KeyRules, user::User};

/// The rules of the plan that the person had at the look-up.
pub(super) struct KnownRules {
    /// `None` when the person does not exist.
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

    /// The rules, if the person still has that plan; `None` when another plan was assigned meanwhile: look it up again.
    pub(super) fn of(&self, user: Option<&User>) -> Option<KeyRules> {
        let is_so = user.is_none_or(|user| self.plan.as_ref() == Some(&user.plan));
        is_so.then(|| self.rules.clone())
    }
}
