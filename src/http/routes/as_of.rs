//! The parameter `as_of` of what the administrator is shown.

use super::{params, refusal::command_problem};
use crate::{
    actors::commit::PastStream,
    domain::{event::AsOf, id::StreamId},
    http::{Problem, state::Service},
};

/// A stream as it was.
///
/// # Errors
/// 400 where the text names no point in the past; 503 when the stream cannot be read.
pub(super) async fn load(service: &Service, stream: &StreamId, text: &str) -> Result<PastStream, Problem> {
    let as_of = AsOf::parse(text).map_err(|error| params::refuse("as_of", error.to_string(), None))?;
    service.committer.load_as_of(stream, as_of).await.map_err(command_problem)
}
