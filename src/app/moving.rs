//! Moves a deployment from a data directory into AWS, or back: its log with the keys of people's data, its server secret, what people have
//! consumed, its records with their past, and what was not yet mailed.
//!
//! Guarantees: the old side is closed before anything of it is read, and stays closed: its mark says where it went. The new side opens as
//! the last but one step, after both were compared. So of the two at most one takes commands at any time. Each step is written down in the
//! old side's mark: a move that was interrupted goes on when it is repeated, and steps that had begun are done again without harm.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    StartError, backend, block_on,
    move_error::MoveError,
    move_sides::{MoveSide, name_of, workspace},
    moved_records::{MovedDataSet, RecordsMoveStep, move_records},
};
use crate::{
    aws::Bridge,
    clock::SharedClock,
    config::{Backend, Settings},
    domain::id::UserId,
    failpoint::crash_point,
    private, replay,
    secrets::Entropy,
    store::{
        DeploymentMark, LogOrder, LogTarget, MoveStep, Moving, Room, StoreError, Stores, UserFilter,
        accounts::PersonAccount,
        dynamodb::{CLOSING_WAIT, records::data_sets_of},
    },
    transfer::{self, LogDigest, Transferred},
};

/// People whose accounts are moved together.
const PEOPLE_PAGE: usize = 256;
/// Accounts that are read at once.
const ACCOUNTS_AT_ONCE: usize = 16;
/// How often is told how long is still to be waited.
const WAIT_TOLD: Duration = Duration::from_secs(1);

/// What to move, and where to.
pub struct MoveOrder<'a> {
    /// The settings, whose backend is the old side.
    pub settings: &'a Settings,
    /// The backend of the new side. Both are named by the same settings.
    pub to: Backend,
    /// The address of the new side, which clients of the old one are told.
    pub address: Option<String>,
    /// Whether no server of the old side runs any more: then a move out of AWS need not wait for them.
    pub servers_stopped: bool,
}

/// What a move is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveReport {
    /// A step begins.
    Step(MoveStep),
    /// So long is waited for servers that have not seen yet that the deployment is closed.
    Waiting(Duration),
    /// So many commits there are, about.
    Total(u64),
    /// So far is a step that reads the log.
    Log(Transferred),
    /// So many people's accounts are done.
    People(u64),
    /// So far are the records.
    Records(RecordsMoveStep),
}

/// Receives what a move is at.
pub type MoveReports<'a> = &'a mut dyn FnMut(MoveReport);

/// What was moved. Numbers are of this run: of one that went on after an interruption they leave out what was done before.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MovedDeployment {
    /// The move's own id.
    pub id: Uuid,
    /// Where to, for people.
    pub to: String,
    /// When the old side was closed.
    pub closed_at: Timestamp,
    /// Streams of the log.
    pub streams: u64,
    /// Commits.
    pub commits: u64,
    /// People with an account in the ledger.
    pub people: u64,
    /// Commits whose messages the new side publishes again.
    pub published_again: u64,
    /// The data sets.
    pub data_sets: Vec<MovedDataSet>,
    /// Whether an interrupted move went on.
    pub resumed: bool,
}

/// A move that may begin, or go on: both sides were looked at, and nothing was changed.
pub struct PreparedMove {
    bridge: Bridge,
    source: MoveSide,
    target: MoveSide,
    clock: SharedClock,
    begun: Option<Moving>,
    /// What the move is, where it has not begun.
    id: Uuid,
    address: Option<String>,
    servers_stopped: bool,
}

/// The settings of the other side.
///
/// # Errors
/// [`MoveError::SameBackend`].
pub fn other_side(settings: &Settings, to: Backend) -> Result<Settings, MoveError> {
    if settings.backend == to {
        return Err(MoveError::SameBackend(named(to)));
    }
    Ok(settings.with_backend(to))
}

fn named(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "sqlite",
        Backend::Aws => "aws",
    }
}

