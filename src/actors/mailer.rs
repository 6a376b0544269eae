//! The mailers: they receive messages from the queue, create keys, send mail and revoke the keys of deleted people. Their number is
//! configurable.
//!
//! Guarantees: every message is handled until it is done or a dead letter with a reason. Each step decides from what is recorded, so that
//! any may crash and be repeated; a heartbeat keeps long work from other receivers. Messages received together are handled and answered
//! separately, but those about one person one after the other, across all mailers of a process. A mail that fails temporarily is put off,
//! with growing pauses, up to a configured time, and blocks no mailer meanwhile. A stop finishes the received messages and waits for
//! nothing else. Only the mail itself may happen twice, with the same key: when the process dies between sending and recording it, or when
//! two processes get a message at once.

mod example;
mod feedback;
mod fulfil;
mod leak;
mod notify;
mod step;

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use futures_util::future::join_all;
use tokio::sync::{Mutex, MutexGuard, watch};

pub use self::example::{ExampleError, Tested};
use super::{
    ask::{Busy, Mailbox, Reply, ask},
    commit::{CommandError, Committer},
    counting::counters,
};
use crate::{
    domain::{fulfilment::MailContents, id::UserId, key::KeyId, link::LinkPurpose, retry},
    failpoint::crash_point,
    mail::{
        MailError, Mailer,
        ses::feedback::FeedbackError,
        templates::{Dataset, ServiceFacts, TemplateError, Templates},
    },
    queue::{Delivery, Queue, QueueError},
};

/// First delay before a failed message is received again, seconds; it doubles with every receive.
const RETRY_DELAY_S: u32 = 2;
/// Longest such delay, seconds.
const RETRY_DELAY_S_MAX: u32 = 300;
/// How often old mails are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(3600);

/// How long a message is left to other processes when this one has the wrong secret, seconds.
const RELEASE_DELAY_S: u32 = 1;
/// How long a message about a stream in quarantine waits before it is looked at again.
const QUARANTINE_DELAY_S: u32 = 300;

/// The facts about the service in an invitation.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The name of the service.
    pub brand: String,
    /// The API's address.
    pub public_url: String,
    /// The contact for questions, if known.
    pub contact: Option<String>,
    /// The readable data sets.
    pub datasets: Vec<Dataset>,
    /// What mails carry, and how long links work.
    pub links: LinkPolicy,
}

/// What mails carry, and how long links work.
#[derive(Debug, Clone, Copy)]
pub struct LinkPolicy {
    /// What an invitation's mail carries.
    pub delivery: MailContents,
    /// How long its link to set a password works.
    pub invitation: Duration,
    /// How long its link to see the key works.
    pub claim: Duration,
}

impl LinkPolicy {
    /// Mails carry the key and no link.
    pub fn keys_alone() -> Self {
        let delivery = MailContents { key: true, sign_in: false };
        Self { delivery, invitation: Duration::ZERO, claim: Duration::ZERO }
    }

    fn life(&self, purpose: LinkPurpose) -> Duration {
        match purpose {
            LinkPurpose::ClaimKey => self.claim,
            LinkPurpose::Invitation | LinkPurpose::PasswordReset => self.invitation,
        }
    }
}

impl Offer {
    /// The facts about the service for other mails.
    fn service(self) -> ServiceFacts {
        let Self { brand, public_url, contact, .. } = self;
        ServiceFacts { brand, public_url, contact }
    }
}

/// Supplies the present offer, and the templates.
#[derive(Clone)]
pub struct Offering {
    offer: Arc<dyn Fn() -> Offer + Send + Sync>,
    templates: Templates,
}

impl Offering {
    /// The present offer with the built-in templates.
    pub fn new(offer: impl Fn() -> Offer + Send + Sync + 'static) -> Self {
        Self { offer: Arc::new(offer), templates: Templates::default() }
    }

    /// The same with these templates.
    #[must_use]
    pub fn in_words(self, templates: Templates) -> Self {
        Self { templates, ..self }
    }

    fn offer(&self) -> Offer {
        (self.offer)()
    }
}

/// Why a message failed.
#[derive(Debug, thiserror::Error)]
enum MessageError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Feedback(#[from] FeedbackError),
    #[error("event {0} is not in its stream: the queue belongs to another log")]
    NoEvent(String),
    #[error(
        "key {0} cannot be derived again: the server secret is not the one that it was issued with; restore secret.json"
    )]
    OtherSecret(KeyId),
    #[error(
        "a link of user {0} cannot be derived again: the server secret is not the one that it was issued with; restore secret.json"
    )]
    OtherSecretOfLink(UserId),
    #[error("the message takes too many steps: please report this")]
    Circle,
}

