//! The routes of the data sets, as one worker has them.

use actix_web::HttpResponse;
use bytes::Bytes;

use crate::{
    actors::{gate::Gate, grants::Pass, query::Queries},
    http::{Problem, state::Service},
};

/// The media type of an answer whose whole numbers and amounts are strings: generated clients keep the types of the other.
pub(in crate::http) const NUMBERS_AS_TEXTS: &str = "application/vnd.permitd.numbers-as-texts+json";

/// The routes of the data sets. They come first and take only paths whose first segment is a data set that there is at the
/// time, so that a new data set is served without a restart. They are one service that takes its path apart by itself: the
/// router's patterns are regular expressions, which would be matched for every request.
pub struct DataSets {
    pub(super) service: Service,
    pub(super) gate: Gate,
    pub(super) queries: Queries,
}

/// The pass of a request that was let pass, and its answer.
pub(super) type Admitted = (Pass, Result<HttpResponse, Problem>);

/// A document that was made, before it is sent.
pub(super) struct Made {
    pub(super) text: Bytes,
    /// The version that it is of.
    pub(super) version: u64,
    /// Where it goes on.
    pub(super) next: Option<String>,
    /// Whether it may be given to the next one who asks the same.
    pub(super) lasting: bool,
}

/// What is asked, as far as its answer can be found by it before it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuestionForm<'a> {
    /// One text for all ways of asking the same.
    pub(super) form: &'a str,
    /// The version that the answer will be of.
    pub(super) version: u64,
    /// The parameter that says where the answer goes on.
    pub(super) goes_on_by: &'a str,
    /// Whether whole numbers and amounts are written as strings.
    pub(super) numbers_as_texts: bool,
}
