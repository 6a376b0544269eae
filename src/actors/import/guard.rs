//! Changes that an import makes only if confirmed or approved: see [`guard`].

use std::fmt;

use super::Summary;
use crate::{
    dataset::{Definition, definition::Guard},
    domain::guard::{self, ColumnLoss, Consequences, Excess, GuardLimits},
    store::records::Outlook,
};

/// Why an import needs a confirmation or approval.
#[derive(Debug, Clone, PartialEq)]
pub struct Guarded {
    /// The exceeded limits.
    pub excess: Vec<Excess>,
    /// What the import would do.
    pub would: Box<Summary>,
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; nothing was changed. If that is meant, repeat the import with --yes", self.reason())?;
        if self.would.replace {
            f.write_str("; without --replace, the records stay that the file does not hold")
        } else {
            Ok(())
        }
    }
}

impl std::error::Error for Guarded {}

impl Guarded {
    /// The exceeded limits, and what the import would do.
    pub fn reason(&self) -> String {
        let counts = &self.would.counts;
        format!(
            "{} (inserted {}, updated {}, unchanged {}, removed {}, rejected {})",
            guard::told(&self.excess),
            counts.inserted,
            counts.updated,
            counts.unchanged,
            counts.removed,
            counts.rejected
        )
    }
}

/// The limits that an import exceeds: the definition's, or else the settings'.
pub(super) fn found(limits: GuardLimits, definition: &Definition, replace: bool, outlook: &Outlook) -> Vec<Excess> {
    let Guard { removed_max, rejected_max, nulled_max } = definition.guard;
    let limits = GuardLimits {
        removed_percent: removed_max.unwrap_or(limits.removed_percent),
        rejected_percent: rejected_max.unwrap_or(limits.rejected_percent),
        nulled_percent: nulled_max.unwrap_or(limits.nulled_percent),
    };
    let losses = outlook.nulled.iter().map(|nulled| ColumnLoss {
        column: definition.column_name(nulled.column).to_owned(),
        before: nulled.before,
        lost: nulled.lost,
    });
    let consequences = Consequences {
        records_before: outlook.records_before,
        replaces: replace,
        counts: super::summary::counts(&outlook.result),
        losses: losses.collect(),
    };
    guard::exceeded(limits, &consequences)
}