impl MessageError {
    /// Whether a process with another server secret may succeed.
    fn is_of_secret(&self) -> bool {
        matches!(self, Self::OtherSecret(_) | Self::OtherSecretOfLink(_) | Self::Command(CommandError::Secrets(_)))
    }
}

counters! {
    /// The counters of the mailers.
    MailerCounters read as MailerCounts {
        /// Messages received.
        received,
        /// Messages done.
        done,
        /// Times that a message failed.
        failed,
        /// Mails put off because they failed temporarily.
        put_off,
        /// Keys issued.
        keys_issued,
        /// Mails handed over.
        mails_sent,
        /// Mails refused for good.
        mails_rejected,
        /// Bounces and complaints.
        mails_back,
        /// Mails about a leaked key handed over.
        leaks_told,
        /// Deleted people whose keys were revoked.
        revocations,
        /// Renewals of a visibility timeout.
        heartbeats,
    }
}

/// Locks that people share.
const TURNS: usize = 64;

/// Shared by all mailers.
struct MailerWork {
    /// Messages about one person are handled one after the other: a duplicate finds what the first has done.
    turns: [Mutex<()>; TURNS],
    committer: Arc<Committer>,
    mailer: Arc<dyn Mailer>,
    offering: Offering,
    visibility: Duration,
    /// How long sending a mail is retried after temporary failures.
    retry_for: Duration,
    /// Whether notices are mailed.
    notices: bool,
    counters: MailerCounters,
}

/// How a server's mailers poll for messages.
#[derive(Debug, Clone, Copy)]
pub struct Polling {
    /// The interval of polling a queue that cannot wait, and the pause after a queue did not answer.
    pub poll_interval: Duration,
    /// How long one receive waits on a queue that can wait; zero to poll such a queue, too.
    pub wait: Duration,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Drain {
    reply: Reply<Result<u64, QueueError>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop {
    reply: Reply<()>,
}

/// The actor.
pub struct MailerActor {
    work: Arc<MailerWork>,
    /// The queue that it receives from.
    queue: Arc<dyn Queue>,
    watch: Option<Polling>,
    /// Whether this mailer also removes old mails.
    tidies: bool,
    mailbox_capacity: usize,
    /// Held while the actor polls on its own and handles what it received.
    watching: Arc<Mutex<()>>,
    /// Held while messages are handled on request.
    draining: Arc<Mutex<()>>,
    /// Signals the actor's stop to its tasks.
    stopping: Arc<watch::Sender<bool>>,
}

impl Actor for MailerActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
        let Some(watch) = self.watch else { return };
        let (work, queue) = (Arc::clone(&self.work), Arc::clone(&self.queue));
        let (watching, stopping) = (Arc::clone(&self.watching), self.stopping.subscribe());
        let watching = async move {
            let _watching = watching.lock().await;
            work.watch(&*queue, watch, stopping).await;
        };
        context.spawn(actix::fut::wrap_future(watching));
        if self.tidies {
            self.tidy();
            context.run_interval(EXPIRY_INTERVAL, |mailer, _| mailer.tidy());
        }
    }
}

impl MailerActor {
    fn tidy(&self) {
        let work = Arc::clone(&self.work);
        actix::spawn(async move { work.expire().await });
    }
}

impl Handler<Drain> for MailerActor {
    type Result = ();

    fn handle(&mut self, Drain { reply }: Drain, _: &mut Self::Context) {
        let (work, queue, draining) = (Arc::clone(&self.work), Arc::clone(&self.queue), Arc::clone(&self.draining));
        reply.answer_later(async move { work.drain(&*queue, &draining).await });
    }
}

impl Handler<Stop> for MailerActor {
    type Result = ();

    fn handle(&mut self, Stop { reply }: Stop, context: &mut Self::Context) {
        // Ends a wait for messages at once.
        self.stopping.send_replace(true);
        let (watching, draining) = (Arc::clone(&self.watching), Arc::clone(&self.draining));
        let finished = async move {
            // Waits for the messages in progress. The kept locks prevent new ones.
            let guards = (watching.lock_owned().await, draining.lock_owned().await);
            reply.send(());
            guards
        };
        let stop = actix::fut::wrap_future::<_, Self>(finished);
        context.spawn(actix::ActorFutureExt::map(stop, |_guards, _, context| context.stop()));
    }
}

