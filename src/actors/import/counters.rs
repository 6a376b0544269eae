//! What the importer counts.

use crate::actors::counting::counters;

counters! {
    /// What the importer has counted.
    ImportCounters read as ImporterCounts {
        /// Imports begun.
        started,
        /// Imports that are visible.
        completed,
        /// Imports that had no effect.
        failed,
        /// Imports that were held.
        held,
        /// Rows read.
        rows,
        /// Rows rejected.
        rejected,
    }
}
