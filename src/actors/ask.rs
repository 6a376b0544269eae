//! Sends messages to an actor and waits for its answers.
//!
//! Guarantee: an actor handles no more messages at a time than its mailbox has room for. A message keeps its place until it is answered,
//! even when a separate task answers it and the sender has gone.

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, Addr, Context, Handler, Message,
    dev::{MessageResponse, ToEnvelope},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::{Instrument, Span};

/// An actor did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Its mailbox is full: nothing was done.
    #[error("too many requests are waiting")]
    Full,
    /// The actor has stopped: nothing was done.
    #[error("the server is stopping")]
    Stopped,
    /// The actor has not answered in time: the request may still be carried out.
    #[error("no answer in time")]
    TimedOut,
}

/// An actor, and its room for messages.
pub(super) struct Mailbox<A: Actor> {
    actor: Addr<A>,
    room: Arc<Semaphore>,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), room: Arc::clone(&self.room) }
    }
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    /// Starts an actor on the calling thread's arbiter.
    pub(super) fn start(actor: A, room: usize) -> Self {
        Self { actor: actor.start(), room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))) }
    }

    /// The actor itself, for messages that already hold a place.
    pub(super) fn actor(&self) -> &Addr<A> {
        &self.actor
    }
}

/// Receives an actor's answer, and holds the message's place in the mailbox.
pub(super) struct Reply<T> {
    sender: oneshot::Sender<T>,
    /// The span of the request.
    span: Span,
    _place: OwnedSemaphorePermit,
}

impl<T> Reply<T> {
    /// Answers; ignores a sender that has gone.
    pub(super) fn send(self, answer: T) {
        drop(self.sender.send(answer));
    }

    /// Returns when nobody waits for the answer any more.
    pub(super) async fn closed(&mut self) {
        self.sender.closed().await;
    }

    /// Answers from a separate task, whose log lines belong to the request.
    pub(super) fn answer_later(self, work: impl Future<Output = T> + 'static)
    where
        T: 'static,
    {
        let span = self.span.clone();
        actix::spawn(async move { self.send(work.await) }.instrument(span));
    }

    /// The span of the request.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }
}

/// Sends a message if the mailbox has room, and waits up to `patience` for the answer; without `patience` for ever.
pub(super) async fn ask<A, M, T>(
    mailbox: &Mailbox<A>,
    message: impl FnOnce(Reply<T>) -> M,
    patience: Option<Duration>,
) -> Result<T, Busy>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = ()> + Send + 'static,
    (): MessageResponse<A, M>,
{
    let answer = tell(mailbox, message)?;
    let Some(patience) = patience else { return answer.await.map_err(|_| Busy::Stopped) };
    match tokio::time::timeout(patience, answer).await {
        Ok(answered) => answered.map_err(|_| Busy::Stopped),
        Err(_) => Err(Busy::TimedOut),
    }
}

/// Sends a message if the mailbox has room. A caller that does not need the answer drops the receiver.
pub(super) fn tell<A, M, T>(
    mailbox: &Mailbox<A>,
    message: impl FnOnce(Reply<T>) -> M,
) -> Result<oneshot::Receiver<T>, Busy>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = ()> + Send + 'static,
    (): MessageResponse<A, M>,
{
    let place = Arc::clone(&mailbox.room).try_acquire_owned().map_err(|_| Busy::Full)?;
    let (sender, answer) = oneshot::channel();
    let reply = Reply { sender, span: Span::current(), _place: place };
    mailbox.actor.try_send(message(reply)).map_err(|error| match error {
        actix::prelude::SendError::Full(_) => Busy::Full,
        actix::prelude::SendError::Closed(_) => Busy::Stopped,
    })?;
    Ok(answer)
}
