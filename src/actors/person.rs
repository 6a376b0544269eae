//! The person of a stream.

use crate::domain::{user::User, view::State};

/// The person in a stream's state.
pub fn user_in(state: &State) -> Option<&User> {
    match state {
        State::User(user) => user.as_ref(),
        State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => None,
    }
}
