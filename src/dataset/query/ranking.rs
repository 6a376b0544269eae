//! Orders by a number that a question gives to each record.

use super::WordSearch;

/// The name in `sort` of the order by relevance.
pub const RELEVANCE: &str = "relevance";

/// An order by a number that follows from a record and the question.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The number.
    pub by: RankedBy,
    /// Whether greater numbers come first.
    pub descending: bool,
}

/// The numbers that records are ranked by.
#[derive(Debug, Clone, PartialEq)]
pub enum RankedBy {
    /// How relevant the record is to a search: see [`WordSearch::relevance`].
    Relevance(WordSearch),
}

impl Ranking {
    /// Appends the name of the order. What it follows from is in the filter.
    pub(super) fn write_normal_form(&self, out: &mut String) {
        out.push(if self.descending { '-' } else { '+' });
        out.push_str(match self.by {
            RankedBy::Relevance(_) => "relevance!,",
        });
    }
}