impl MailerWork {
    /// Polls for messages and handles them until the actor stops; finishes what was received.
    async fn watch(&self, queue: &dyn Queue, watch: Polling, mut stopping: watch::Receiver<bool>) {
        let can_wait = queue.can_wait() && !watch.wait.is_zero();
        let wait = if can_wait { watch.wait } else { Duration::ZERO };
        loop {
            if self.committer.secrets.doubted().is_some() {
                // Messages are left to processes with the right secret; this process has to be restarted.
                return stopped(&mut stopping).await;
            }
            let receive = queue.receive(self.mailer.sends_at_once(), wait);
            let received = tokio::select! {
                biased;
                // Aborts only a wait: a message on its way is received again after its visibility timeout.
                () = stopped(&mut stopping), if can_wait || *stopping.borrow() => return,
                received = receive => received,
            };
            let is_idle = match received {
                Ok(deliveries) => {
                    for error in self.handle_all(queue, &deliveries).await {
                        tracing::warn!(%error, "a message cannot be answered; it is received again");
                    }
                    deliveries.is_empty() && !can_wait
                }
                Err(error) => {
                    tracing::warn!(%error, "the queue cannot be read; trying again");
                    true
                }
            };
            if is_idle {
                tokio::select! {
                    biased;
                    () = stopped(&mut stopping) => return,
                    () = self.committer.wait_for_message(), if !can_wait => {}
                    () = tokio::time::sleep(watch.poll_interval) => {}
                }
            }
        }
    }

    /// Handles messages until the queue has none, without waiting; returns how many there were.
    async fn drain(&self, queue: &dyn Queue, draining: &Mutex<()>) -> Result<u64, QueueError> {
        let mut count = 0;
        self.expire().await;
        loop {
            let _draining = draining.lock().await;
            if self.committer.secrets.doubted().is_some() {
                return Ok(count);
            }
            let deliveries = queue.receive(self.mailer.sends_at_once(), Duration::ZERO).await?;
            if deliveries.is_empty() {
                return Ok(count);
            }
            count += u64::try_from(deliveries.len()).unwrap_or(u64::MAX);
            if let Some(error) = self.handle_all(queue, &deliveries).await.into_iter().next() {
                return Err(error);
            }
        }
    }

    /// Handles messages concurrently and separately; returns the errors of those that could not be answered.
    async fn handle_all(&self, queue: &dyn Queue, deliveries: &[Delivery]) -> Vec<QueueError> {
        for _ in deliveries {
            self.counters.received.add(1);
            crash_point("mailer-received");
        }
        let handled = join_all(deliveries.iter().map(|delivery| self.handle(queue, delivery))).await;
        handled.into_iter().filter_map(Result::err).collect()
    }

    /// Handles one message under a heartbeat, then acknowledges it or returns it with the reason.
    async fn handle(&self, queue: &dyn Queue, delivery: &Delivery) -> Result<(), QueueError> {
        let outcome = {
            let mut heartbeat = tokio::time::interval(self.visibility / 3);
            heartbeat.tick().await;
            let work = self.fulfil(delivery);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    outcome = &mut work => break outcome,
                    _ = heartbeat.tick() => {
                        self.counters.heartbeats.add(1);
                        match queue.extend(delivery).await {
                            Ok(true) => {}
                            Ok(false) => {
                                tracing::info!(message_id = %delivery.id, "another mailer has taken the message meanwhile");
                            }
                            // The work goes on: dropping it here could send a mail without recording that.
                            Err(error) => tracing::warn!(message_id = %delivery.id, %error, "a heartbeat failed"),
                        }
                    }
                }
            }
        };
        match outcome {
            Ok(()) => {
                crash_point("mailer-before-ack");
                self.counters.done.add(1);
                queue.acknowledge(delivery).await?;
            }
            Err(error) if error.is_of_secret() && !self.committer.check_secret().await.unwrap_or(true) => {
                // The message is not at fault: another process can handle it.
                queue.release(delivery, RELEASE_DELAY_S).await?;
            }
            Err(MessageError::Command(CommandError::Quarantined(quarantine))) => {
                tracing::debug!(message_id = %delivery.id, stream = %quarantine.stream, "left alone: its stream is in quarantine");
                queue.release(delivery, QUARANTINE_DELAY_S).await?;
            }
            Err(MessageError::Mail(error @ MailError::Unavailable { .. })) => {
                self.put_off(queue, delivery, &error).await?
            }
            // Such a message can never succeed.
            Err(MessageError::Feedback(error)) => {
                self.counters.failed.add(1);
                tracing::error!(message_id = %delivery.id, %error, "a message was given up");
                queue.bury(delivery, &error.to_string()).await?;
            }
            Err(error) => {
                self.counters.failed.add(1);
                let delay_s = RETRY_DELAY_S.saturating_mul(1 << delivery.receives.min(10)).min(RETRY_DELAY_S_MAX);
                tracing::warn!(message_id = %delivery.id, receives = delivery.receives, %error, "a message failed");
                queue.fail(delivery, &error.to_string(), delay_s).await?;
            }
        }
        Ok(())
    }

    /// Puts off a message whose mail failed temporarily, or buries it after too long.
    async fn put_off(&self, queue: &dyn Queue, delivery: &Delivery, error: &MailError) -> Result<(), QueueError> {
        let times = delivery.put_off();
        let Some(pause_s) = retry::pause_s(times, self.retry_for.as_secs()) else {
            self.counters.failed.add(1);
            let (tries, minutes) = (u64::from(times) + 1, retry::waited_s(times) / 60);
            let reason = format!("given up after {tries} tries in {minutes} minutes: {error}");
            tracing::error!(message_id = %delivery.id, reason, "a mail was given up: put right what it says, then redrive it");
            return queue.bury(delivery, &reason).await;
        };
        tracing::warn!(message_id = %delivery.id, pause_s, %error, "a mail was not taken; it is tried again later");
        queue.postpone(delivery, pause_s).await?;
        self.counters.put_off.add(1);
        Ok(())
    }

    /// Removes old mails.
    async fn expire(&self) {
        match self.mailer.expire().await {
            Ok(0) => {}
            Ok(mails) => tracing::info!(mails, "mails were removed for their age"),
            Err(error) => tracing::warn!(%error, "mails that are too old could not be removed; trying again later"),
        }
    }

    /// Waits for the lock of the message's person. The heartbeat goes on meanwhile.
    async fn turn(&self, user: UserId) -> Option<MutexGuard<'_, ()>> {
        let place = user.0.as_u128() % TURNS as u128;
        let turn = self.turns.get(usize::try_from(place).unwrap_or(0))?;
        Some(turn.lock().await)
    }
}

