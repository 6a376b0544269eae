//! Conditional writes, and their retries.

use std::{future::Future, time::Duration};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::{StoreError, has_code, unavailable};

/// Tries of a write that met another transaction or was throttled within one. The client's own retries happen below these.
pub(super) const TRIES_MAX: u32 = 8;
/// Time before the second try; it doubles with each.
const BACKOFF: Duration = Duration::from_millis(5);

/// Waits before the next try; `tries` have been made.
pub(super) async fn back_off(tries: u32) {
    tokio::time::sleep(BACKOFF * 2u32.saturating_pow(tries)).await;
}

/// Tells whether a write failed only because a transaction held the item at the same time.
pub(super) fn met_a_transaction<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    has_code(error, "TransactionConflictException")
}

/// Sends a conditional write, repeatedly while a transaction holds the item. Returns whether the condition held.
pub(super) async fn conditional<T, E, R, Sent>(table: &str, send: impl Fn() -> Sent) -> Result<bool, StoreError>
where
    E: ProvideErrorMetadata,
    Sent: Future<Output = Result<T, SdkError<E, R>>>,
{
    let mut tries = 0;
    loop {
        let Err(error) = send().await else { return Ok(true) };
        if has_code(&error, "ConditionalCheckFailedException") {
            return Ok(false);
        }
        tries += 1;
        if !met_a_transaction(&error) || tries == TRIES_MAX {
            return Err(unavailable(table, &error));
        }
        back_off(tries).await;
    }
}
