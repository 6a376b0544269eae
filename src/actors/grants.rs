//! The grants of this node, shared by its gates: a node has one grant per person, however many workers it has and however many keys the
//! person uses.
//!
//! Guarantees: a request is admitted only by a grant that the ledger has counted in advance, and by a key that the ledger confirmed; both
//! are trusted for a grant's life at most, by the monotonic clock from before the ledger was asked. Returned tokens are kept until the
//! ledger confirms them, and are returned once.

mod cell;
mod failing;
mod pass;
mod settle;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

pub use self::pass::{Admission, Pass};
use self::{
    cell::{CellState, KeyCell, KeyState, PersonCell, lock},
    failing::Failing,
};
use super::{counting::counters, notices::Notices, session_uses::SessionUses};
use crate::{
    clock::SharedClock,
    domain::{
        admission::{self, GrantHolder, KeyStanding, KeyUse, Return, Verdict},
        bounds::names_dataset,
        credential::Credential,
        id::UserId,
        key::{KeyHash, KeyId},
        notice,
        reach::{KeyPurpose, KeyReach, OutOfReach},
    },
    secrets::Secrets,
    store::{GrantRequest, Granted, KeyTerms, Ledger, Quarantines, SERIALS_PER_REQUEST, StoreError},
};

/// The number of shards, each with a lock, for keys and for people.
const SHARDS: usize = 32;
/// Keys or people in a shard above which unused ones are removed and their grants returned.
const SHARD_CELLS_MAX: usize = 4096;
/// The status of a request outside its key's scopes.
const FORBIDDEN: u16 = 403;
/// The status of a request above a limit.
const TOO_MANY_REQUESTS: u16 = 429;
/// How long a person's last grant and uncounted requests wait for the next request before they are settled without one.
const SETTLES_AFTER_US: i64 = 60_000_000;
/// How often one request may take another grant because the last one was spent.
const RENEWALS_MAX: u32 = 8;

/// The greatest node number: an integer in every store.
const NODE_MAX: u64 = (1 << 62) - 1;

counters! {
    /// The counters of the grants.
    GrantCounters read as GrantCounts {
        /// Requests admitted.
        admitted,
        /// Requests refused by a limit.
        limited,
        /// Requests refused because their key may not be used for them.
        out_of_reach,
        /// Requests refused because their key does not work.
        unknown,
        /// Grants taken from the ledger.
        taken,
        /// Times that the ledger could not be reached.
        failed,
    }
}

/// All grants of a node.
pub struct GrantBook {
    /// The number of this node in the ledger.
    node: u64,
    serials: AtomicU64,
    ledger: Arc<dyn Ledger>,
    clock: SharedClock,
    secrets: Secrets,
    life_us: i64,
    keys: Shards<KeyId, KeyCell>,
    people: Shards<UserId, PersonCell>,
    counters: GrantCounters,
    failing: Mutex<Failing>,
    /// Tells people how much of their quota is used.
    notices: Option<Notices>,
    /// Records the use of sessions.
    sessions: Option<SessionUses>,
    /// Background writes that requests have started.
    writing_down: TaskTracker,
    /// Whether administrators need a second factor.
    demands_factor: bool,
    /// The streams in quarantine.
    quarantines: Option<Quarantines>,
}

type Shards<K, C> = [Mutex<HashMap<K, Arc<C>>>; SHARDS];

/// What the node must ask the ledger for.
enum Lacking {
    /// Whether the key works.
    Terms,
    /// A grant.
    Grant,
}

fn shard(id: &[u8]) -> usize {
    id.iter().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % SHARDS
}

impl GrantBook {
    /// An empty book with this life of grants.
    pub fn new(ledger: Arc<dyn Ledger>, clock: SharedClock, secrets: Secrets, life: Duration) -> Self {
        Self {
            // The number need not be secret, but must differ between nodes.
            node: RandomState::new().hash_one(clock.now().as_nanosecond()) & NODE_MAX,
            serials: AtomicU64::new(SERIALS_PER_REQUEST),
            ledger,
            clock,
            secrets,
            life_us: i64::try_from(life.as_micros()).unwrap_or(i64::MAX),
            keys: std::array::from_fn(|_| Mutex::default()),
            people: std::array::from_fn(|_| Mutex::default()),
            counters: GrantCounters::default(),
            failing: Mutex::default(),
            notices: None,
            sessions: None,
            writing_down: TaskTracker::new(),
            demands_factor: false,
            quarantines: None,
        }
    }

