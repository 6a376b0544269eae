//! How many invitations were mailed in the last hour, as the log says: read back from its end, as far as it is not known yet.
//!
//! Guarantees: this process never passes the bound, however many commands it works on at once; what others write counts from
//! the next look on, which every command takes. So n processes that decide at the same moment pass it by n - 1 at most.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{id::CommandId, pace, persisted},
    store::{EventLog, StoreError},
};

/// Commits that are read first: as a rule the others are known.
const FIRST_COMMITS: usize = 32;
/// Commits that are read at once thereafter.
const PAGE_COMMITS: usize = 256;
/// How far before the last look the next one goes: a commit may be seen late, and bear the time of a slower clock.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);

/// The invitations of the last hour.
pub(super) struct Window {
    bound: u32,
    seen: Mutex<MailedInvitations>,
}

#[derive(Default)]
struct MailedInvitations {
    /// When each was recorded, by its command.
    at: HashMap<CommandId, Timestamp>,
    /// The newest commit that was looked at.
    newest: Option<(u64, Timestamp)>,
    /// Those that this process is about to record, and how many tries at each. The log may show one before its writer hears that
    /// it was recorded.
    pending: HashMap<CommandId, u32>,
}

/// A place in the hour, kept until its invitation was recorded or not.
pub(super) struct Reserved<'a> {
    window: &'a Window,
    command: CommandId,
}

impl Reserved<'_> {
    /// The invitation was recorded.
    pub(super) fn recorded(self, at: Timestamp) {
        // Before the place is given back, so that nobody sees neither.
        self.window.lock().at.insert(self.command.clone(), at);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut seen = self.window.lock();
        if let Some(tries) = seen.pending.get_mut(&self.command) {
            *tries = tries.saturating_sub(1);
            if *tries == 0 {
                seen.pending.remove(&self.command);
            }
        }
    }
}

impl Window {
    pub(super) fn new(bound: u32) -> Self {
        Self { bound, seen: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, MailedInvitations> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what was recorded since the last look.
    pub(super) async fn look(&self, log: &dyn EventLog, now: Timestamp) -> Result<(), StoreError> {
        let known = self.lock().newest;
        let (mut before, mut newest, mut page) = (None, None, FIRST_COMMITS);
        loop {
            let commits = log.read_back(before, page).await?;
            let mut all_are_over = true;
            for commit in &commits {
                newest.get_or_insert((commit.position, commit.recorded_at));
                let is_known = known.is_some_and(|(position, at)| {
                    commit.position <= position && at.duration_since(commit.recorded_at) > OVERLAP
                });
                if is_known {
                    self.close(newest, now);
                    return Ok(());
                }
                // What is older than an hour is behind what counts, but for the overlap of clocks. One alone says little: a clock
                // may have been wrong for a while.
                all_are_over &= now.duration_since(commit.recorded_at) > pace::HOUR + OVERLAP;
                if invites(commit) {
                    self.lock().at.insert(commit.command.clone(), commit.recorded_at);
                }
            }
            before = commits.last().map(|commit| commit.position);
            if commits.len() < page || all_are_over {
                self.close(newest, now);
                return Ok(());
            }
            page = PAGE_COMMITS;
        }
    }

    /// Ends a look: what does not count any more is forgotten.
    fn close(&self, newest: Option<(u64, Timestamp)>, now: Timestamp) {
        let mut seen = self.lock();
        seen.newest = seen.newest.max(newest);
        seen.at.retain(|_, at| pace::counts(*at, now));
    }

    /// Takes a place in the hour for a command.
    ///
    /// # Errors
    /// How long to wait for one.
    pub(super) fn reserve(&self, command: &CommandId, now: Timestamp) -> Result<Reserved<'_>, SignedDuration> {
        let mut seen = self.lock();
        let there = seen.at.len() + seen.pending.len();
        if there < usize::try_from(self.bound).unwrap_or(usize::MAX) {
            // There is room, whatever of it counts still.
            *seen.pending.entry(command.clone()).or_default() += 1;
            return Ok(Reserved { window: self, command: command.clone() });
        }
        // An earlier try of the same command takes the place that this one would.
        let others = seen.at.iter().filter(|(other, _)| *other != command).map(|(_, at)| *at);
        let pending =
            seen.pending.keys().filter(|other| *other != command && !seen.at.contains_key(other)).map(|_| now);
        if let Some(wait) = pace::wait(others.chain(pending), self.bound, now) {
            return Err(wait);
        }
        *seen.pending.entry(command.clone()).or_default() += 1;
        Ok(Reserved { window: self, command: command.clone() })
    }

    /// How many places are left, as far as was looked, and how long to wait for one more than those.
    pub(super) fn room(&self, now: Timestamp) -> (usize, Option<SignedDuration>) {
        let seen = self.lock();
        let pending = seen.pending.keys().filter(|command| !seen.at.contains_key(command)).map(|_| now);
        let counted: Vec<Timestamp> =
            seen.at.values().copied().filter(|at| pace::counts(*at, now)).chain(pending).collect();
        let left = usize::try_from(self.bound).unwrap_or(usize::MAX).saturating_sub(counted.len());
        (left, pace::wait(counted.into_iter(), self.bound, now))
    }

    /// The most of an hour.
    pub(super) fn bound(&self) -> u32 {
        self.bound
    }
}

/// Whether a mail follows from a commit. One that cannot be read says so to whoever reads its stream; it stops no others.
fn invites(commit: &persisted::StoredCommit) -> bool {
    let names = persisted::type_names(commit).unwrap_or_default();
    names.iter().any(|name| matches!(name.as_str(), "UserInvited" | "InvitationResent"))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_invitation_that_the_log_shows_before_its_writer_hears_of_it_takes_one_place() {
        let (window, now) = (Window::new(3), Timestamp::UNIX_EPOCH);
        let commands: Vec<CommandId> = (0..4).map(|n| CommandId::unique(Uuid::from_u128(n))).collect();
        let first = window.reserve(&commands[0], now).unwrap();
        // Another command's look finds the commit.
        window.lock().at.insert(commands[0].clone(), now);
        let second = window.reserve(&commands[1], now).unwrap();
        first.recorded(now);
        let third = window.reserve(&commands[2], now).unwrap();
        assert!(window.reserve(&commands[3], now).is_err());
        // Another try of one that is under way takes no place of its own.
        drop(window.reserve(&commands[2], now).unwrap());
        assert!(window.reserve(&commands[3], now).is_err());
        // What was not recorded gives its place back.
        drop(second);
        window.reserve(&commands[3], now).unwrap().recorded(now);
        third.recorded(now);
        assert_eq!(window.lock().at.len(), 3);
    }
}
