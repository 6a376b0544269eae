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
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    time::Duration,
};

use rustix::net;

/// How long a started process may take to say that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(180);
/// How long a process that was asked to end may take.
const ENDED_TIMEOUT: Duration = Duration::from_secs(180);

/// An empty data directory that goes with the test.
pub(crate) fn data_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("permitd-test-").tempdir().expect("a temporary directory")
}

/// An address of this machine that nobody listens on, and that nobody else gets as long as this is kept.
#[derive(Debug)]
pub(crate) struct Nobody {
    address: SocketAddr,
    /// Bound, and never listened on.
    _socket: OwnedFd,
}

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).expect("a socket");
        net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = net::getsockname(&socket).expect("the port's number").try_into().expect("an address");
        Self { address, _socket: socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// An address for a program to listen on that has to know it beforehand. On Linux it is this process's alone: all of 127.0.0.0/8
/// is this machine, and nobody else's connections begin or end there. Where the program can, let it listen on port 0 instead.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    if cfg!(target_os = "linux") {
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        return SocketAddr::from(([127, 64 | (high & 63), middle, low], NEXT.fetch_add(1, Ordering::Relaxed)));
    }
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

/// Says why a test does without something. Where everything is to be tested (`CI=true`), nothing may be missing.
pub(crate) fn skip(why: &str) {
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{why}");
    println!("skipped: {why}");
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
        find: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> (Self, T) {
        Self::try_start(command, find).unwrap_or_else(|e| panic!("{command:?} did not become ready: {e}"))
    }

    /// The same for one that may well die before it is ready.
    ///
    /// # Errors
    /// When it has closed its output without such a line, or said nothing of the kind for very long.
    pub(crate) fn try_start<T: Send + 'static>(
        command: &mut Command,
        mut find: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> Result<(Self, T), mpsc::RecvTimeoutError> {
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
        Ok((process, receiver.recv_timeout(READY_TIMEOUT)?))
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
