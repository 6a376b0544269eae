//! The person that a stream is of.

use crate::domain::{user::User, view::State};

/// The person that a stream's state is of.
pub fn user_in(state: &State) -> Option<&User> {
    match state {
        State::User(user) => user.as_ref(),
        State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => None,
    }
}