/// Returns when the actor stops or is gone.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the actor is gone.
    stopping.wait_for(|is_stopping| *is_stopping).await.ok();
}

fn start(
    work: &Arc<MailerWork>,
    queue: Arc<dyn Queue>,
    watch: Option<Polling>,
    tidies: bool,
    mailbox_capacity: usize,
) -> Mailbox<MailerActor> {
    let actor = MailerActor {
        work: Arc::clone(work),
        queue,
        watch,
        tidies,
        mailbox_capacity,
        watching: Arc::default(),
        draining: Arc::default(),
        stopping: Arc::new(watch::Sender::new(false)),
    };
    // One more place, for the message that stops the actor.
    Mailbox::start(actor, mailbox_capacity.saturating_add(1))
}

/// The handle to the mailers.
#[derive(Clone)]
pub struct Mailers {
    actors: Vec<Mailbox<MailerActor>>,
    work: Arc<MailerWork>,
}

impl Mailers {
    /// Starts `count` mailers on the calling thread's arbiter. They poll as `watch` says; without it they work only on request
    /// ([`Self::drain`]). A mail that fails temporarily is retried for `retry_for`. `notices` says whether notices are mailed.
    #[allow(clippy::too_many_arguments, reason = "each stands for itself, and there is one caller")]
    pub fn start(
        committer: Arc<Committer>,
        mailer: Arc<dyn Mailer>,
        offering: Offering,
        visibility: Duration,
        retry_for: Duration,
        notices: bool,
        count: usize,
        watch: Option<Polling>,
        mailbox_capacity: usize,
    ) -> Self {
        let counters = MailerCounters::default();
        let turns = std::array::from_fn(|_| Mutex::new(()));
        let work =
            Arc::new(MailerWork { turns, committer, mailer, offering, visibility, retry_for, notices, counters });
        let queue = &work.committer.queue;
        let started =
            (0..count.max(1)).map(|place| start(&work, Arc::clone(queue), watch, place == 0, mailbox_capacity));
        Self { actors: started.collect(), work: Arc::clone(&work) }
    }

    /// Handles messages until the queue has none; returns how many there were.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub async fn drain(&self) -> Result<u64, DrainError> {
        let Some(first) = self.actors.first() else { return Ok(0) };
        Ok(ask(first, |reply| Drain { reply }, None).await??)
    }

    /// Stops all mailers at once, after their messages in progress, within `patience`.
    ///
    /// # Errors
    /// When one is still working then: its message is received again later.
    pub async fn stop(&self, patience: Duration) -> Result<(), Busy> {
        let stops = self.actors.iter().map(|actor| ask(actor, |reply| Stop { reply }, Some(patience)));
        join_all(stops).await.into_iter().collect()
    }

    /// The present counts.
    pub fn counts(&self) -> MailerCounts {
        self.work.counters.read()
    }
}

/// Why draining the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The queue does not answer.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
}
