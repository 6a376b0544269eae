//! The plans that can be assigned.

use crate::actors::commit::{CommandError, Committer};

/// The plans that can be assigned. They are checked when the command is decided, not before: a retry gets its first answer even if the plan
/// has been retired since.
pub(in crate::actors) struct KnownPlans(Vec<String>);

impl KnownPlans {
    /// No plan.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// Loads the plans for a command that asks for `wanted`: that plan, or all others when it cannot be assigned. A new plan may be missing
    /// in a list, but is found by its name.
    pub(in crate::actors) async fn load(committer: &Committer, wanted: &str) -> Result<Self, CommandError> {
        let views = &committer.stores.views;
        if views.plan(wanted).await?.is_some_and(|plan| !plan.retired) {
            return Ok(Self(vec![wanted.to_owned()]));
        }
        let plans = views.plans().await?.into_iter().filter(|plan| !plan.retired && plan.name != wanted);
        Ok(Self(plans.map(|plan| plan.name).collect()))
    }

    pub(in crate::actors) fn check(&self, name: &str) -> Result<(), CommandError> {
        if self.0.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(CommandError::NoPlan { name: name.chars().take(80).collect(), known: self.0.clone() })
    }
}
