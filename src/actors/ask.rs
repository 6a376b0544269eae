//! Asking an actor and waiting for its answer.
//!
//! Guarantee: an actor works on no more messages at a time than its mailbox has room for. What is asked keeps its place from the
//! mailbox until it is answered, also where a task of its own answers it and whoever asked has gone.

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
    /// It has stopped: nothing was done.
    #[error("the server is stopping")]
    Stopped,
    /// It has not answered in time: what was asked may still be done.
    #[error("no answer in time")]
    TimedOut,
}

/// An actor, and the room that it has for messages.
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

    /// The actor itself, for messages that have a place already.
    pub(super) fn actor(&self) -> &Addr<A> {
        &self.actor
    }
}

/// Where an actor puts its answer, and the place of the question among those that it works on.
pub(super) struct Reply<T> {
    sender: oneshot::Sender<T>,
    /// What the question is part of.
    span: Span,
    _place: OwnedSemaphorePermit,
}

impl<T> Reply<T> {
    /// Answers. Who asked may have gone: then nobody needs it.
    pub(super) fn send(self, answer: T) {
        drop(self.sender.send(answer));
    }

    /// Ends when nobody waits for the answer any more.
    pub(super) async fn closed(&mut self) {
        self.sender.closed().await;
    }

    /// Answers from a task of its own, which stands in the log as part of the request that it is for.
    pub(super) fn answer_later(self, work: impl Future<Output = T> + 'static)
    where
        T: 'static,
    {
        let span = self.span.clone();
        actix::spawn(async move { self.send(work.await) }.instrument(span));
    }

    /// What the question is part of.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }
}

/// Puts a message into a mailbox, if there is room, and waits for the answer for as long as `patience`; for ever without.
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

/// Puts a message into a mailbox, if there is room. Whoever does not wait for the answer drops it.
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