impl PreparedMove {
    /// Opens both sides and sees to it that the move can begin, or go on. Nothing is changed but that a data directory is made for the new
    /// side.
    ///
    /// # Errors
    /// [`MoveError`]: what is in the way.
    pub fn open(order: MoveOrder<'_>, clock: &SharedClock, entropy: &dyn Entropy) -> Result<Self, MoveError> {
        let other = other_side(order.settings, order.to)?;
        let bridge = Bridge::start("move")?;
        let source = MoveSide::source(&bridge, order.settings, clock)?;
        let upkeep = std::sync::Arc::clone(&source.stores.upkeep);
        let begun = match bridge.run(async move { upkeep.mark().await })?? {
            None => None,
            Some(DeploymentMark::Moving(moving)) if moving.to == name_of(&other) => Some(moving),
            Some(DeploymentMark::Moving(moving)) => return Err(MoveError::OtherMove { to: moving.to }),
            Some(DeploymentMark::Moved { to, at, .. }) => return Err(MoveError::MovedBefore { to, at }),
            Some(mark @ DeploymentMark::Filling { .. }) => return Err(StartError::Marked(mark).into()),
        };
        let target = MoveSide::target(&bridge, &other)?;
        let mut random = [0; 10];
        entropy.fill(&mut random)?;
        let millis = u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let (address, servers_stopped) = (order.address, order.servers_stopped);
        let clock = SharedClock::clone(clock);
        let prepared = Self { bridge, source, target, clock, begun, id, address, servers_stopped };
        prepared.check_room()?;
        if prepared.begun.as_ref().is_none_or(|begun| begun.step <= MoveStep::Secret) {
            prepared.check_secret()?;
        }
        Ok(prepared)
    }

    /// Whether an interrupted move goes on: the old side is closed already.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// The old side and the new one, for people.
    pub fn sides(&self) -> (String, String) {
        (self.source.name(), self.target.name())
    }

    fn check_room(&self) -> Result<(), MoveError> {
        let to = self.target.name();
        let step = self.begun.as_ref().map(|begun| begun.step);
        match self.target.stores.transfer.log_target()?.room()? {
            Room::Empty if step.is_none_or(|step| step <= MoveStep::Log) => Ok(()),
            Room::Empty => Err(MoveError::TargetLost { to }),
            Room::Filling { source, .. } if self.begun.as_ref().is_some_and(|begun| begun.id == source) => Ok(()),
            Room::Filling { source, .. } => Err(MoveError::OtherBegan { to, began: source }),
            // It was opened, and then the process died.
            Room::Taken if step == Some(MoveStep::Finish) => Ok(()),
            Room::Taken => Err(MoveError::TargetTaken { to }),
        }
    }

    /// Sees to it before anything is closed that the new side can keep the secret.
    fn check_secret(&self) -> Result<(), MoveError> {
        let [old, new] = [&self.source, &self.target].map(|side| side.settings.clone());
        let is_same = self.bridge.run(async move {
            let Some(kept) = backend::kept_secret(&new).await? else { return Ok(true) };
            Ok::<_, StartError>(backend::kept_secret(&old).await?.is_some_and(|old| old.marks() == kept.marks()))
        })??;
        if is_same { Ok(()) } else { Err(MoveError::OtherSecret { to: self.target.name() }) }
    }

    /// Moves. `relabel` sees to what readers keep of their places in the log.
    ///
    /// # Errors
    /// [`MoveError`]: the old side is closed, and the move can be repeated or given up.
    pub fn run(
        self,
        relabel: &mut dyn FnMut() -> Result<(), String>,
        report: MoveReports<'_>,
    ) -> Result<MovedDeployment, MoveError> {
        let resumed = self.has_begun();
        let begun = match self.begun.clone() {
            Some(begun) => begun,
            None => {
                let (to, at) = (self.target.name(), self.clock.now());
                let begun = Moving { id: self.id, to, at, address: self.address.clone(), step: MoveStep::Quiet };
                self.swap(None, Some(DeploymentMark::Moving(begun.clone())))?;
                begun
            }
        };
        crash_point("move-closed");
        let moved = MovedDeployment {
            id: begun.id,
            to: begun.to.clone(),
            closed_at: begun.at,
            streams: 0,
            commits: 0,
            people: 0,
            published_again: 0,
            data_sets: Vec::new(),
            resumed,
        };
        let mut work = MoveWork { of: &self, moving: begun, moved, digest: None };
        loop {
            let step = work.moving.step;
            report(MoveReport::Step(step));
            let next = match step {
                MoveStep::Quiet => work.quiet(report)?,
                MoveStep::Log => work.log(report)?,
                MoveStep::Secret => work.secret()?,
                MoveStep::Ledger => work.ledger(report)?,
                MoveStep::Views => work.views(report)?,
                MoveStep::Records => work.records(report)?,
                MoveStep::Compare => work.compare(report)?,
                MoveStep::Finish => {
                    relabel().map_err(MoveError::Checkpoints)?;
                    return work.finish();
                }
            };
            work.advance(next)?;
        }
    }

