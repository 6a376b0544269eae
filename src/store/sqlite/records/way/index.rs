//! Chooses the index for each branch of a filter.

use std::borrow::Cow;

use super::sought::WaySought;
use crate::{
    dataset::query::{SortTerm, Term, Test},
    store::sqlite::records::{
        branch::{Branch, limits},
        schema::IndexShape,
    },
};

/// An index as a candidate for a branch.
pub(super) struct IndexCandidate<'a> {
    pub(super) index: &'a IndexShape,
    /// The number of its leading columns that the branch binds.
    pub(super) bound: usize,
    /// The rest of the order that the following columns serve; none if they do not.
    pub(super) serves: Option<Vec<SortTerm>>,
    /// Whether the branch limits the next column to a range.
    range: bool,
}

impl IndexCandidate<'_> {
    /// How well the index serves the conditions.
    fn rank(&self) -> (usize, bool) {
        (self.bound, self.range)
    }
}

/// The branches of a filter, each with its index.
pub(super) struct IndexedBranches<'a, 'i> {
    pub(super) searches: Vec<(Branch<'a>, IndexCandidate<'i>)>,
}

impl IndexedBranches<'_, '_> {
    /// A split is as good as its worst branch.
    pub(super) fn rank(&self) -> (usize, bool) {
        self.searches.iter().map(|(_, candidate)| candidate.rank()).min().unwrap_or_default()
    }

    /// Tells whether the indexes have all conditions.
    pub(super) fn is_complete(&self) -> bool {
        self.searches.iter().all(|(branch, candidate)| {
            let seeks =
                |term: &Cow<'_, Term>| seeks(candidate, term.column, &term.test) && !matches!(term.test, Test::In(_));
            branch.others.is_empty() && branch.terms.iter().all(seeks)
        })
    }

    /// The indexes, each named once.
    pub(super) fn indexes(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, candidate) in &self.searches {
            if !names.contains(&candidate.index.name) {
                names.push(candidate.index.name.clone());
            }
        }
        names
    }
}

/// The branches, each with the best index that gives the order.
pub(super) fn walk<'a, 'b>(sought: &WaySought<'a>, branches: &[Branch<'b>]) -> Option<IndexedBranches<'b, 'a>> {
    let search = |branch: &Branch<'b>| {
        let candidates = candidates(sought, branch).filter(|candidate| candidate.serves.is_some());
        first_of_best(candidates).map(|candidate| (branch.clone(), candidate))
    };
    let searches = branches.iter().map(search).collect::<Option<Vec<_>>>()?;
    let split = IndexedBranches { searches };
    // Reading an index in its order several times pays only if each time reads a part of it.
    (branches.len() == 1 || split.rank() > (0, false)).then_some(split)
}

fn candidates<'a, 'b>(
    sought: &'b WaySought<'a>,
    branch: &'b Branch<'_>,
) -> impl Iterator<Item = IndexCandidate<'a>> + 'b {
    sought.shape.indexes.iter().map(|index| candidate(sought, branch, index))
}

fn candidate<'a>(sought: &WaySought<'a>, branch: &Branch<'_>, index: &'a IndexShape) -> IndexCandidate<'a> {
    let bound = index.columns.iter().take_while(|column| branch.is_bound(**column)).count();
    let tests = || branch.terms.iter().filter(|term| Some(&term.column) == index.columns.get(bound));
    let range = tests().any(|term| limits(&term.test));
    IndexCandidate { index, bound, serves: served(sought, branch, index, bound), range }
}

/// The order without the bound columns, if the rest of the index gives it.
fn served(sought: &WaySought<'_>, branch: &Branch<'_>, index: &IndexShape, bound: usize) -> Option<Vec<SortTerm>> {
    let order: Vec<SortTerm> = sought.order.iter().copied().filter(|term| !branch.is_bound(term.column)).collect();
    let rest = index.columns.iter().skip(bound);
    let same_columns = order.len() <= rest.len() && order.iter().zip(rest).all(|(term, column)| term.column == *column);
    let one_direction = order.iter().zip(order.iter().skip(1)).all(|(a, b)| a.descending == b.descending);
    // Nulls are at the wrong end of an ascending index: only for its first column can that be corrected.
    let nulls_first_only = order.iter().skip(1).all(|term| !sought.may_be_null(branch, term.column));
    (same_columns && one_direction && nulls_first_only).then_some(order)
}

/// The first of the best candidates.
fn first_of_best<'c>(candidates: impl Iterator<Item = IndexCandidate<'c>>) -> Option<IndexCandidate<'c>> {
    candidates.reduce(|best, next| if next.rank() > best.rank() { next } else { best })
}

pub(super) fn best<'b, 'c>(splits: impl Iterator<Item = IndexedBranches<'b, 'c>>) -> Option<IndexedBranches<'b, 'c>> {
    splits.reduce(|best, next| if next.rank() > best.rank() { next } else { best })
}

/// Tells whether the candidate's index is searched for this condition.
pub(super) fn seeks(candidate: &IndexCandidate<'_>, column: usize, test: &Test) -> bool {
    let Some(place) = candidate.index.columns.iter().position(|indexed| *indexed == column) else { return false };
    match test {
        Test::Equal(_) | Test::Null(true) => place < candidate.bound,
        Test::In(_) => place == candidate.bound,
        test => place == candidate.bound && limits(test),
    }
}
