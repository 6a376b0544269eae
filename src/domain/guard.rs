//! The guard: limits on what an import may remove, reject or empty before somebody approves of it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::counted;

/// The limits of the guard, in percent. 100 lets everything go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// The share of stored records that may be removed.
    pub removed_percent: u32,
    /// The share of the file's rows that may be rejected.
    pub rejected_percent: u32,
    /// The share of a column's stored values that may be lost.
    pub nulled_percent: u32,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self { removed_percent: 5, rejected_percent: 1, nulled_percent: 5 }
    }
}

/// A column that would lose values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLoss {
    /// The column's name.
    pub column: String,
    /// Records that have a value in the column.
    pub before: u64,
    /// Those of them that would lose it.
    pub lost: u64,
}

/// The figures of an import that the guard checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Records before the import.
    pub records_before: u64,
    /// Whether the file is the whole data set.
    pub replaces: bool,
    /// What the import would do.
    pub counts: ImportCounts,
    /// The columns that would lose values.
    pub losses: Vec<ColumnLoss>,
}

/// What too much of would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExcessKind {
    /// Records would be removed.
    Removed,
    /// Rows of the file cannot be records.
    Rejected,
    /// A column would lose values.
    Nulled,
    /// The file would replace the data set, and no row of it can be a record.
    NoRecord,
}

/// A limit that an import exceeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportExcess")]
pub struct Excess {
    /// What of.
    pub kind: ExcessKind,
    /// The column, of lost values.
    pub column: Option<String>,
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// How many percent of them may be.
    pub percent_max: u32,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, column, count, of, percent_max } = self;
        match kind {
            ExcessKind::Removed => {
                write!(f, "{count} of {} would be removed, which is more than {percent_max} %", counted(*of, "record"))
            }
            ExcessKind::Rejected => {
                let what = if *count == 1 { "a record" } else { "records" };
                write!(f, "{count} of {} could not be {what}, which is more than {percent_max} %", counted(*of, "row"))
            }
            ExcessKind::Nulled => {
                let column = column.as_deref().unwrap_or_default();
                let values = counted(*of, "value");
                write!(f, "{column} would lose {count} of its {values}, which is more than {percent_max} %")
            }
            ExcessKind::NoRecord => {
                let records = counted(*of, "record");
                write!(f, "no row of the file could be a record, and {count} of {records} would be removed")
            }
        }
    }
}

impl Excess {
    /// Tells whether `other`, an excess of the same kind, is a larger share.
    fn is_less_than(&self, other: &Self) -> bool {
        let part = |excess: &Self, of: &Self| u128::from(excess.count) * u128::from(of.of);
        part(self, other) < part(other, self)
    }
}

/// The limits that an import exceeds. The first import into an empty data set has nothing to remove or to empty.
pub fn exceeded(limits: GuardLimits, of: &Consequences) -> Vec<Excess> {
    let is_too_much =
        |count: u64, of: u64, percent_max: u32| u128::from(count) * 100 > u128::from(of) * u128::from(percent_max);
    let excess = |kind, count, of, percent_max| Excess { kind, column: None, count, of, percent_max };
    let ImportCounts { inserted, updated, unchanged, removed, rejected } = of.counts;
    let valid = inserted + updated + unchanged;
    let mut found = Vec::new();
    if of.replaces && valid == 0 {
        found.push(excess(ExcessKind::NoRecord, removed, of.records_before, limits.removed_percent));
    } else if is_too_much(removed, of.records_before, limits.removed_percent) {
        found.push(excess(ExcessKind::Removed, removed, of.records_before, limits.removed_percent));
    }
    if is_too_much(rejected, valid + rejected, limits.rejected_percent) {
        found.push(excess(ExcessKind::Rejected, rejected, valid + rejected, limits.rejected_percent));
    }
    let losing = of.losses.iter().filter(|loss| is_too_much(loss.lost, loss.before, limits.nulled_percent));
    found.extend(losing.map(|loss| Excess {
        column: Some(loss.column.clone()),
        ..excess(ExcessKind::Nulled, loss.lost, loss.before, limits.nulled_percent)
    }));
    found
}

/// Tells whether the approved excesses cover those found now: no new kind or column, and no larger share.
pub fn covers(approved: &[Excess], found: &[Excess]) -> bool {
    found.iter().all(|found| {
        let same = approved.iter().find(|known| known.kind == found.kind && known.column == found.column);
        same.is_some_and(|known| !known.is_less_than(found))
    })
}

/// The excesses as one text.
pub fn told(excesses: &[Excess]) -> String {
    let told: Vec<String> = excesses.iter().map(ToString::to_string).collect();
    told.join("; ")
}

