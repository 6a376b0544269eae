//! A plan as its stream records it.

use super::{KeyRules, Limits, PlanError};
use crate::domain::event::Event;

/// A plan as its stream records it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Version of the last commit.
    pub version: u64,
    /// The limits; `None` before the first definition.
    pub limits: Option<Limits>,
    /// The plan's rules for keys.
    pub rules: KeyRules,
    /// Whether the plan was retired: keys that have it keep it, but nobody else gets it.
    pub retired: bool,
}

impl Plan {
    /// Applies one event of the plan's stream.
    pub fn apply(&mut self, version: u64, event: &Event) {
        self.version = version;
        match event {
            Event::PlanDefined { limits, rules } => {
                self.limits = Some(*limits);
                self.rules.clone_from(rules);
                self.retired = false;
            }
            Event::PlanRetired => self.retired = true,
            _ => {}
        }
    }

    /// Decides a definition. Returns no event if nothing changes.
    ///
    /// # Errors
    /// When the limits or the rules are out of bounds.
    pub fn define(&self, limits: Limits, rules: KeyRules) -> Result<Vec<Event>, PlanError> {
        let (limits, rules) = (limits.checked()?, rules.checked()?);
        if self.limits == Some(limits) && self.rules == rules && !self.retired {
            return Ok(Vec::new());
        }
        Ok(vec![Event::PlanDefined { limits, rules }])
    }

    /// Decides a retirement.
    pub fn retire(&self) -> Vec<Event> {
        if self.limits.is_none() || self.retired { Vec::new() } else { vec![Event::PlanRetired] }
    }
}
