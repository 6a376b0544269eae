//! Verifies the chains of a log: each commit's hash follows from its content and the commit before it, and no version is missing.

use std::collections::{BTreeMap, BTreeSet};

use super::{BrokenChain, TransferError, TransferPhase, TransferReport, Transferred};
use crate::{
    domain::{chain::ChainHash, id::StreamId, persisted::StoredCommit},
    store::LogSource,
};

/// What was verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ChainCount {
    /// Streams.
    pub streams: u64,
    /// Commits in them.
    pub commits: u64,
    /// Commits without a hash, from before streams were chained.
    pub unchained: u64,
}

/// A stream whose commits are being read.
struct OpenStream {
    stream: StreamId,
    version: u64,
    head: ChainHash,
}

/// Verifies every stream of a log that is read by streams. Gives each commit with the hash of its stream up to and with it to `seen`, each break to
/// `broken`: of a stream only the first.
///
/// # Errors
/// When the log cannot be read.
pub fn verify_chains(
    source: &mut dyn LogSource,
    report: TransferReport<'_>,
    seen: &mut dyn FnMut(&StoredCommit, ChainHash),
    broken: &mut dyn FnMut(BrokenChain),
) -> Result<ChainCount, TransferError> {
    let mut count = ChainCount::default();
    let mut open: BTreeMap<usize, OpenStream> = BTreeMap::new();
    let mut broken_in: BTreeMap<usize, StreamId> = BTreeMap::new();
    loop {
        let chunk = source.next()?;
        if chunk.commits.is_empty() {
            break;
        }
        for commit in &chunk.commits {
            count.commits += 1;
            count.unchained += u64::from(commit.hash.is_none());
            let lane = open.entry(chunk.lane).or_insert_with(|| begin(commit, &mut count));
            if lane.stream != commit.stream {
                *lane = begin(commit, &mut count);
            }
            let followed = lane.follow(commit);
            seen(commit, lane.head);
            if let Err(error) = followed
                && broken_in.get(&chunk.lane) != Some(&commit.stream)
            {
                broken_in.insert(chunk.lane, commit.stream.clone());
                broken(error);
            }
        }
        report(Transferred { phase: TransferPhase::Verify, commits: count.commits });
    }
    Ok(count)
}

fn begin(commit: &StoredCommit, count: &mut ChainCount) -> OpenStream {
    count.streams += 1;
    OpenStream { stream: commit.stream.clone(), version: 0, head: ChainHash::START }
}

impl OpenStream {
    fn follow(&mut self, commit: &StoredCommit) -> Result<(), BrokenChain> {
        let expected = self.version.saturating_add(1);
        let hash = self.head.then(&commit.link());
        // Reading goes on from what is there, so that one break is told once.
        (self.version, self.head) = (commit.version, commit.hash.unwrap_or(hash));
        if commit.version != expected {
            return Err(BrokenChain::Version { stream: commit.stream.clone(), expected, found: commit.version });
        }
        if self.head != hash {
            return Err(BrokenChain::Hash { stream: commit.stream.clone(), version: commit.version });
        }
        Ok(())
    }
}

/// The first break of a log, if there is one, for who needs all of it whole. A stream in quarantine may be broken: it is one that cannot be
/// read, and is refused.
///
/// # Errors
/// When the log cannot be read, or is not whole.
pub(super) fn require_whole(
    source: &mut dyn LogSource,
    quarantined: &BTreeSet<StreamId>,
    report: TransferReport<'_>,
) -> Result<ChainCount, TransferError> {
    let mut first = None;
    let count = verify_chains(source, report, &mut |_, _| {}, &mut |broken| {
        if !quarantined.contains(broken.stream()) {
            first.get_or_insert(broken);
        }
    })?;
    first.map_or(Ok(count), |broken| Err(broken.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::id::CommandId,
        store::{LogChunk, StoreError, TakeBeside},
    };

    struct Listed(Vec<LogChunk>);

    impl LogSource for Listed {
        fn commits_total(&mut self) -> Result<u64, StoreError> {
            Ok(0)
        }

        fn next(&mut self) -> Result<LogChunk, StoreError> {
            Ok(if self.0.is_empty() { LogChunk::default() } else { self.0.remove(0) })
        }

        fn beside(&mut self, _: bool, _: TakeBeside<'_>) -> Result<(), StoreError> {
            Ok(())
        }
    }

    /// The commits of two streams, one after the other.
    fn log(lengths: [u64; 2]) -> Vec<StoredCommit> {
        let mut commits = Vec::new();
        for (name, length) in ["a", "b"].into_iter().zip(lengths) {
            let mut head = ChainHash::START;
            for version in 1..=length {
                let mut commit = StoredCommit {
                    stream: StreamId::Plan(name.to_owned()),
                    version,
                    position: version,
                    command: CommandId::stored("once:1"),
                    request_hash: None,
                    recorded_at: jiff::Timestamp::UNIX_EPOCH,
                    events: format!("[{version}]"),
                    marked: false,
                    hash: None,
                };
                head = head.then(&commit.link());
                commit.hash = Some(head);
                commits.push(commit);
            }
        }
        commits
    }

    fn verified(commits: Vec<StoredCommit>, at_a_time: usize) -> (ChainCount, Vec<BrokenChain>) {
        let (mut commits, mut chunks) = (commits, Vec::new());
        while !commits.is_empty() {
            let rest = commits.split_off(at_a_time.min(commits.len()));
            chunks.push(LogChunk { lane: 0, commits: std::mem::replace(&mut commits, rest) });
        }
        let mut found = Vec::new();
        let count = verify_chains(&mut Listed(chunks), &mut |_| {}, &mut |_, _| {}, &mut |broken| found.push(broken));
        (count.unwrap(), found)
    }

    proptest! {
        #[test]
        fn whatever_is_done_to_a_chained_log_is_found_in_the_stream_that_it_was_done_to(
            lengths in [1..12u64, 1..12],
            at_a_time in 1..9usize,
            which in 0..5u8,
            place: prop::sample::Index,
        ) {
            let whole = log(lengths);
            let (count, found) = verified(whole.clone(), at_a_time);
            prop_assert_eq!((count.streams, count.commits), (2, lengths[0] + lengths[1]));
            prop_assert_eq!(found, []);
            let at = place.index(whole.len());
            let mut tampered = whole.clone();
            let stream = tampered[at].stream.clone();
            let is_last = tampered.get(at + 1).is_none_or(|next| next.stream != stream);
            match which {
                0 => tampered[at].events.push(' '),
                1 => tampered[at].recorded_at += jiff::SignedDuration::from_secs(1),
                // A stream that is cut off is for checkpoints to find.
                2 if !is_last => { tampered.remove(at); }
                3 if !is_last => tampered.swap(at, at + 1),
                4 if !is_last => {
                    // Also where the forger gives the commit its right hash: those that follow tell.
                    tampered[at].events.push(' ');
                    let previous = if at == 0 || whole[at - 1].stream != stream { ChainHash::START } else { whole[at - 1].hash.unwrap() };
                    tampered[at].hash = Some(previous.then(&tampered[at].link()));
                }
                _ => return Ok(()),
            }
            let (_, found) = verified(tampered, at_a_time);
            prop_assert_eq!(found.len(), 1, "{:?}", found);
            let (BrokenChain::Version { stream: told, .. } | BrokenChain::Hash { stream: told, .. }) = &found[0];
            prop_assert_eq!(told, &stream);
        }
    }
}
