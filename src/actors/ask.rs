//! Asking an actor and waiting for its answer.

use std::time::Duration;

use actix::{
    Actor, Addr, Handler, Message,
    dev::{MessageResponse, ToEnvelope},
};
use tokio::sync::oneshot;

/// An actor did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Its mailbox is full: nothing was done.
    #[error("too many requests are waiting")]
    Full,
    /// It has stopped: nothing was done.
    #[error("the server is stopping")]
    Stopped,
    /// It has not answered in time: what was asked may still be done.
    #[error("no answer in time")]
    TimedOut,
}

/// Where an actor puts its answer.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// Puts a message into a mailbox, if there is room, and waits for the answer for as long as `patience`; for ever without.
pub(super) async fn ask<A, M, T>(
    actor: &Addr<A>,
    message: impl FnOnce(Reply<T>) -> M,
    patience: Option<Duration>,
) -> Result<T, Busy>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = ()> + Send + 'static,
    (): MessageResponse<A, M>,
{
    let (reply, answer) = oneshot::channel();
    actor.try_send(message(reply)).map_err(|error| match error {
        actix::prelude::SendError::Full(_) => Busy::Full,
        actix::prelude::SendError::Closed(_) => Busy::Stopped,
    })?;
    let Some(patience) = patience else { return answer.await.map_err(|_| Busy::Stopped) };
    match tokio::time::timeout(patience, answer).await {
        Ok(answered) => answered.map_err(|_| Busy::Stopped),
        Err(_) => Err(Busy::TimedOut),
    }
}
