//! No queue, for a copy of a deployment that is only read: nothing can be sent, and there is nothing to receive.

use std::time::Duration;

use async_trait::async_trait;

use super::{DeadLetter, Delivery, Depth, Message, Queue, QueueError};
use crate::store::StoreError;

/// No queue: it holds nothing that could reach one.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoQueue;

/// # Errors
/// Always: a copy has no queue.
fn refused<T>() -> Result<T, QueueError> {
    Err(QueueError::Store(StoreError::ReadOnly))
}

#[async_trait]
impl Queue for NoQueue {
    async fn send(&self, _: &[Message]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        refused()
    }

    async fn receive(&self, _: usize, _: Duration) -> Result<Vec<Delivery>, QueueError> {
        Ok(Vec::new())
    }

    fn can_wait(&self) -> bool {
        false
    }

    async fn extend(&self, _: &Delivery) -> Result<bool, QueueError> {
        Ok(false)
    }

    async fn acknowledge(&self, _: &Delivery) -> Result<bool, QueueError> {
        Ok(false)
    }

    async fn fail(&self, _: &Delivery, _: &str, _: u32) -> Result<(), QueueError> {
        refused()
    }

    async fn postpone(&self, _: &Delivery, _: u32) -> Result<bool, QueueError> {
        Ok(false)
    }

    async fn bury(&self, _: &Delivery, _: &str) -> Result<(), QueueError> {
        refused()
    }

    async fn release(&self, _: &Delivery, _: u32) -> Result<(), QueueError> {
        refused()
    }

    async fn dead_letters(&self, _: usize) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(Vec::new())
    }

    async fn redrive(&self, _: &str) -> Result<(), QueueError> {
        refused()
    }

    async fn discard(&self, _: &str) -> Result<(), QueueError> {
        refused()
    }

    async fn expire(&self) -> Result<u64, QueueError> {
        Ok(0)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth::default())
    }

    async fn probe(&self) -> Result<(), QueueError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_goes_in_and_nothing_comes_out() {
        assert!(matches!(NoQueue.send(&[]).await, Err(QueueError::Store(StoreError::ReadOnly))));
        assert!(NoQueue.redrive("a").await.is_err());
        assert!(NoQueue.receive(10, Duration::from_secs(20)).await.unwrap().is_empty());
        assert!(NoQueue.dead_letters(10).await.unwrap().is_empty());
        assert_eq!(NoQueue.depth().await.unwrap(), Depth::default());
    }
}
