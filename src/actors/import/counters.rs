//! The importer's counters.

use crate::actors::counting::counters;

counters! {
    /// The importer's counters.
    ImportCounters read as ImporterCounts {
        /// Imports begun.
        started,
        /// Imports that became visible.
        completed,
        /// Imports without an effect.
        failed,
        /// Imports that were held.
        held,
        /// Rows read.
        rows,
        /// Rows rejected.
        rejected,
    }
}
