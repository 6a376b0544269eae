//! Stores, a queue and a mailer that fail on command. They stand before real ones, so that what is tested is everything
//! above the traits. Faults are named after the method and used up in order: `append`, `load`, `personal_key`, `unpublished`,
//! `project`, `mark_published`, `grant`, `give_back`, `send`, `receive`, `extend`, `acknowledge`, `fail`, `postpone`, `bury`, `mail`.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use permitd::{
    domain::{
        admission::UsageCount,
        id::{StreamId, UserId},
        key::KeyId,
        persisted::StoredCommit,
        personal::PersonalKey,
        reached::Reached,
        view::Rows,
    },
    mail::{MailError, Mailer, OutgoingMail, Receipt},
    queue::{BATCH_MAX, DeadLetter, Delivery, Depth, Message, Queue, QueueError},
    store::{
        Append, AppendError, DayUsage, EventLog, GivenBack, GrantRequest, Granted, KeyRefusal, KeyTerms, LastUse,
        Ledger, ReadingPace, StoreError,
    },
};

type Deed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What happens to one call.
pub(crate) enum Fault {
    /// It is not carried out, and fails.
    Before,
    /// It is carried out, and fails: as when the answer is lost.
    After,
    /// Something else happens first, then it is carried out.
    First(Deed),
    /// It is carried out, then something else happens before the answer.
    Then(Deed),
    /// Nothing happens.
    None,
}

impl Fault {
    pub(crate) fn first(deed: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::First(Box::pin(deed))
    }

    pub(crate) fn then(deed: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Then(Box::pin(deed))
    }
}

/// The faults that are still to come.
#[derive(Default)]
pub(crate) struct Faults {
    waiting: Mutex<HashMap<&'static str, VecDeque<Fault>>>,
    calls: Mutex<HashMap<&'static str, u64>>,
    /// What `unpublished` answers, one call after the other, before it tells the truth: an index that lags.
    pub(crate) stale_unpublished: Mutex<VecDeque<Vec<StoredCommit>>>,
    /// How many messages of a batch are sent before the others fail; all without.
    pub(crate) batch_sent_max: Mutex<Option<usize>>,
}

impl Faults {
    /// The next call of `method` suffers this; calls after it what is added after it.
    pub(crate) fn add(&self, method: &'static str, fault: Fault) {
        self.waiting.lock().unwrap().entry(method).or_default().push_back(fault);
    }

    /// The next `count` calls suffer it.
    pub(crate) fn add_many(&self, method: &'static str, count: usize, fault: impl Fn() -> Fault) {
        (0..count).for_each(|_| self.add(method, fault()));
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &'static str) -> u64 {
        self.calls.lock().unwrap().get(method).copied().unwrap_or(0)
    }

    /// Forgets the faults that were not met.
    pub(crate) fn clear(&self) {
        self.waiting.lock().unwrap().clear();
    }

    /// Faults that were not met.
    pub(crate) fn left(&self) -> usize {
        self.waiting.lock().unwrap().values().map(VecDeque::len).sum()
    }

    fn next(&self, method: &'static str) -> Fault {
        *self.calls.lock().unwrap().entry(method).or_default() += 1;
        self.waiting.lock().unwrap().get_mut(method).and_then(VecDeque::pop_front).unwrap_or(Fault::None)
    }

    async fn around<T, E>(
        &self,
        method: &'static str,
        failure: impl Fn() -> E,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match self.next(method) {
            Fault::None => work.await,
            Fault::Before => Err(failure()),
            Fault::After => {
                work.await?;
                Err(failure())
            }
            Fault::First(deed) => {
                deed.await;
                work.await
            }
            Fault::Then(deed) => {
                let result = work.await;
                deed.await;
                result
            }
        }
    }
}

fn store_failure() -> StoreError {
    StoreError::Unavailable("an injected fault".to_owned())
}

fn queue_failure() -> QueueError {
    QueueError::Unavailable("an injected fault".to_owned())
}

/// A log that fails on command.
pub(crate) struct FaultyLog {
    pub(crate) inner: Arc<dyn EventLog>,
    pub(crate) faults: Arc<Faults>,
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        self.faults.around("append", || store_failure().into(), self.inner.append(append)).await
    }

    async fn load(&self, stream: &StreamId, after_version: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        self.faults.around("load", store_failure, self.inner.load(stream, after_version, max)).await
    }

    async fn personal_key(&self, user: UserId) -> Result<Option<PersonalKey>, StoreError> {
        self.faults.around("personal_key", store_failure, self.inner.personal_key(user)).await
    }

    async fn administrators(&self) -> Result<Option<Vec<UserId>>, StoreError> {
        self.faults.around("administrators", store_failure, self.inner.administrators()).await
    }

    async fn read(&self, after_position: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        self.inner.read(after_position, max).await
    }

    async fn read_back(&self, before_position: Option<u64>, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        self.inner.read_back(before_position, max).await
    }

    async fn moment_of(&self, position: u64) -> Result<Option<Timestamp>, StoreError> {
        self.inner.moment_of(position).await
    }

    async fn read_on(&self, reached: &mut Reached, pace: ReadingPace) -> Result<(Vec<StoredCommit>, bool), StoreError> {
        self.inner.read_on(reached, pace).await
    }

    async fn unpublished(&self, after: Option<&StoredCommit>, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
        let stale = self.faults.stale_unpublished.lock().unwrap().pop_front();
        if let Some(stale) = stale {
            return Ok(stale);
        }
        self.faults.around("unpublished", store_failure, self.inner.unpublished(after, max)).await
    }

    async fn project(&self, rows: Rows) -> Result<(), StoreError> {
        self.faults.around("project", store_failure, self.inner.project(rows)).await
    }

    async fn mark_published(&self, stream: &StreamId, version: u64) -> Result<(), StoreError> {
        self.faults.around("mark_published", store_failure, self.inner.mark_published(stream, version)).await
    }
}

