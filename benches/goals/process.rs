//! The processes that are measured: started on a core of their own, watched through /proc, and stopped at the end.

use std::{
    ffi::OsStr,
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{Outcome, http};

/// Where the measured servers run.
pub(crate) const SERVER_CORE: &str = "0";
/// Where the load comes from.
pub(crate) const LOAD_CORE: &str = "1";
/// Both: for a load beside a server and an emulator, each on a core of its own. On either core it would take from that one
/// alone what it needs.
pub(crate) const EITHER_CORE: &str = "0,1";
/// How long a server may take to answer for the first time.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// How often a process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Clock ticks a second in /proc, on every Linux that runs Rust.
const TICKS_PER_S: f64 = 100.0;

/// The permitd under measurement.
pub(crate) fn permitd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permitd"));
    command.env("PERMITD_LOG_FILTER", "warn").stdin(Stdio::null());
    command
}

/// A command that runs on one core only.
pub(crate) fn pinned(core: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program).stdin(Stdio::null());
    command
}

/// Keeps the thread that made it on one core, with what it starts, until it is dropped.
pub(crate) struct OnCore(CpuSet);

impl OnCore {
    /// Goes to a core.
    pub(crate) fn new(core: &str) -> Outcome<Self> {
        let before = sched_getaffinity(None)?;
        let mut cores = CpuSet::new();
        cores.set(core.parse()?);
        sched_setaffinity(None, &cores)?;
        Ok(Self(before))
    }
}

impl Drop for OnCore {
    fn drop(&mut self) {
        // These were the cores before; where they have been taken away meanwhile, the thread stays where it is.
        sched_setaffinity(None, &self.0).ok();
    }
}

/// An address that nobody listens on now.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Runs a command to its end and gives back what it printed.
pub(crate) fn output(command: &mut Command) -> Outcome<Vec<u8>> {
    let output = command.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} ended with {}: {}", output.status, said.trim()).into());
    }
    Ok(output.stdout)
}

/// How a command that was run to its end went.
pub(crate) struct Ran {
    /// How long it took.
    pub(crate) wall: Duration,
    /// The most memory it had at any time, MiB.
    pub(crate) peak_mib: f64,
}

/// Runs a command to its end and watches its memory.
pub(crate) fn watched(command: &mut Command) -> Outcome<Ran> {
    let log = tempfile::NamedTempFile::new()?;
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(log.reopen()?).spawn()?;
    let mut peak_mib = 0.0_f64;
    let status = loop {
        peak_mib = peak_mib.max(memory_mib(child.id(), "VmHWM").unwrap_or(0.0));
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::park_timeout(LOOK_EVERY),
        }
    };
    let wall = started.elapsed();
    if !status.success() {
        return Err(format!("{command:?} ended with {status}: {}", fs::read_to_string(log.path())?).into());
    }
    Ok(Ran { wall, peak_mib })
}

fn memory_mib(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// A server on the servers' core.
pub(crate) struct Server {
    child: Child,
    /// Where it answers.
    pub(crate) address: SocketAddr,
    /// Where it said that it was ready: a permitd's port of operation.
    pub(crate) ready_at: SocketAddr,
    /// How long it took from its start until it said that it was ready.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts a command and waits until `ready` (an address and a path) answers 200. What it logs goes to `log`,
    /// what it prints to a file `.out` beside it.
    pub(crate) fn start(
        mut command: Command,
        address: SocketAddr,
        ready: (SocketAddr, &str),
        log: PathBuf,
    ) -> Outcome<Self> {
        let started = Instant::now();
        let child =
            command.stdout(fs::File::create(log.with_extension("out"))?).stderr(fs::File::create(&log)?).spawn()?;
        let mut server = Self { child, address, ready_at: ready.0, ready_after: Duration::ZERO };
        while http::get(ready.0, ready.1, None).is_none_or(|answer| answer.status != 200) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{command:?} ended with {status}: {}", fs::read_to_string(log)?).into());
            }
            if started.elapsed() > READY_WITHIN {
                return Err(format!("{command:?} is not ready after {READY_WITHIN:?}").into());
            }
            thread::park_timeout(LOOK_EVERY);
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }

    /// Starts `permitd serve` with one worker on a data directory.
    pub(crate) fn permitd(data: &Path, settings: &[(&str, &str)]) -> Outcome<Self> {
        Self::permitd_until(data, settings, "/health/ready")
    }

    /// The same, and waits until this path of its port of operation answers 200.
    pub(crate) fn permitd_until(data: &Path, settings: &[(&str, &str)], ready: &str) -> Outcome<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        let (address, ops) = (free_address()?, free_address()?);
        let mut command = pinned(SERVER_CORE, env!("CARGO_BIN_EXE_permitd"));
        command.args(["serve", "--json", "--data"]).arg(data);
        command.env("PERMITD_LISTEN", address.to_string()).env("PERMITD_OPS_LISTEN", ops.to_string());
        command.env("PERMITD_LOG_FILTER", "warn").env("PERMITD_HTTP_WORKERS", "1").envs(settings.iter().copied());
        Self::start(command, address, (ops, ready), data.join("serve.log"))
    }

    /// Starts the server that gives the same answer of so many bytes to everybody.
    pub(crate) fn constant(body_bytes: usize, scratch: &Path) -> Outcome<Self> {
        let address = free_address()?;
        let mut command = pinned(SERVER_CORE, std::env::current_exe()?);
        command.args(["constant", &address.to_string(), &body_bytes.to_string()]);
        Self::start(command, address, (address, "/"), scratch.join("constant.log"))
    }

    /// What a permitd has counted under this name so far.
    pub(crate) fn counted(&self, name: &str) -> Outcome<u64> {
        let answer = http::get(self.ready_at, "/metrics", None).ok_or("no metrics")?;
        let text = String::from_utf8_lossy(&answer.body);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        // A gauge is written with a point.
        let value = value.ok_or_else(|| format!("{name} is not counted"))?;
        Ok(value.strip_suffix(".0").unwrap_or(value).parse()?)
    }

    /// Resident memory, MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        memory_mib(self.child.id(), "VmRSS").unwrap_or(f64::NAN)
    }

    /// Lets [`Self::peak_mib`] forget what was before: see proc_pid_clear_refs(5).
    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")
    }

    /// The most memory that it had at any time, MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        memory_mib(self.child.id(), "VmHWM").unwrap_or(f64::NAN)
    }

    /// Processor time used so far, seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // Behind the name in parentheses: state is field 3, user and system time are fields 14 and 15.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
        fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
