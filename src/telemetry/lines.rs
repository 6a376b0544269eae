//! Writes log lines to standard error: at once, but lines about answered requests together, since a system call for each takes longer than
//! all other work for a small answer.
//!
//! Guarantees: lines keep their order; a line that reports a problem is written at once, with all lines before it. A killed process loses
//! at most the request lines of the last [`LATE`].

use std::{
    io::{self, Write},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target of the lines about answered requests.
pub const ACCESS_TARGET: &str = "permitd::access";

/// The longest delay of a line about an answered request.
const LATE: Duration = Duration::from_millis(20);
/// Waiting lines are written once they reach this size.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// The waiting lines, each whole.
static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SOME_WAIT: Condvar = Condvar::new();
/// Whether the writer thread exists: the first waiting line starts it.
static HAS_WRITER: LazyLock<bool> =
    LazyLock::new(|| thread::Builder::new().name("log".to_owned()).spawn(write_what_waits).is_ok());

/// Standard error.
#[derive(Debug, Clone, Copy)]
pub(super) struct StandardError;

/// One line.
#[derive(Debug)]
pub(super) enum LogLine {
    /// To be written at once.
    Now,
    /// To be written with others.
    Soon,
}

impl<'w> MakeWriter<'w> for StandardError {
    type Writer = LogLine;

    fn make_writer(&'w self) -> LogLine {
        LogLine::Now
    }

    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> LogLine {
        if metadata.target() == ACCESS_TARGET && *HAS_WRITER { LogLine::Soon } else { LogLine::Now }
    }
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = lock();
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(bytes);
        match self {
            Self::Soon if waiting.len() < WAITING_BYTES_MAX => {
                if was_empty {
                    SOME_WAIT.notify_one();
                }
            }
            Self::Soon | Self::Now => write_out(&mut waiting)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the waiting lines: call it before the process ends.
pub fn flush() {
    // A closed standard error is no failure.
    drop(write_out(&mut lock()));
}

fn lock() -> MutexGuard<'static, Vec<u8>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_out(waiting: &mut Vec<u8>) -> io::Result<()> {
    let written = if waiting.is_empty() { Ok(()) } else { io::stderr().write_all(waiting) };
    waiting.clear();
    written
}

fn write_what_waits() {
    loop {
        let some = SOME_WAIT.wait_while(lock(), |waiting| waiting.is_empty()).unwrap_or_else(PoisonError::into_inner);
        let (mut more, _) = SOME_WAIT.wait_timeout(some, LATE).unwrap_or_else(PoisonError::into_inner);
        // A closed standard error is no failure.
        drop(write_out(&mut more));
    }
}
