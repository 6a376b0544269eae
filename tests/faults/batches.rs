//! Mailers over a queue that waits for messages and gives several at once, as SQS does: each message by itself (rows 7, 14,
//! 15), and a stop that waits for nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join;
use permitd::{
    actors::{
        commit::Committer,
        mailer::{LinkPolicy, Mailers, Offer, Offering, Polling},
    },
    mail::Mailer,
    queue::{BATCH_MAX, DeadLetter, Delivery, Depth, Message, Queue, QueueError},
    secrets::SystemEntropy,
};
use tokio::sync::{Notify, oneshot};

use crate::{faults::Fault, world::World};

/// How long a test waits for a stop.
const PATIENCE: Duration = Duration::from_secs(180);

/// A queue that waits for messages, for ever, and counts who does.
struct WaitingQueue {
    inner: Arc<dyn Queue>,
    sent: Notify,
    waiting: AtomicUsize,
    /// How often each message was kept from others, by its id.
    extended: Mutex<BTreeMap<String, usize>>,
}

/// Counts a wait for as long as it lasts, however it ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Queue for WaitingQueue {
    async fn send(&self, messages: &[Message]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let sent = self.inner.send(messages).await;
        self.sent.notify_waiters();
        sent
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        loop {
            let sent = self.sent.notified();
            let received = self.inner.receive(max, Duration::ZERO).await?;
            if !received.is_empty() || wait.is_zero() {
                return Ok(received);
            }
            sent.await;
        }
    }

    fn can_wait(&self) -> bool {
        true
    }

    async fn extend(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        let extended = self.inner.extend(delivery).await;
        *self.extended.lock().unwrap().entry(delivery.id.clone()).or_default() += 1;
        extended
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        self.inner.acknowledge(delivery).await
    }

    async fn fail(&self, delivery: &Delivery, reason: &str, delay_s: u32) -> Result<(), QueueError> {
        self.inner.fail(delivery, reason, delay_s).await
    }

    async fn postpone(&self, delivery: &Delivery, delay_s: u32) -> Result<bool, QueueError> {
        self.inner.postpone(delivery, delay_s).await
    }

    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        self.inner.bury(delivery, reason).await
    }

    async fn release(&self, delivery: &Delivery, delay_s: u32) -> Result<(), QueueError> {
        self.inner.release(delivery, delay_s).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.inner.dead_letters(limit).await
    }

    async fn redrive(&self, id: &str) -> Result<(), QueueError> {
        self.inner.redrive(id).await
    }

    async fn discard(&self, id: &str) -> Result<(), QueueError> {
        self.inner.discard(id).await
    }

    async fn expire(&self) -> Result<u64, QueueError> {
        self.inner.expire().await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.inner.depth().await
    }
}

/// Two mailers of a world, over its queue as one that waits.
fn mailers(world: &World, visibility: Duration, watch: Option<Polling>) -> (Mailers, Arc<WaitingQueue>) {
    let inner = Arc::clone(&world.committer.queue);
    let (waiting, extended) = (AtomicUsize::new(0), Mutex::default());
    let queue = Arc::new(WaitingQueue { inner, sent: Notify::new(), waiting, extended });
    let (clock, secrets) = (world.clock.shared(), world.committer.secrets.clone());
    let committer = Committer::new(world.stores.clone(), queue.clone(), clock, Arc::new(SystemEntropy), secrets);
    let mailer: Arc<dyn Mailer> = world.mailbox.clone();
    let offer = || Offer {
        brand: "permitd".to_owned(),
        public_url: "http://127.0.0.1".to_owned(),
        contact: None,
        datasets: Vec::new(),
        links: LinkPolicy::keys_alone(),
    };
    (
        Mailers::start(
            Arc::new(committer),
            mailer,
            Offering::new(offer),
            visibility,
            Duration::from_secs(1800),
            true,
            2,
            watch,
            16,
        ),
        queue,
    )
}