    /// Replaces the old side's mark.
    fn swap(&self, from: Option<DeploymentMark>, to: Option<DeploymentMark>) -> Result<(), MoveError> {
        let upkeep = std::sync::Arc::clone(&self.source.stores.upkeep);
        match self.bridge.run(async move { upkeep.swap_mark(from, to).await })?? {
            true => Ok(()),
            false => Err(MoveError::Interfered),
        }
    }
}

/// Gives a move up: the old side opens again, and is as it was when it was closed. What was written into the new one stays there. Returns
/// where that is, for people.
///
/// # Errors
/// [`MoveError`]: nothing was changed.
pub fn abandon_move(settings: &Settings, clock: &SharedClock) -> Result<String, MoveError> {
    let bridge = Bridge::start("move")?;
    let source = MoveSide::source(&bridge, settings, clock)?;
    let upkeep = std::sync::Arc::clone(&source.stores.upkeep);
    let moving = match bridge.run({
        let upkeep = std::sync::Arc::clone(&upkeep);
        async move { upkeep.mark().await }
    })?? {
        Some(DeploymentMark::Moving(moving)) => moving,
        Some(DeploymentMark::Moved { to, at, .. }) => return Err(MoveError::MovedBefore { to, at }),
        Some(DeploymentMark::Filling { .. }) | None => return Err(MoveError::NotMoving),
    };
    if moving.step == MoveStep::Finish {
        return Err(MoveError::TooLate { to: moving.to });
    }
    let to = moving.to.clone();
    match bridge.run(async move { upkeep.swap_mark(Some(DeploymentMark::Moving(moving)), None).await })?? {
        true => Ok(to),
        false => Err(MoveError::Interfered),
    }
}

/// A move at work.
struct MoveWork<'a> {
    of: &'a PreparedMove,
    moving: Moving,
    moved: MovedDeployment,
    /// What the old side's log is, once it was read.
    digest: Option<LogDigest>,
}