    /// The same, but records the use of sessions, if `sessions` are given. If `demands_factor` is set, administrators can read only with
    /// sessions that began with a second factor.
    #[must_use]
    pub fn with_sessions(self, sessions: Option<SessionUses>, demands_factor: bool) -> Self {
        Self { sessions, demands_factor, ..self }
    }

    /// The same, but people are told how much of a day's quota is used.
    #[must_use]
    pub fn telling(self, notices: Option<Notices>) -> Self {
        Self { notices, ..self }
    }

    /// The same, but people whose streams are in quarantine are refused: nobody knows whether their keys still work.
    #[must_use]
    pub fn refusing(self, quarantines: Quarantines) -> Self {
        Self { quarantines: Some(quarantines), ..self }
    }

    /// Why the ledger has refused the last grants in a row, if that was lately; `None` once it answered.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.failing).trouble(self.clock.monotonic_us())
    }

    /// The present counts.
    pub fn counts(&self) -> GrantCounts {
        self.counters.read()
    }

    /// Decides a request of this cost, capped at the size of the person's bucket, from what the node holds; `None` when the ledger must be
    /// asked ([`Self::admit`] does).
    pub fn admit_now(&self, shown: &Credential, cost: u64, what: &KeyPurpose<'_>) -> Option<Admission> {
        let cell = lock(self.keys_beside(shown.id)?).get(&shown.id).cloned();
        match cell.map_or(Err(Lacking::Terms), |cell| self.decide(shown, cost, what, &cell)) {
            Ok(admission) => Some(self.count(admission)),
            // A node whose secret is no longer the deployment's cannot detect forged keys: it asks the ledger.
            Err(Lacking::Terms) if !self.secrets.recognises_credential(shown) && self.secrets.doubted().is_none() => {
                Some(self.count(Admission::Unknown))
            }
            Err(_) => None,
        }
    }

    /// Decides a request of this cost, all or nothing. Asks the ledger whether the key works, and for a grant when the node's is spent or
    /// has ended.
    ///
    /// # Errors
    /// When the ledger cannot be reached: the request must not pass.
    pub async fn admit(&self, shown: &Credential, cost: u64, what: &KeyPurpose<'_>) -> Result<Admission, StoreError> {
        for _ in 0..RENEWALS_MAX {
            if let Some(admission) = self.admit_now(shown, cost, what) {
                return Ok(admission);
            }
            self.ask(shown, cost, what).await?;
        }
        Err(StoreError::Unavailable("the person's grant is spent faster than it can be renewed".to_owned()))
    }

    /// Decides a request, and counts it if it passes.
    fn decide(
        &self,
        shown: &Credential,
        cost: u64,
        what: &KeyPurpose<'_>,
        cell: &KeyCell,
    ) -> Result<Admission, Lacking> {
        let id = shown.id;
        let now_us = self.clock.monotonic_us();
        let held = lock(&cell.held);
        let (person, reach) = match &*held {
            KeyState::Works { hash, .. } if *hash != shown.hash => return Ok(Admission::Unknown),
            KeyState::Works { person, reach, until_us, .. } if now_us < *until_us => (person, reach),
            // The ledger refused the id: whether the shown secret is right must still be checked.
            KeyState::Refused { until_us } if now_us < *until_us => {
                let was_right = self.secrets.recognises_credential(shown);
                return Ok(if was_right { Admission::Ended } else { Admission::Unknown });
            }
            KeyState::Unchecked | KeyState::Works { .. } | KeyState::Refused { .. } => return Err(Lacking::Terms),
        };
        if let Some(why) = reach.refusal(what) {
            return Ok(self.out_of_reach(why, id, what, person));
        }
        let mut spent = lock(&person.held);
        let CellState::Granted { grant, datasets, taken_wall_ns, taken_us, expires_us, .. } = &mut *spent else {
            return Err(Lacking::Grant);
        };
        if now_us >= *expires_us {
            return Err(Lacking::Grant);
        }
        if what.dataset.is_some_and(|name| !names_dataset(datasets.as_deref(), name)) {
            return Ok(self.out_of_reach(OutOfReach::Plan, id, what, person));
        }
        let now_ns = taken_wall_ns.saturating_add((now_us - *taken_us).saturating_mul(1000));
        let cost = grant.capped(cost);
        match grant.admit_as(now_ns, cost) {
            Verdict::Renew => Err(Lacking::Grant),
            Verdict::Admit => Ok(Admission::Admitted(Pass {
                standing: grant.standing(now_ns),
                user: person.user,
                key: id,
                day: grant.day(),
                cost,
                slot: grant.last_slot(cost),
                serial: grant.holder().serial,
                admitted_us: (now_us, now_ns / 1000),
                reach: Arc::clone(reach),
                datasets: datasets.clone(),
                cell: Arc::clone(person),
            })),
            Verdict::Refuse { rate, quota, retry_after_ns } => {
                person.count(now_us, |tally| tally.count(grant.day(), id, "", TOO_MANY_REQUESTS, (1, 0)));
                Ok(Admission::Limited { rate, quota, retry_after_ns, standing: grant.standing(now_ns) })
            }
        }
    }

    /// Counts a request outside its key's scopes: as refused, and against no limit.
    fn out_of_reach(&self, why: OutOfReach, id: KeyId, what: &KeyPurpose<'_>, person: &PersonCell) -> Admission {
        let day = admission::day_of(self.clock.now().as_microsecond().saturating_mul(1000));
        let dataset = what.dataset.unwrap_or_default();
        person.count(self.clock.monotonic_us(), |tally| tally.count(day, id, dataset, FORBIDDEN, (1, 0)));
        Admission::OutOfReach(why)
    }

    fn count(&self, admission: Admission) -> Admission {
        let counter = match &admission {
            Admission::Admitted(_) => &self.counters.admitted,
            Admission::Limited { .. } => &self.counters.limited,
            Admission::OutOfReach(_) => &self.counters.out_of_reach,
            Admission::Ended | Admission::Unknown => &self.counters.unknown,
        };
        counter.add(1);
        admission
    }

    /// Asks the ledger for what the node lacks: the key's terms, then a grant of its owner unless there is one. Both are trusted for a
    /// grant's life from now. Of several requests that lack the same, one asks and the others wait.
    async fn ask(&self, shown: &Credential, need: u64, what: &KeyPurpose<'_>) -> Result<(), StoreError> {
        let Credential { id, hash: presented, .. } = *shown;
        let cell = self.key_cell(id);
        let _only_one = cell.taking.lock().await;
        if self.has(&presented, need, what, &cell) {
            return Ok(());
        }
        let (asked_us, wall_us) = (self.clock.monotonic_us(), self.clock.now().as_microsecond());
        let wall_ns = wall_us.saturating_mul(1000);
        let until_us = asked_us.saturating_add(self.life_us);
        let terms = self.ledger.terms(id, wall_ns).await.inspect_err(|error| self.note_failure(error))?;
        let Ok(KeyTerms { user, hash, valid_until, mut reach, plan, see_at, lacks_factor }) = terms else {
            *lock(&cell.held) = KeyState::Refused { until_us };
            return Ok(());
        };
        if let Some(quarantines) = &self.quarantines {
            let quarantined = quarantines.recent(asked_us).await.inspect_err(|error| self.note_failure(error))?;
            if quarantined.holds_user(user) {
                *lock(&cell.held) = KeyState::Refused { until_us };
                return Ok(());
            }
        }
        if lacks_factor && self.demands_factor {
            reach = Arc::new(KeyReach::without_factor());
        }
        let person = self.person_cell(user).await;
        let left_us = valid_until.map_or(i64::MAX, |until| until.as_microsecond().saturating_sub(wall_us));
        let works = KeyState::Works {
            person: Arc::clone(&person),
            hash,
            reach: Arc::clone(&reach),
            until_us: until_us.min(asked_us.saturating_add(left_us)),
        };
        *lock(&cell.held) = works;
        if hash == presented && reach.refusal(what).is_none() {
            if let Some(sessions) =
                self.sessions.as_ref().filter(|_| see_at.is_some_and(|at| at.as_microsecond() <= wall_us))
            {
                let sessions = sessions.clone();
                self.write_down(async move { sessions.note_in_passing(user, id).await });
            }
            let used = KeyUse { key: id, at_us: wall_us, from: what.from };
            self.take(&person, plan, need, (asked_us, wall_ns), used).await?;
        }
        Ok(())
    }

    /// Takes a grant from the ledger and returns the rest of the last one. The grant's life begins at `asked`, the moment by the monotonic
    /// and the wall clock.
    async fn take(
        &self,
        person: &Arc<PersonCell>,
        plan: Arc<str>,
        need: u64,
        asked: (i64, i64),
        used: KeyUse,
    ) -> Result<(), StoreError> {
        let _only_one = person.taking.lock().await;
        let serial = self.serials.fetch_add(SERIALS_PER_REQUEST, Ordering::Relaxed);
        let (returned, want, unanswered_from, tally) = {
            let mut held = lock(&person.held);
            if self.is_enough(need, &held) {
                // A request with another key took a grant while this one waited.
                return Ok(());
            }
            let ended = self.end(&mut held);
            // The caller may stop waiting at any time: until the ledger answers, this request counts as unanswered.
            let unanswered_from = Some(ended.2.unwrap_or(serial));
            *held = CellState::Nothing { want: ended.1, owed: ended.0, unanswered_from };
            // From here on only this request reports the tally.
            (ended.0, ended.1, ended.2, lock(&person.counted).next())
        };
        let (taken_us, now_ns) = asked;
        let life_ns = self.life_us.saturating_mul(1000);
        let holder = GrantHolder { node: self.node, serial };
        let user = person.user;
        let used = Some(used);
        let request =
            GrantRequest { user, plan, now_ns, life_ns, want, need, holder, unanswered_from, returned, tally, used };
        let granted = self.ledger.grant(request).await.inspect_err(|error| self.note_failure(error))?;
        *lock(&self.failing) = Failing::default();
        self.counters.taken.add(1);
        let Granted { grant, limits_age_ns, datasets, tallied } = granted;
        if tallied {
            lock(&person.counted).was_told(taken_us);
        }
        let expires_us = taken_us.saturating_add(self.life_us).saturating_sub(limits_age_ns / 1000);
        let mut held = lock(&person.held);
        let grant = person.with_late(grant);
        self.tell_of_quota(person, &grant.standing(now_ns), grant.day());
        if grant.left() > 0 {
            self.tell_of_use(person);
        }
        *held = CellState::Granted { grant, datasets, want, taken_wall_ns: now_ns, taken_us, expires_us };
        Ok(())
    }

    /// Notifies a person once a share of the day's quota is used. If writing the notice fails, the next grant tries again.
    fn tell_of_quota(&self, person: &Arc<PersonCell>, standing: &KeyStanding, day: i64) {
        let Some(notices) = &self.notices else { return };
        let Some(percent) = notice::quota_share(standing.bucket.quota, standing.quota_left) else { return };
        let before = {
            let mut told = lock(&person.told);
            if *told >= (day, percent) {
                return;
            }
            std::mem::replace(&mut *told, (day, percent))
        };
        let (notices, person) = (notices.clone(), Arc::clone(person));
        self.write_down(async move {
            if let Err(error) = notices.quota_reached(person.user, day, percent).await {
                tracing::warn!(user = %person.user, %error, "it could not be written down how much of a quota is spent");
                *lock(&person.told) = before;
            }
        });
    }

    /// Records that a person makes requests: once as long as the node remembers the person. If writing fails, the next grant tries again.
    fn tell_of_use(&self, person: &Arc<PersonCell>) {
        let Some(notices) = &self.notices else { return };
        if person.used.swap(true, Ordering::Relaxed) {
            return;
        }
        let (notices, person) = (notices.clone(), Arc::clone(person));
        self.write_down(async move {
            if let Err(error) = notices.has_made_requests(person.user).await {
                tracing::warn!(user = %person.user, %error, "it could not be written down that a person has made requests");
                person.used.store(false, Ordering::Relaxed);
            }
        });
    }

    /// Runs this while the request goes on; its log lines belong to the request.
    fn write_down(&self, work: impl Future<Output = ()> + 'static) {
        actix::spawn(self.writing_down.track_future(work.instrument(Span::current())));
    }

    /// Waits for all background writes that requests have started: first requests, shares of quotas, uses of sessions.
    pub async fn has_written_down(&self) {
        self.writing_down.close();
        self.writing_down.wait().await;
    }

    fn note_failure(&self, error: &StoreError) {
        self.counters.failed.add(1);
        lock(&self.failing).note(error, self.clock.monotonic_us());
    }

    /// Whether the node can decide this request without the ledger. Does not count it.
    fn has(&self, presented: &KeyHash, cost: u64, what: &KeyPurpose<'_>, cell: &KeyCell) -> bool {
        let now_us = self.clock.monotonic_us();
        match &*lock(&cell.held) {
            KeyState::Works { hash, .. } if hash != presented => true,
            KeyState::Works { person, reach, until_us, .. } => {
                now_us < *until_us && (reach.refusal(what).is_some() || self.is_enough(cost, &lock(&person.held)))
            }
            KeyState::Refused { until_us } => now_us < *until_us,
            KeyState::Unchecked => false,
        }
    }

    /// Whether the held grant can decide a request of this cost.
    fn is_enough(&self, cost: u64, held: &CellState) -> bool {
        let now_us = self.clock.monotonic_us();
        match held {
            CellState::Granted { grant, taken_wall_ns, taken_us, expires_us, .. } if now_us < *expires_us => {
                let now_ns = taken_wall_ns.saturating_add((now_us - *taken_us).saturating_mul(1000));
                let mut grant = *grant;
                grant.admit_as(now_ns, grant.capped(cost)) != Verdict::Renew
            }
            CellState::Granted { .. } | CellState::Nothing { .. } => false,
        }
    }

    /// Ends the grant in a cell, so that nobody spends it any more. Returns the tokens to return, the number to ask for next, and the
    /// serial since which the ledger has not answered.
    fn end(&self, held: &mut CellState) -> (Option<Return>, u64, Option<u64>) {
        let ended = match held {
            CellState::Granted { grant, want, expires_us, .. } => {
                let ran_out = self.clock.monotonic_us() < *expires_us;
                let returned = grant.into_return();
                let next = admission::next_want(*want, want.saturating_sub(returned.unspent), ran_out);
                (Some(returned), next, None)
            }
            CellState::Nothing { want, owed, unanswered_from } => (*owed, *want, *unanswered_from),
        };
        *held = CellState::Nothing { want: ended.1, owed: ended.0, unanswered_from: ended.2 };
        ended
    }

    fn keys_beside(&self, id: KeyId) -> Option<&Mutex<HashMap<KeyId, Arc<KeyCell>>>> {
        self.keys.get(shard(id.as_str().as_bytes()))
    }

    fn people_beside(&self, user: UserId) -> Option<&Mutex<HashMap<UserId, Arc<PersonCell>>>> {
        self.people.get(shard(user.0.as_bytes()))
    }

    /// The key's cell. A full shard drops cells for which the ledger would be asked anyway.
    fn key_cell(&self, id: KeyId) -> Arc<KeyCell> {
        let Some(shard) = self.keys_beside(id) else { return Arc::default() };
        let mut cells = lock(shard);
        if cells.len() >= SHARD_CELLS_MAX {
            let now_us = self.clock.monotonic_us();
            let is_known = |cell: &KeyCell| match *lock(&cell.held) {
                KeyState::Works { until_us, .. } | KeyState::Refused { until_us } => now_us < until_us,
                KeyState::Unchecked => false,
            };
            cells.retain(|_, cell| Arc::strong_count(cell) > 1 || is_known(cell));
        }
        Arc::clone(cells.entry(id).or_default())
    }

    async fn person_cell(&self, user: UserId) -> Arc<PersonCell> {
        let fresh = || Arc::new(PersonCell::new(user));
        let Some(shard) = self.people_beside(user) else { return fresh() };
        let (cell, ended) = {
            let mut cells = lock(shard);
            let ended = if cells.len() >= SHARD_CELLS_MAX { self.ended(&mut cells) } else { Vec::new() };
            (Arc::clone(cells.entry(user).or_insert_with(fresh)), ended)
        };
        if !ended.is_empty()
            && let Err(error) = self.give_back(&ended).await
        {
            // These grants are kept, and returned with the next new person.
            tracing::warn!(%error, "grants that have ended could not be given back");
        }
        cell
    }

    /// The people of a shard whose grant has ended and who are in no request. Removes those with nothing left to settle.
    fn ended(&self, cells: &mut HashMap<UserId, Arc<PersonCell>>) -> Vec<Arc<PersonCell>> {
        let now_us = self.clock.monotonic_us();
        let today = admission::day_of(self.clock.now().as_microsecond().saturating_mul(1000));
        let mut ended = Vec::new();
        cells.retain(|_, cell| {
            let mut held = lock(&cell.held);
            let has_ended = match &*held {
                CellState::Nothing { .. } => true,
                CellState::Granted { expires_us, .. } => now_us >= *expires_us,
            };
            // The cells of keys in use hold a reference to their owner's cell.
            if !has_ended || Arc::strong_count(cell) > 1 {
                return true;
            }
            // No grant takes late refunds of a past day any more.
            let is_late = lock(&cell.late).is_some_and(|(day, _)| day >= today);
            let is_settled = self.end(&mut held).0.is_none() && !is_late && lock(&cell.counted).since_us.is_none();
            if !is_settled {
                ended.push(Arc::clone(cell));
            }
            !is_settled
        });
        ended
    }
}
