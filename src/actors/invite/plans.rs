//! The plans that can be given to somebody.

use crate::actors::commit::{CommandError, Committer};

/// The plans that can be given to somebody. They are checked when a command is decided, not before: a retry gets its first
/// answer even if the plan has been retired since.
pub(in crate::actors) struct KnownPlans(Vec<String>);

impl KnownPlans {
    /// Not one.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// Those that have to be known for a command that asks for `wanted`: that one, or all, for whoever asked for one that cannot
    /// be given. A list of plans may lack one that has only just come; a plan that is asked for by its name is there.
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
