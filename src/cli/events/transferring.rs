//! How far an export or an import is, on a terminal.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;

use crate::{
    app::StartError,
    cli::{Failure, output::grouped, progress},
    transfer::{TransferPhase, Transferred},
};

/// Shows how far a transfer is.
pub(super) struct TransferBar {
    bar: ProgressBar,
    began: Instant,
    phase: Cell<Option<(TransferPhase, Instant)>>,
    commits: Cell<Option<u64>>,
}

impl TransferBar {
    pub(super) fn new() -> Self {
        let bar = progress::spinner("{spinner} {msg}");
        Self { bar, began: Instant::now(), phase: Cell::new(None), commits: Cell::new(None) }
    }

    /// From now on so many commits are expected.
    pub(super) fn expect(&self, commits: u64) {
        self.commits.set(Some(commits));
    }

    pub(super) fn show(&self, Transferred { phase, commits }: Transferred) {
        let since = match self.phase.get() {
            Some((shown, since)) if shown == phase => since,
            _ => {
                let now = Instant::now();
                self.phase.set(Some((phase, now)));
                now
            }
        };
        let what = match phase {
            TransferPhase::Check => "checking the file",
            TransferPhase::Log => "the log",
            TransferPhase::Verify => "verifying",
            TransferPhase::Views => "making the views",
        };
        let of = self.commits.get().map(|total| format!(" of {}", grouped(total))).unwrap_or_default();
        let micros = since.elapsed().as_micros().max(1);
        let rate = u64::try_from(u128::from(commits) * 1_000_000 / micros).unwrap_or(u64::MAX);
        self.bar.set_message(format!("{what}: {}{of} commits, {}/s", grouped(commits), grouped(rate)));
    }

    /// Takes the bar away. Gives back what was done, and how long it took.
    pub(super) fn end<T>(self, done: Result<T, StartError>) -> Result<(T, Duration), Failure> {
        let took = self.began.elapsed();
        progress::finish(&self.bar);
        Ok((done?, took))
    }
}
