//! The routes of the data sets, as one worker has them.

use actix_web::HttpResponse;
use bytes::Bytes;

use crate::{
    actors::{gate::Gate, grants::Pass, query::Queries},
    dataset::query::Format,
    http::{Problem, state::Service},
};

/// The media type of an answer with whole numbers and amounts as strings. Generated clients keep the types of the plain answer.
pub(in crate::http) const NUMBERS_AS_TEXTS: &str = "application/vnd.permitd.numbers-as-texts+json";

/// The routes of the data sets. They come first and take only paths whose first segment is a present data set, so that a new data set
/// is served without a restart. They are one service that splits the path itself: the router's patterns are regular expressions, which
/// would be matched for every request.
pub struct DataSets {
    pub(super) service: Service,
    pub(super) gate: Gate,
    pub(super) queries: Queries,
}

/// The pass of an admitted request, and its answer.
pub(super) type Admitted = (Pass, Result<HttpResponse, Problem>);

/// A finished document, before it is sent.
pub(super) struct Made {
    pub(super) text: Bytes,
    /// The data set version of the document.
    pub(super) version: u64,
    /// The cursor of the next page.
    pub(super) next: Option<String>,
    /// Whether the document may also answer later requests with the same question.
    pub(super) lasting: bool,
}

/// The parts of a question by which a ready answer is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuestionForm<'a> {
    /// One text for all ways of asking the same question.
    pub(super) form: &'a str,
    /// The version that the answer will be of.
    pub(super) version: u64,
    /// The form to cite the answer in; none if its question takes no `as_of`.
    pub(super) cited_as: Option<Format>,
    /// The parameter that takes the cursor of the next page.
    pub(super) goes_on_by: &'a str,
    /// Whether whole numbers and amounts are written as strings.
    pub(super) numbers_as_texts: bool,
}
