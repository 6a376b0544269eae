//! Where log lines go: standard error, at once. Those about answered requests go together: a system call for each of them takes
//! longer than all else of a small answer.
//!
//! Guarantees: lines keep their order; a line that says that something is wrong waits for nothing, and takes those before it along.
//! A process that is killed loses the lines about requests of the last [`LATE`] at most.

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

/// How late a line about an answered request is at most.
const LATE: Duration = Duration::from_millis(20);
/// Lines that wait are written at the latest when they are so many bytes.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// What waits, whole lines.
static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SOME_WAIT: Condvar = Condvar::new();
/// Whether there is a thread that writes what waits: the first line that may wait starts it.
static HAS_WRITER: LazyLock<bool> =
    LazyLock::new(|| thread::Builder::new().name("log".to_owned()).spawn(write_what_waits).is_ok());

/// Standard error.
#[derive(Debug, Clone, Copy)]
pub(super) struct StandardError;

/// One line.
#[derive(Debug)]
pub(super) enum LogLine {
    /// It is written at once.
    Now,
    /// It is written with others.
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

/// Writes what waits: to be called before the process ends.
pub fn flush() {
    // Nobody reads it any more.
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
        // Nobody may read it any more.
        drop(write_out(&mut more));
    }
}
