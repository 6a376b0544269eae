//! Counts the invitations mailed in the last hour, by reading back from the log's end what is not known yet.
//!
//! Guarantees: this process never exceeds the limit, however many commands run at once; others' invitations count from the next look on,
//! which every command takes. So n processes that decide at the same moment exceed it by n - 1 at most.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{id::CommandId, pace, persisted},
    store::{EventLog, StoreError},
};

/// Commits in the first page: usually the others are known.
const FIRST_COMMITS: usize = 32;
/// Commits in each further page.
const PAGE_COMMITS: usize = 256;
/// The overlap of two looks: a commit may be seen late, and have the time of a slower clock.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);

/// The invitations of the last hour.
pub(super) struct Window {
    bound: u32,
    seen: Mutex<MailedInvitations>,
}

#[derive(Default)]
struct MailedInvitations {
    /// The times of the recorded invitations, by their commands.
    at: HashMap<CommandId, Timestamp>,
    /// The newest commit that was read.
    newest: Option<(u64, Timestamp)>,
    /// The commands that this process is about to record, with their number of tries. The log may show a commit before its writer knows
    /// that it was recorded.
    pending: HashMap<CommandId, u32>,
}

/// A place in the hour, held until its invitation was recorded or failed.
pub(super) struct Reserved<'a> {
    window: &'a Window,
    command: CommandId,
}

impl Reserved<'_> {
    /// Records the time of the invitation.
    pub(super) fn recorded(self, at: Timestamp) {
        // Before the place is released, so that one of the two is always counted.
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

    /// Reads the commits since the last look.
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
                // Commits older than an hour and the overlap end the look, but only if the whole page is that old: a single clock may have
                // been wrong for a while.
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

    /// Ends a look, and forgets invitations that no longer count.
    fn close(&self, newest: Option<(u64, Timestamp)>, now: Timestamp) {
        let mut seen = self.lock();
        seen.newest = seen.newest.max(newest);
        seen.at.retain(|_, at| pace::counts(*at, now));
    }

    /// Takes a place in the hour for a command.
    ///
    /// # Errors
    /// Returns how long to wait for a place.
    pub(super) fn reserve(&self, command: &CommandId, now: Timestamp) -> Result<Reserved<'_>, SignedDuration> {
        let mut seen = self.lock();
        let there = seen.at.len() + seen.pending.len();
        if there < usize::try_from(self.bound).unwrap_or(usize::MAX) {
            // There is room, even if all of them still count.
            *seen.pending.entry(command.clone()).or_default() += 1;
            return Ok(Reserved { window: self, command: command.clone() });
        }
        // An earlier try of the same command counts as this one.
        let others = seen.at.iter().filter(|(other, _)| *other != command).map(|(_, at)| *at);
        let pending =
            seen.pending.keys().filter(|other| *other != command && !seen.at.contains_key(other)).map(|_| now);
        if let Some(wait) = pace::wait(others.chain(pending), self.bound, now) {
            return Err(wait);
        }
        *seen.pending.entry(command.clone()).or_default() += 1;
        Ok(Reserved { window: self, command: command.clone() })
    }

    /// The free places by the last look, and how long to wait for one more.
    pub(super) fn room(&self, now: Timestamp) -> (usize, Option<SignedDuration>) {
        let seen = self.lock();
        let pending = seen.pending.keys().filter(|command| !seen.at.contains_key(command)).map(|_| now);
        let counted: Vec<Timestamp> =
            seen.at.values().copied().filter(|at| pace::counts(*at, now)).chain(pending).collect();
        let left = usize::try_from(self.bound).unwrap_or(usize::MAX).saturating_sub(counted.len());
        (left, pace::wait(counted.into_iter(), self.bound, now))
    }

    /// The hour's maximum.
    pub(super) fn bound(&self) -> u32 {
        self.bound
    }
}

/// Whether a mail follows from a commit. An unreadable commit counts as none: its stream's readers report it.
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
        // The look of another command finds the commit.
        window.lock().at.insert(commands[0].clone(), now);
        let second = window.reserve(&commands[1], now).unwrap();
        first.recorded(now);
        let third = window.reserve(&commands[2], now).unwrap();
        assert!(window.reserve(&commands[3], now).is_err());
        // A further try of a pending command takes no place of its own.
        drop(window.reserve(&commands[2], now).unwrap());
        assert!(window.reserve(&commands[3], now).is_err());
        // A command that was not recorded releases its place.
        drop(second);
        window.reserve(&commands[3], now).unwrap().recorded(now);
        third.recorded(now);
        assert_eq!(window.lock().at.len(), 3);
    }
}
