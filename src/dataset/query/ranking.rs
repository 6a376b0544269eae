//! Orders by a number that a question gives to each record.

use super::WordSearch;
use crate::dataset::Point;

/// The name in `sort` of the order by relevance.
pub const RELEVANCE: &str = "relevance";

/// The name in `sort` of the order by distance.
pub const DISTANCE: &str = "distance";

/// The names of orders that follow from a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RankName {
    Relevance,
    Distance,
}

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
    /// The distance of the record's point from another one, in centimetres. It orders records that have a point.
    Distance {
        /// The place of the column of points.
        column: usize,
        /// The point that it is from.
        from: Point,
    },
}

impl Ranking {
    /// Appends the name of the order. What it follows from is in the filter.
    pub(super) fn write_normal_form(&self, out: &mut String) {
        out.push(if self.descending { '-' } else { '+' });
        match &self.by {
            RankedBy::Relevance(_) => out.push_str("relevance!,"),
            RankedBy::Distance { column, from } => out.push_str(&format!("distance! {column} {},", from.packed())),
        }
    }
}
