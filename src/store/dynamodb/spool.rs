//! Sorts more commits by their positions than memory holds: in runs, each sorted and written to an unnamed temporary file, which are then merged.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Seek, Write},
};

use super::{
    StoreError,
    commit::{in_order, microsecond_of},
};
use crate::domain::persisted::{StoredCommit, line::CommitLine};

/// Bytes of the lines of a run.
const RUN_BYTES: usize = 32 << 20;
/// Bytes that are read ahead of each run.
const READ_BYTES: usize = 32 << 10;
/// Commits that are handed over at a time, and the rest of the last one's microsecond.
const CHUNK_COMMITS: usize = 2048;

/// Commits to sort.
pub(super) struct SortingSpool {
    /// Positions and lines of the run that is being filled.
    lines: Vec<(u64, String)>,
    bytes: usize,
    run_bytes: usize,
    runs: Vec<BufReader<File>>,
    /// The next commit of each run, the least position first; each with its run.
    heads: BinaryHeap<Reverse<(u64, usize, String)>>,
}

impl SortingSpool {
    pub(super) fn new() -> Self {
        Self { lines: Vec::new(), bytes: 0, run_bytes: RUN_BYTES, runs: Vec::new(), heads: BinaryHeap::new() }
    }

    pub(super) fn add(&mut self, commits: &[StoredCommit]) -> Result<(), StoreError> {
        for commit in commits {
            let line = serde_json::to_string(&CommitLine::of(commit)).map_err(|error| failed(error.into()))?;
            self.bytes += line.len() + size_of::<(u64, String)>();
            self.lines.push((commit.position, line));
            if self.bytes >= self.run_bytes {
                self.write_run().map_err(failed)?;
            }
        }
        Ok(())
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.bytes = 0;
        let mut lines = std::mem::take(&mut self.lines);
        lines.sort_unstable();
        let mut file = BufWriter::new(tempfile::tempfile()?);
        for (_, line) in lines {
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")?;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(BufReader::with_capacity(READ_BYTES, file));
        Ok(())
    }

    /// Ends adding: from now on [`Self::next`] reads.
    pub(super) fn sorted(mut self) -> Result<Self, StoreError> {
        self.write_run().map_err(failed)?;
        for run in 0..self.runs.len() {
            self.pull(run)?;
        }
        Ok(self)
    }

    /// Takes the next line of a run.
    fn pull(&mut self, run: usize) -> Result<(), StoreError> {
        let Some(reader) = self.runs.get_mut(run) else { return Ok(()) };
        let mut line = String::new();
        if reader.read_line(&mut line).map_err(failed)? > 0 {
            self.heads.push(Reverse((read(&line)?.position, run, line)));
        }
        Ok(())
    }

    /// The next commits, each with a position of its own; none at the end.
    pub(super) fn next(&mut self) -> Result<Vec<StoredCommit>, StoreError> {
        let mut commits: Vec<StoredCommit> = Vec::new();
        while let Some(Reverse((position, ..))) = self.heads.peek() {
            // All commits of a microsecond get their positions together.
            let is_beyond =
                commits.last().is_some_and(|last| microsecond_of(last.position) != microsecond_of(*position));
            if is_beyond && commits.len() >= CHUNK_COMMITS {
                break;
            }
            let Some(Reverse((_, run, line))) = self.heads.pop() else { break };
            commits.push(read(&line)?);
            self.pull(run)?;
        }
        for group in commits.chunk_by_mut(|a, b| microsecond_of(a.position) == microsecond_of(b.position)) {
            in_order(group)?;
        }
        Ok(commits)
    }
}

fn read(line: &str) -> Result<StoredCommit, StoreError> {
    let parsed: CommitLine<'_> = serde_json::from_str(line).map_err(|error| failed(error.into()))?;
    parsed.commit().map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn failed(error: io::Error) -> StoreError {
    StoreError::Unavailable(format!("the log cannot be sorted in a temporary file (TMPDIR names its folder): {error}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::{CommandId, StreamId};

    fn commit(position: u64, version: u64) -> StoredCommit {
        StoredCommit {
            stream: StreamId::Plan("p".to_owned()),
            version,
            position,
            command: CommandId::stored("once:1"),
            request_hash: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            events: "[]".to_owned(),
            marked: false,
            hash: None,
        }
    }

    proptest! {
        #[test]
        fn commits_come_out_by_position_however_many_runs_there_are(
            positions in proptest::collection::vec(0..100_000u64, 0..300),
            run_bytes in 1..5_000usize,
        ) {
            let mut spool = SortingSpool { run_bytes, ..SortingSpool::new() };
            let commits: Vec<_> = positions.iter().zip(1..).map(|(position, version)| commit(*position, version)).collect();
            for some in commits.chunks(7) {
                spool.add(some).unwrap();
            }
            let mut spool = spool.sorted().unwrap();
            let mut found = Vec::new();
            loop {
                let some = spool.next().unwrap();
                if some.is_empty() {
                    break;
                }
                found.extend(some);
            }
            let mut expected = commits;
            expected.sort_by_key(|commit| commit.position);
            for group in expected.chunk_by_mut(|a, b| microsecond_of(a.position) == microsecond_of(b.position)) {
                in_order(group).unwrap();
            }
            prop_assert_eq!(found, expected);
        }
    }
}