/// A ledger that fails on command.
pub(crate) struct FaultyLedger {
    pub(crate) inner: Arc<dyn Ledger>,
    pub(crate) faults: Arc<Faults>,
}

#[async_trait]
impl Ledger for FaultyLedger {
    async fn terms(&self, key: KeyId, now_ns: i64) -> Result<Result<KeyTerms, KeyRefusal>, StoreError> {
        self.faults.around("terms", store_failure, self.inner.terms(key, now_ns)).await
    }

    async fn grant(&self, request: GrantRequest) -> Result<Granted, StoreError> {
        self.faults.around("grant", store_failure, self.inner.grant(request)).await
    }

    async fn give_back(&self, given: Vec<GivenBack>) -> Result<(), StoreError> {
        self.faults.around("give_back", store_failure, self.inner.give_back(given)).await
    }

    async fn counts(&self, user: UserId, from_day: i64) -> Result<Vec<UsageCount>, StoreError> {
        self.inner.counts(user, from_day).await
    }

    async fn last_uses(&self, user: UserId) -> Result<Vec<LastUse>, StoreError> {
        self.inner.last_uses(user).await
    }

    async fn usage(&self, user: UserId, from_day: i64) -> Result<Vec<DayUsage>, StoreError> {
        self.inner.usage(user, from_day).await
    }
}

/// A queue that fails on command.
pub(crate) struct FaultyQueue {
    pub(crate) inner: Arc<dyn Queue>,
    pub(crate) faults: Arc<Faults>,
}

#[async_trait]
impl Queue for FaultyQueue {
    async fn send(&self, messages: &[Message]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        assert!(messages.len() <= BATCH_MAX, "a batch of {} messages", messages.len());
        let sent_max = self.faults.batch_sent_max.lock().unwrap().take();
        let work = async {
            let Some(sent_max) = sent_max else { return self.inner.send(messages).await };
            let (sent, failed) = messages.split_at(sent_max.min(messages.len()));
            let mut results = if sent.is_empty() { Vec::new() } else { self.inner.send(sent).await? };
            results.extend(failed.iter().map(|_| Err(queue_failure())));
            Ok(results)
        };
        self.faults.around("send", queue_failure, work).await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.faults.around("receive", queue_failure, self.inner.receive(max, wait)).await
    }

    fn can_wait(&self) -> bool {
        self.inner.can_wait()
    }

    async fn extend(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        self.faults.around("extend", queue_failure, self.inner.extend(delivery)).await
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<bool, QueueError> {
        self.faults.around("acknowledge", queue_failure, self.inner.acknowledge(delivery)).await
    }

    async fn fail(&self, delivery: &Delivery, reason: &str, delay_s: u32) -> Result<(), QueueError> {
        self.faults.around("fail", queue_failure, self.inner.fail(delivery, reason, delay_s)).await
    }

    async fn release(&self, delivery: &Delivery, delay_s: u32) -> Result<(), QueueError> {
        self.faults.around("release", queue_failure, self.inner.release(delivery, delay_s)).await
    }

    async fn postpone(&self, delivery: &Delivery, delay_s: u32) -> Result<bool, QueueError> {
        self.faults.around("postpone", queue_failure, self.inner.postpone(delivery, delay_s)).await
    }

    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        self.faults.around("bury", queue_failure, self.inner.bury(delivery, reason)).await
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

/// A mailbox in memory.
pub(crate) struct Mailbox {
    pub(crate) faults: Arc<Faults>,
    pub(crate) mails: Mutex<Vec<OutgoingMail>>,
    /// While set, every mail is refused for good with this reason.
    pub(crate) refuse: Mutex<Option<String>>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox")
    }
}

impl Mailbox {
    /// The keys in the invitations to this address, oldest mail first.
    pub(crate) fn keys_to(&self, address: &str) -> Vec<String> {
        let mails = self.mails.lock().unwrap();
        let is_one = |mail: &&OutgoingMail| mail.to == address && mail.message_id.starts_with("invitation-");
        mails.iter().filter(is_one).map(|mail| key_in(&mail.text)).collect()
    }

    /// The message ids of the notices to this address, without what they begin with, oldest mail first.
    pub(crate) fn notices_to(&self, address: &str) -> Vec<String> {
        let mails = self.mails.lock().unwrap();
        let notice = |mail: &OutgoingMail| {
            let rest = mail.message_id.strip_prefix("notice-").filter(|_| mail.to == address)?;
            Some(rest.split_once('-')?.1.to_owned())
        };
        mails.iter().filter_map(notice).collect()
    }
}

/// The key in a mail's text.
pub(crate) fn key_in(text: &str) -> String {
    let is_key = |word: &&str| word.starts_with("pmt_") && word.len() > 40;
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.find(is_key).unwrap_or_else(|| panic!("no key in the mail:\n{text}")).to_owned()
}

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: &OutgoingMail) -> Result<Receipt, MailError> {
        let failure = || MailError::Unavailable {
            class: "an injected fault".to_owned(),
            reason: "an injected fault, said of somebody".to_owned(),
        };
        let take = async {
            if let Some(reason) = self.refuse.lock().unwrap().clone() {
                return Err(MailError::Rejected { class: "550, refused the mail".to_owned(), reason });
            }
            self.mails.lock().unwrap().push(mail.clone());
            Ok(Receipt { reference: "a mailbox".to_owned() })
        };
        self.faults.around("mail", failure, take).await
    }
}
