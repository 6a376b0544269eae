//! A set of people as one text: their ids, sorted, with commas between them.

use super::StoreError;
use crate::domain::id::UserId;

/// Writes the set.
pub(super) fn write(users: &[UserId]) -> String {
    users.iter().map(UserId::to_string).collect::<Vec<_>>().join(",")
}

/// Reads a set.
///
/// # Errors
/// When the text is no such set.
pub(super) fn read(text: &str) -> Result<Vec<UserId>, StoreError> {
    let id = |id| UserId::parse(id).map_err(|error| StoreError::Corrupt(format!("the set of administrators: {error}")));
    text.split(',').map(id).collect()
}