impl MoveWork<'_> {
    /// Writes down that a step is done.
    fn advance(&mut self, next: MoveStep) -> Result<(), MoveError> {
        let after = Moving { step: next, ..self.moving.clone() };
        let [from, to] = [&self.moving, &after].map(|moving| Some(DeploymentMark::Moving(moving.clone())));
        self.of.swap(from, to)?;
        self.moving = after;
        crash_point("move-step");
        Ok(())
    }

    /// Waits until no server writes any more that has not seen yet that the deployment is closed.
    fn quiet(&mut self, report: MoveReports<'_>) -> Result<MoveStep, MoveError> {
        // A data directory's lock says that no server runs, and a command's write meets the mark in its own transaction.
        if self.of.source.settings.backend == Backend::Aws && !self.of.servers_stopped {
            let mut left = CLOSING_WAIT;
            while !left.is_zero() {
                report(MoveReport::Waiting(left));
                let pause = left.min(WAIT_TOLD);
                self.of.bridge.run(tokio::time::sleep(pause))?;
                left = left.saturating_sub(pause);
            }
        }
        Ok(MoveStep::Log)
    }

    fn log(&mut self, report: MoveReports<'_>) -> Result<MoveStep, MoveError> {
        let PreparedMove { bridge, source, target, .. } = self.of;
        report(MoveReport::Total(source.stores.transfer.log_source(LogOrder::Positions)?.commits_total()?));
        let held = source.held_messages(bridge, self.moving.at)?;
        let mut room = target.stores.transfer.log_target()?;
        let after = match room.room()? {
            Room::Filling { commits, .. } => commits,
            Room::Empty | Room::Taken => {
                room.begin(self.moving.id)?;
                0
            }
        };
        let published_again = &mut self.moved.published_again;
        let mut prepare = |commit: &mut _| *published_again += u64::from(held.mark(commit));
        let copied = transfer::copy_log(&*source.stores.transfer, &mut *room, after, &mut prepare, &mut |at| {
            report(MoveReport::Log(at));
        })?;
        self.moved.commits = copied;
        crash_point("move-log-written");
        Ok(MoveStep::Secret)
    }

    fn secret(&mut self) -> Result<MoveStep, MoveError> {
        let [old, new] = [&self.of.source, &self.of.target].map(|side| side.settings.clone());
        self.of.bridge.run(async move {
            let json = backend::secret_json(&old).await?;
            backend::keep_secret(&new, &json).await?;
            match backend::checkpoint_key_json(&old).await? {
                Some(key) => backend::keep_checkpoint_key(&new, &key).await,
                None => Ok(()),
            }
        })??;
        crash_point("move-secret-kept");
        Ok(MoveStep::Ledger)
    }

    fn ledger(&mut self, report: MoveReports<'_>) -> Result<MoveStep, MoveError> {
        let [old, new] = [&self.of.source, &self.of.target].map(|side| side.stores.clone());
        let [uses_of, uses_to] = [old.clone(), new.clone()];
        self.moved.people = each_page(
            &self.of.bridge,
            &old.clone(),
            &mut |people| {
                let (old, new) = (old.clone(), new.clone());
                let moved = self.of.bridge.run(async move {
                    let accounts = accounts(&old, people).await?;
                    let count = accounts.len();
                    new.accounts.put_accounts(accounts).await?;
                    Ok::<_, StoreError>(count)
                })??;
                crash_point("move-ledger-page");
                Ok(moved)
            },
            report,
        )?;
        self.of.bridge.run(async move {
            for (token, at) in uses_of.admin_tokens.uses().await? {
                uses_to.admin_tokens.note_use(token, at).await?;
            }
            Ok::<_, StoreError>(())
        })??;
        Ok(MoveStep::Views)
    }

    fn views(&mut self, report: MoveReports<'_>) -> Result<MoveStep, MoveError> {
        let mut on_log = |at| report(MoveReport::Log(at));
        let digest = self.source_digest(&mut on_log)?;
        let target = &self.of.target.stores;
        let mut room = self.room()?;
        transfer::complete(&mut *room, target, digest.chains.commits, &mut on_log)?;
        crash_point("move-views-made");
        Ok(MoveStep::Records)
    }

    fn records(&mut self, report: MoveReports<'_>) -> Result<MoveStep, MoveError> {
        let (source, target) = (&self.of.source.settings, &self.of.target.settings);
        let workspace = workspace(target);
        private::root(&target.data)?;
        private::directory(&workspace)?;
        let mut on_step = |step| {
            report(MoveReport::Records(step));
            crash_point("move-records-step");
        };
        self.moved.data_sets = block_on(move_records(source, target, &self.of.clock, &workspace, &mut on_step))?;
        let failed = |source| StartError::Io { doing: "cannot remove", path: workspace.clone(), source };
        std::fs::remove_dir_all(&workspace).map_err(failed)?;
        crash_point("move-records-moved");
        Ok(MoveStep::Compare)
    }

    /// Compares both sides. The old one is read again: what slipped into it after it was closed, such as by a server that stood still for
    /// minutes between its decision and its write, is found here.
    fn compare(&mut self, report: MoveReports<'_>) -> Result<MoveStep, MoveError> {
        let mut on_log = |at| report(MoveReport::Log(at));
        self.digest = None;
        let old = self.source_digest(&mut on_log)?;
        let new = transfer::log_digest(&*self.of.target.stores.transfer, &mut on_log)?;
        let told = |digest: &LogDigest| (digest.chains.streams, digest.chains.commits, digest.heads);
        if told(&old) != told(&new) {
            let (old, new) = (old.chains.commits, new.chains.commits);
            return Err(MoveError::Differs(format!("the old log has {old} commits, the new one {new}, or other ones")));
        }
        (self.moved.streams, self.moved.commits) = (old.chains.streams, old.chains.commits);
        let mut space = self.of.target.stores.replay.replay_space()?;
        let mut first = None;
        let mut found = |difference: replay::Difference| {
            first.get_or_insert(difference.row);
        };
        let verified = replay::verify(&mut *space, &mut found, &mut |progress| {
            on_log(Transferred { phase: transfer::TransferPhase::Views, commits: progress.commits });
        })?;
        if verified.differences > 0 {
            return Err(MoveError::Differs(format!("views: {}", first.unwrap_or_default())));
        }
        let (settings, clock) = (&self.of.target.settings, &self.of.clock);
        let lost = block_on(async {
            if settings.backend == Backend::Aws {
                // No copy of the records is made here.
                let data_sets = data_sets_of(&backend::dynamo(settings, None).await?.1).await?;
                return Ok(replay::verify_records(&verified.imports, &data_sets));
            }
            let records = backend::open_records(settings, clock, None).await?;
            records.refresh().await?;
            let lost = replay::verify_records(&verified.imports, &records.data_sets());
            records.close().await?;
            Ok::<_, StartError>(lost)
        })?;
        if let Some((difference, loss)) = lost.into_iter().next() {
            return Err(MoveError::Differs(format!("{}: {loss}", difference.row)));
        }
        self.compare_accounts(report)?;
        crash_point("move-compared");
        Ok(MoveStep::Finish)
    }

    fn compare_accounts(&mut self, report: MoveReports<'_>) -> Result<(), MoveError> {
        let [old, new] = [&self.of.source, &self.of.target].map(|side| side.stores.clone());
        self.moved.people = each_page(
            &self.of.bridge,
            &old.clone(),
            &mut |people| {
                let (old, new) = (old.clone(), new.clone());
                let (count, differs) = self.of.bridge.run(async move {
                    let known = accounts(&old, people).await?;
                    let users = known.iter().map(|account| account.user).collect();
                    let moved: BTreeMap<UserId, PersonAccount> =
                        accounts(&new, users).await?.into_iter().map(|account| (account.user, account)).collect();
                    let is_same = |account: &PersonAccount| {
                        let spent = |account: &PersonAccount| (account.row, account.days.clone());
                        moved.get(&account.user).is_some_and(|moved| spent(moved) == spent(account))
                    };
                    Ok::<_, StoreError>((
                        known.len(),
                        known.iter().find(|account| !is_same(account)).map(|one| one.user),
                    ))
                })??;
                match differs {
                    Some(user) => Err(MoveError::Differs(format!("the consumption of the person {user}"))),
                    None => Ok(count),
                }
            },
            report,
        )?;
        Ok(())
    }

    fn finish(self) -> Result<MovedDeployment, MoveError> {
        let target = &self.of.target.stores;
        let mut room = target.transfer.log_target()?;
        if matches!(room.room()?, Room::Filling { .. }) {
            crash_point("move-before-open");
            room.finish()?;
        }
        crash_point("move-opened");
        let Moving { to, at, address, .. } = self.moving.clone();
        let moved = DeploymentMark::Moved { to, at, address };
        self.of.swap(Some(DeploymentMark::Moving(self.moving)), Some(moved))?;
        drop(room);
        for side in [&self.of.source, &self.of.target] {
            let upkeep = std::sync::Arc::clone(&side.stores.upkeep);
            if let Err(error) = self.of.bridge.run(async move { upkeep.close().await })? {
                tracing::debug!(%error, "the database was not closed in order; nothing is lost");
            }
        }
        Ok(self.moved)
    }

    /// The target, which knows how far it was filled.
    fn room(&self) -> Result<Box<dyn LogTarget>, MoveError> {
        let mut room = self.of.target.stores.transfer.log_target()?;
        match room.room()? {
            Room::Filling { .. } => Ok(room),
            Room::Empty | Room::Taken => Err(MoveError::TargetLost { to: self.of.target.name() }),
        }
    }

    fn source_digest(&mut self, report: transfer::TransferReport<'_>) -> Result<LogDigest, MoveError> {
        if let Some(digest) = self.digest {
            return Ok(digest);
        }
        let digest = transfer::log_digest(&*self.of.source.stores.transfer, report)?;
        self.digest = Some(digest);
        Ok(digest)
    }
}

