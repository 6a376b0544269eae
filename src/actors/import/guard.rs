//! What an import does not do unless that is confirmed: replacing a data set by next to nothing.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::store::records::{ImportResult, Outlook};

/// Of so many records in a hundred, more are not removed unless that is confirmed.
const REMOVED_PERCENT_MAX: u64 = 5;

/// Why records are not replaced unless that is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    records_before: u64,
    result: ImportResult,
    /// Where the rejected rows are, if there are any. It is no part of the message, which goes into the log.
    pub rejects_file: Option<PathBuf>,
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason();
        write!(
            f,
            "{reason}; nothing was changed. If that is meant, repeat the import with --yes; without --replace, the records stay \
             that the file does not hold"
        )
    }
}

impl std::error::Error for Guarded {}

impl Guarded {
    /// What is in the way of an import that replaces the records.
    pub(super) fn found(outlook: &Outlook, rejects_file: Option<&Path>) -> Option<Self> {
        let Outlook { records_before, result, .. } = outlook;
        let is_too_much = result.removed.saturating_mul(100) > records_before.saturating_mul(REMOVED_PERCENT_MAX);
        (is_too_much || valid(result) == 0).then(|| Self {
            records_before: *records_before,
            result: result.clone(),
            rejects_file: rejects_file.map(Path::to_owned),
        })
    }

    /// Rows that could not become records.
    pub fn rejected(&self) -> u64 {
        self.result.rejected
    }

    /// What is wrong, and what would be done.
    pub fn reason(&self) -> String {
        let Self { records_before, result, .. } = self;
        let ImportResult { inserted, updated, unchanged, removed, rejected, .. } = result;
        let what = if valid(result) == 0 {
            format!("no row of the file could be a record, and {removed} of {records_before} records would be removed")
        } else {
            format!(
                "{removed} of {records_before} records would be removed, which is more than {REMOVED_PERCENT_MAX} %"
            )
        };
        format!(
            "{what} (inserted {inserted}, updated {updated}, unchanged {unchanged}, removed {removed}, rejected {rejected})"
        )
    }
}

/// Rows that are records.
fn valid(result: &ImportResult) -> u64 {
    result.inserted + result.updated + result.unchanged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook(records_before: u64, unchanged: u64, removed: u64) -> Outlook {
        let (version, changed, inserted, updated, rejected) = (2, true, 0, 0, 3);
        let result = ImportResult { version, changed, inserted, updated, unchanged, removed, rejected };
        Outlook { version_before: 1, records_before, result, absent: Vec::new() }
    }

    #[test]
    fn five_percent_may_go() {
        for (before, removed) in [(100, 5), (20, 1), (199, 9), (u64::MAX, 5)] {
            assert_eq!(Guarded::found(&outlook(before, 1, removed), None), None, "{removed} of {before}");
        }
        for (before, removed) in [(100, 6), (19, 1), (199, 10), (1, 1)] {
            let found = Guarded::found(&outlook(before, 1, removed), None).unwrap().to_string();
            let what = format!("{removed} of {before} records would be removed, which is more than 5 %");
            assert!(found.starts_with(&what) && found.contains(", rejected 3)") && found.contains("--yes"), "{found}");
        }
    }

    #[test]
    fn a_file_without_records_replaces_nothing() {
        for before in [0, 1, 100] {
            let found = Guarded::found(&outlook(before, 0, 0), None).unwrap().to_string();
            assert!(found.starts_with("no row of the file could be a record"), "{found}");
        }
    }
}
