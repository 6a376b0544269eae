//! Refuses to write into a deployment that was closed: see [`super::seen_open`].

use super::{Dynamo, StoreError};
use crate::store::Upkeep;

impl Dynamo {
    /// Refuses to write into a deployment that is closed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it bears a mark, or cannot be asked.
    pub(super) async fn require_open(&self) -> Result<(), StoreError> {
        if self.seen_open().is_recent() {
            return Ok(());
        }
        self.mark().await?.map_or(Ok(()), |mark| Err(StoreError::Unavailable(mark.to_string())))
    }
}