/// What an import did, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ImportCounts {
    /// New records.
    pub inserted: u64,
    /// Records whose values changed.
    pub updated: u64,
    /// Records that were already so.
    pub unchanged: u64,
    /// Records that the file no longer holds (only when the file replaces the data set).
    pub removed: u64,
    /// Rows that could not become records.
    pub rejected: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn import(records_before: u64, unchanged: u64, removed: u64, rejected: u64) -> Consequences {
        let counts = ImportCounts { unchanged, removed, rejected, ..ImportCounts::default() };
        Consequences { records_before, replaces: removed > 0, counts, losses: Vec::new() }
    }

    fn kinds(of: &Consequences) -> Vec<ExcessKind> {
        exceeded(GuardLimits::default(), of).iter().map(|excess| excess.kind).collect()
    }

    #[test]
    fn five_percent_may_go_and_one_percent_be_rejected() {
        for (before, removed) in [(100, 5), (20, 1), (199, 9), (u64::MAX, 5)] {
            assert_eq!(kinds(&import(before, 1, removed, 0)), [], "{removed} of {before}");
        }
        for (before, removed) in [(100, 6), (19, 1), (199, 10), (1, 1)] {
            let found = exceeded(GuardLimits::default(), &import(before, 1, removed, 0));
            let records = if before == 1 { "record" } else { "records" };
            let expected = format!("{removed} of {before} {records} would be removed, which is more than 5 %");
            assert_eq!(told(&found), expected);
        }
        assert_eq!(kinds(&import(0, 99, 0, 1)), []);
        assert_eq!(kinds(&import(0, 98, 0, 1)), [ExcessKind::Rejected]);
    }

    #[test]
    fn one_and_several_are_told_apart() {
        let told =
            |kind, count, of| Excess { kind, column: Some("height".to_owned()), count, of, percent_max: 1 }.to_string();
        for (kind, count, of, words) in [
            (ExcessKind::Rejected, 1, 1, "1 of 1 row could not be a record, which is more than 1 %"),
            (ExcessKind::Rejected, 1, 2, "1 of 2 rows could not be a record, which is more than 1 %"),
            (ExcessKind::Rejected, 2, 2, "2 of 2 rows could not be records, which is more than 1 %"),
            (ExcessKind::Nulled, 1, 1, "height would lose 1 of its 1 value, which is more than 1 %"),
            (ExcessKind::NoRecord, 0, 0, "no row of the file could be a record, and 0 of 0 records would be removed"),
            (ExcessKind::NoRecord, 1, 1, "no row of the file could be a record, and 1 of 1 record would be removed"),
        ] {
            assert_eq!(told(kind, count, of), words);
        }
    }

    #[test]
    fn a_file_without_records_replaces_nothing() {
        for before in [0, 1, 100] {
            let of = Consequences { replaces: true, ..import(before, 0, 0, 0) };
            assert_eq!(kinds(&of), [ExcessKind::NoRecord]);
        }
        assert_eq!(kinds(&import(0, 0, 0, 0)), [], "nothing is replaced");
    }

    #[test]
    fn a_column_may_lose_a_few_values() {
        let losing = |before, lost| Consequences {
            losses: vec![ColumnLoss { column: "height".to_owned(), before, lost }],
            ..import(before, before, 0, 0)
        };
        assert_eq!(kinds(&losing(100, 5)), []);
        let found = exceeded(GuardLimits::default(), &losing(100, 6));
        assert_eq!(told(&found), "height would lose 6 of its 100 values, which is more than 5 %");
        let more = GuardLimits { nulled_percent: 6, ..GuardLimits::default() };
        assert_eq!(exceeded(more, &losing(100, 6)), []);
    }

    proptest! {
        #[test]
        fn a_hundred_percent_lets_everything_go(before in 1..1_000_000_u64, removed in 0..1_000_000_u64, rejected in 0..1_000_u64, lost in 0..1_000_000_u64) {
            let all = GuardLimits { removed_percent: 100, rejected_percent: 100, nulled_percent: 100 };
            let losses = vec![ColumnLoss { column: "c".to_owned(), before, lost: lost.min(before) }];
            let of = Consequences { losses, ..import(before, 1, removed.min(before), rejected) };
            prop_assert_eq!(exceeded(all, &of), vec![]);
        }

        #[test]
        fn what_is_approved_covers_itself_and_less_of_it_and_no_more(of in 100..1_000_000_u64, count in 10..100_u64, other in 1..1_000_000_u64) {
            let excess = |count, of| vec![Excess { kind: ExcessKind::Removed, column: None, count, of, percent_max: 5 }];
            let approved = excess(count, of);
            prop_assert!(covers(&approved, &approved) && covers(&approved, &[]) && !covers(&[], &approved));
            prop_assert!(covers(&approved, &excess(count - 1, of)) && !covers(&approved, &excess(count + 1, of)));
            let nulled = vec![Excess { kind: ExcessKind::Nulled, column: Some("c".to_owned()), count: other, of: other, percent_max: 5 }];
            prop_assert!(!covers(&approved, &nulled));
        }
    }
}