fn watch() -> Option<Polling> {
    Some(Polling { poll_interval: Duration::from_millis(1), wait: Duration::from_secs(20) })
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

fn address(n: usize) -> String {
    format!("user{n}@example.org")
}

#[actix_web::test]
async fn of_messages_that_came_together_one_may_fail() {
    let world = World::new().await;
    let mut users = Vec::new();
    for n in 0..5 {
        users.push(world.invite(&address(n)).await);
    }
    let (mailers, _queue) = mailers(&world, Duration::from_secs(30), None);
    let receives = world.faults.calls("receive");
    world.faults.add("mail", Fault::Before);
    assert_eq!(mailers.drain().await.unwrap(), 5);
    assert_eq!(world.faults.calls("receive") - receives, 2, "all five at once, then none");
    let counts = mailers.counts();
    assert_eq!((counts.received, counts.done, counts.put_off, counts.mails_sent), (5, 4, 1, 4));
    assert_eq!(world.committer.queue.depth().await.unwrap().in_flight, 1, "the others are acknowledged");
    world.advance(Duration::from_secs(61));
    assert_eq!(mailers.drain().await.unwrap(), 1);
    for (n, user) in users.into_iter().enumerate() {
        world.check_invited(user, &address(n)).await;
        assert_eq!(world.mailbox.keys_to(&address(n)).len(), 1);
    }
}

#[actix_web::test]
async fn row_14_of_messages_that_came_together_one_acknowledgement_fails() {
    let world = World::new().await;
    let users = [world.invite(&address(0)).await, world.invite(&address(1)).await, world.invite(&address(2)).await];
    let (mailers, _queue) = mailers(&world, Duration::from_secs(30), None);
    world.faults.add("acknowledge", Fault::Before);
    mailers.drain().await.expect_err("the queue is away");
    assert_eq!(world.mailbox.mails.lock().unwrap().len(), 3, "the others are not held up");
    assert_eq!(world.committer.queue.depth().await.unwrap().in_flight, 1);
    world.advance(Duration::from_secs(30));
    assert_eq!(mailers.drain().await.unwrap(), 1);
    for (n, user) in users.into_iter().enumerate() {
        world.check_invited(user, &address(n)).await;
        assert_eq!(world.mailbox.keys_to(&address(n)).len(), 1);
    }
    assert_eq!(world.committer.queue.depth().await.unwrap(), Depth::default());
}

#[actix_web::test]
async fn row_06_a_message_that_came_twice_at_once_sends_one_mail() {
    let world = World::new().await;
    // The queue has it, but says that it has not: the relay sends it again.
    world.faults.add("send", Fault::After);
    let user = world.invite(&address(0)).await;
    world.advance(Duration::from_secs(1));
    assert_eq!(world.relay.sweep().await.unwrap(), 1);
    let (mailers, _queue) = mailers(&world, Duration::from_secs(30), None);
    let receives = world.faults.calls("receive");
    assert_eq!(mailers.drain().await.unwrap(), 2);
    assert_eq!(world.faults.calls("receive") - receives, 2, "both at once, then none");
    assert_eq!(world.mailbox.keys_to(&address(0)).len(), 1);
    world.check_invited(user, &address(0)).await;
}

#[actix_web::test]
async fn row_15_every_message_of_a_batch_has_a_heartbeat() {
    let world = World::new().await;
    let users = [world.invite(&address(0)).await, world.invite(&address(1)).await];
    let (mailers, queue) = mailers(&world, Duration::from_millis(15), None);
    let (other, clock) = (world.again().await, world.clock.clone());
    let (done, is_done) = oneshot::channel();
    // Both mails are on their way for three minutes of the queue's time.
    let slow = async move {
        for _ in 0..9 {
            clock.advance(Duration::from_secs(20));
            // One may have been on its way; the next has seen the time that it is now.
            let before = queue.extended.lock().unwrap().clone();
            let beaten = |id: &String, count: &usize| *count >= before.get(id).copied().unwrap_or(0) + 2;
            until(|| {
                let extended = queue.extended.lock().unwrap();
                extended.len() == 2 && extended.iter().all(|(id, count)| beaten(id, count))
            })
            .await;
        }
        assert_eq!(other.mailers.drain().await.unwrap(), 0, "both are kept from others");
        done.send(()).unwrap();
    };
    world.faults.add("mail", Fault::first(slow));
    world.faults.add("mail", Fault::first(async move { is_done.await.unwrap() }));
    assert_eq!(mailers.drain().await.unwrap(), 2);
    assert_eq!(world.committer.queue.depth().await.unwrap(), Depth::default());
    for (n, user) in users.into_iter().enumerate() {
        world.check_invited(user, &address(n)).await;
        assert_eq!(world.mailbox.keys_to(&address(n)).len(), 1);
    }
}

#[actix_web::test]
async fn a_wait_for_messages_ends_with_the_first_and_with_a_stop() {
    let world = World::new().await;
    let (mailers, queue) = mailers(&world, Duration::from_secs(30), watch());
    until(|| queue.waiting.load(Ordering::SeqCst) == 2).await;
    let user = world.invite(&address(0)).await;
    queue.sent.notify_waiters();
    until(|| mailers.counts().done == 1).await;
    world.check_invited(user, &address(0)).await;
    until(|| queue.waiting.load(Ordering::SeqCst) == 2).await;
    mailers.stop(PATIENCE).await.expect("a wait that nothing ends but the stop");
    assert_eq!(queue.waiting.load(Ordering::SeqCst), 0, "nobody waits any more");
    world.invite(&address(1)).await;
    queue.sent.notify_waiters();
    assert_eq!(queue.depth().await.unwrap().visible, 1, "nothing is begun after it");
}

#[actix_web::test]
async fn a_stop_finishes_what_was_received() {
    let world = World::new().await;
    let users = [world.invite(&address(0)).await, world.invite(&address(1)).await];
    let (begun, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    let slow = async move {
        begun.send(()).unwrap();
        may_go_on.await.unwrap();
    };
    world.faults.add("mail", Fault::first(slow));
    let (mailers, queue) = mailers(&world, Duration::from_secs(30), watch());
    has_begun.await.unwrap();
    let stop = mailers.stop(PATIENCE);
    let rest = async {
        // The other mailer's wait ends; the one at work goes on.
        until(|| queue.waiting.load(Ordering::SeqCst) == 0).await;
        go_on.send(()).unwrap();
    };
    join(async { stop.await.unwrap() }, rest).await;
    assert_eq!(queue.depth().await.unwrap(), Depth::default(), "both are done and acknowledged");
    for (n, user) in users.into_iter().enumerate() {
        world.check_invited(user, &address(n)).await;
    }
}

#[actix_web::test]
async fn a_queue_that_is_away_is_asked_again() {
    let world = World::new().await;
    world.faults.add_many("receive", 5, || Fault::Before);
    let user = world.invite(&address(0)).await;
    let (mailers, _queue) = mailers(&world, Duration::from_secs(30), watch());
    until(|| mailers.counts().done == 1).await;
    assert_eq!(world.faults.left(), 0);
    world.check_invited(user, &address(0)).await;
    mailers.stop(PATIENCE).await.unwrap();
}

#[actix_web::test]
async fn two_nodes_share_batches() {
    let world = World::new().await;
    let mut users = Vec::new();
    for n in 0..3 * BATCH_MAX {
        users.push(world.invite(&address(n)).await);
    }
    let (one, _) = mailers(&world, Duration::from_secs(30), None);
    let (other, _) = mailers(&world, Duration::from_secs(30), None);
    let (by_one, by_other) = join(one.drain(), other.drain()).await;
    assert_eq!(by_one.unwrap() + by_other.unwrap(), 30, "each once, while nobody is slow");
    assert!(one.counts().done > 0 && other.counts().done > 0);
    for (n, user) in users.into_iter().enumerate() {
        world.check_invited(user, &address(n)).await;
        assert_eq!(world.mailbox.keys_to(&address(n)).len(), 1);
    }
}

#[actix_web::test]
async fn row_05_a_start_publishes_all_that_was_left_behind_and_not_the_first_of_it() {
    const LEFT_BEHIND: usize = 120;
    let world = World::new().await;
    world.faults.add_many("send", LEFT_BEHIND, || Fault::Before);
    for number in 0..LEFT_BEHIND {
        world.invite(&format!("person-{number}@example.org")).await;
    }
    assert_eq!(world.relay.sweep_everything().await.unwrap(), LEFT_BEHIND as u64);
    assert_eq!(world.relay.sweep_everything().await.unwrap(), 0);
}