/// Calls `work` with all people, a page at a time; the sum of what it counts.
fn each_page(
    bridge: &Bridge,
    stores: &Stores,
    work: &mut dyn FnMut(Vec<UserId>) -> Result<usize, MoveError>,
    report: MoveReports<'_>,
) -> Result<u64, MoveError> {
    let (mut after, mut done) = (None, 0_u64);
    loop {
        let views = std::sync::Arc::clone(&stores.views);
        let filter = UserFilter { after, limit: PEOPLE_PAGE, ..UserFilter::default() };
        let people: Vec<UserId> =
            bridge.run(async move { views.users(filter).await })??.into_iter().map(|row| row.id).collect();
        let Some(last) = people.last() else { return Ok(done) };
        after = Some(*last);
        done = done.saturating_add(u64::try_from(work(people)?).unwrap_or(0));
        report(MoveReport::People(done));
    }
}

/// The accounts of these people that are not empty.
async fn accounts(stores: &Stores, people: Vec<UserId>) -> Result<Vec<PersonAccount>, StoreError> {
    let read = stream::iter(people.into_iter().map(|user| stores.accounts.account(user))).buffered(ACCOUNTS_AT_ONCE);
    read.try_filter(|account| std::future::ready(!account.is_empty())).try_collect().await
}
