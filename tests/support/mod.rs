//! What tests of a whole program share: folders and ports that nobody else uses, processes that end with the test.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]

pub(crate) mod backend;
pub(crate) mod canned;
pub(crate) mod emulator;
pub(crate) mod proxy;
pub(crate) mod tools;

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

/// How long a started process may take to say that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a process that was asked to end may take.
const ENDED_TIMEOUT: Duration = Duration::from_secs(60);

/// An empty data directory that goes with the test.
pub(crate) fn data_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("permitd-test-").tempdir().expect("a temporary directory")
}

/// An address of this machine that nobody listens on. Where the program can, let it listen on port 0 instead.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the port's number")
}

/// The `permitd` program, without the settings of whoever runs the tests.
pub(crate) fn permitd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permitd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PERMITD_") {
            command.env_remove(name);
        }
    }
    command
}

/// The repository's root.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the real data that lies beside the repository (`PERMITD_SHARED_DATA` names another place). Without it, says so
/// in one line and gives nothing: the test then returns.
pub(crate) fn shared_data(file: &str) -> Option<PathBuf> {
    let named = std::env::var_os("PERMITD_SHARED_DATA").map(PathBuf::from);
    let found = named.or_else(|| repository().ancestors().map(|dir| dir.join("shared/data")).find(|dir| dir.is_dir()));
    let path = found.map(|dir| dir.join(file)).filter(|path| path.is_file());
    if path.is_none() {
        println!("skipped: the real data file {file} is not on this machine");
    }
    path
}

/// A process that is killed, and waited for, when the test drops it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Disconnected when the process has closed its output.
    closed: mpsc::Receiver<()>,
}

impl Process {
    /// Starts `command` and waits for the first line of its output that `find` makes something of. What it prints later is
    /// read and dropped, so that it never blocks.
    pub(crate) fn start<T: Send + 'static>(
        command: &mut Command,
        mut find: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> (Self, T) {
        let mut child = command
            // Ends when the test does, however that ends: a helper process can watch for it.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}"));
        let output = BufReader::new(child.stdout.take().expect("a piped output"));
        let (open, closed) = mpsc::channel();
        let process = Self { child, closed };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let _open = open;
            for line in output.lines().map_while(Result::ok) {
                if let Some(found) = find(&line) {
                    // The test may be over already; then nobody waits.
                    sender.send(found).ok();
                }
            }
        });
        let found = receiver.recv_timeout(READY_TIMEOUT);
        (process, found.unwrap_or_else(|e| panic!("{command:?} did not become ready: {e}")))
    }

    /// The process id, for signals.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for it to end by itself, as after a signal, and says how it did.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let closed = self.closed.recv_timeout(ENDED_TIMEOUT);
        assert_eq!(closed, Err(mpsc::RecvTimeoutError::Disconnected), "the process has not ended");
        self.child.wait().expect("the process ends")
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the process can be asked").is_some()
    }

    /// Kills it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and a panic here would hide the test's own.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
