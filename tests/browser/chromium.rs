//! The process of a browser, and how it is spoken to: by the DevTools protocol over two pipes (`--remote-debugging-pipe`). No
//! port is open, and when the test ends, however it does, the pipes close and the browser ends too.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{heard::Heard, support};

/// How long anything may take that is bound to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// Names the browser, where it is not on the path.
const PROGRAM: &str = "PERMITD_TEST_CHROMIUM";

/// Where the browser's own side of the pipes has to be: descriptors 3 and 4.
const LAUNCH: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
const FLAGS: [&str; 18] = [
    "--remote-debugging-pipe",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--metrics-recording-only",
    "--password-store=basic",
    // Whatever it wanted from elsewhere, it would not find.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// A running browser, and what it has told of each of its pages.
pub(crate) struct Chromium {
    child: Child,
    folder: tempfile::TempDir,
    commands: ChildStdin,
    messages: Receiver<Value>,
    last_id: u64,
    /// By the session of the page.
    pub(crate) heard: HashMap<String, Heard>,
}

/// The browser's program. Without one, says so in one line and gives nothing, but where everything has to be tested.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM) {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut places = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    let found = places.find(|place| place.is_file());
    if found.is_none() {
        support::skip(&format!(
            "there is no Chromium on this machine: install Debian's chromium, or name one in {PROGRAM}"
        ));
    }
    found
}

impl Chromium {
    /// Starts one, with a profile of its own.
    pub(crate) fn start() -> Option<Self> {
        let program = program()?;
        let folder = support::data_dir();
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCH]).arg(&program).args(FLAGS);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display())).arg("about:blank");
        command.env("HOME", folder.path()).env_remove("DISPLAY").env("DBUS_SESSION_BUS_ADDRESS", "disabled:");
        let log = File::create(folder.path().join("log")).unwrap();
        // In a group of its own, so that none of its many processes is left behind.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON from the browser");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Some(Self { child, folder, commands, messages, last_id: 0, heard: HashMap::new() })
    }

    /// Says something to the browser or to one of its pages; gives the number of what was said.
    fn say(&mut self, session: Option<&str>, method: &str, params: &Value) -> u64 {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let said = self.commands.write_all(format!("{command}\0").as_bytes());
        said.unwrap_or_else(|error| self.is_gone(&error.to_string()));
        self.last_id
    }

    /// What the browser answers to a method of the DevTools protocol: a result, or an error. `None` as session is the browser itself.
    pub(crate) fn ask(&mut self, session: Option<&str>, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.say(session, method, params);
        loop {
            let mut message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|error| match error {
                RecvTimeoutError::Timeout => panic!("the browser has not answered {method} for {PATIENCE:?}"),
                RecvTimeoutError::Disconnected => self.is_gone(method),
            });
            if message["id"] == id {
                return match message.get_mut("error") {
                    Some(error) => Err(error.take()),
                    None => Ok(message["result"].take()),
                };
            }
            self.hear(&message);
        }
    }

    /// Listens for this long to what the browser tells.
    pub(crate) fn listen(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            match self.messages.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(message) => self.hear(&message),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.is_gone("it was listened to"),
            }
        }
    }

    /// Hands on what was told of a page. What has to be answered at once, such as a dialog that everything waits for, is.
    fn hear(&mut self, message: &Value) {
        let (Some(session), Some(method)) = (message["sessionId"].as_str(), message["method"].as_str()) else { return };
        let Some(heard) = self.heard.get_mut(session) else { return };
        if let Some((method, params)) = heard.hear(method, &message["params"]) {
            self.say(Some(session), method, &params);
        }
    }

    fn is_gone(&self, then: &str) -> ! {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("the browser has ended ({then}); its last words: {:?}", log.lines().last())
    }

    /// Asks the browser to end, and waits until none of its processes is left.
    pub(crate) fn end(mut self) {
        self.ask(None, "Browser.close", &json!({})).unwrap();
        self.child.wait().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while is_group_alive(self.child.id()) {
            assert!(Instant::now() < deadline, "the browser has left processes behind");
            std::thread::yield_now();
        }
    }
}

/// Whether a process of the group is there.
fn is_group_alive(group: u32) -> bool {
    let asked = Command::new("kill").args(["-0", "--", &format!("-{group}")]).stderr(Stdio::null()).status();
    asked.unwrap().success()
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended, and a panic here would hide the test's own.
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().ok();
        self.child.wait().ok();
    }
}
