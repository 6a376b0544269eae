//! Chromium, driven as a person would: by looking at what is shown, clicking and typing.
//!
//! It is spoken to by the DevTools protocol over two pipes (`--remote-debugging-pipe`): no port is open, and when the test
//! ends, however it does, the pipes close and the browser ends too.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::support;

/// What the protocol answers when a page is replaced while it is asked something.
const REPLACED: [&str; 4] = [
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find default execution context",
    "Promise was collected",
];
/// How long anything may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(180);
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 900;
/// Names the browser, where it is not on the path.
const PROGRAM: &str = "PERMITD_TEST_CHROMIUM";
/// Names a folder that pictures of what was shown go to.
const PICTURES: &str = "PERMITD_TEST_PICTURES";

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

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    folder: tempfile::TempDir,
    commands: ChildStdin,
    messages: Receiver<Value>,
    last_id: u64,
    session: Option<String>,
    /// What the browser told without being asked.
    told: Vec<Value>,
    pictures: usize,
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

impl Browser {
    /// Opens an address in a new browser.
    pub(crate) fn open(url: &str) -> Option<Self> {
        let program = program()?;
        let folder = support::data_dir();
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCH]).arg(&program).args(FLAGS).arg(format!("--window-size={WIDTH},{HEIGHT}"));
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
        let (session, told) = (None, Vec::new());
        let mut browser = Self { child, folder, commands, messages, last_id: 0, session, told, pictures: 0 };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attached);
        browser.session = attached["sessionId"].as_str().map(ToOwned::to_owned);
        for domain in ["Page", "Network", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call("Page.navigate", json!({ "url": url }));
        Some(browser)
    }

    /// The next thing that the browser says.
    fn next(&mut self) -> Value {
        self.messages.recv_timeout(PATIENCE).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => panic!("the browser has said nothing for {PATIENCE:?}"),
            RecvTimeoutError::Disconnected => {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the browser has ended; its last words: {:?}", log.lines().last())
            }
        })
    }

    /// A method of the DevTools protocol, which is bound to succeed.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.answer_to(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// What the browser answers to a method of the DevTools protocol: a result, or an error.
    fn answer_to(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut message = self.next();
            if message["id"] == self.last_id {
                return match message.get_mut("error") {
                    Some(error) => Err(error.take()),
                    None => Ok(message["result"].take()),
                };
            }
            self.told.push(message);
        }
    }

    /// The value of an expression in the page.
    fn evaluate(&mut self, expression: &str) -> Value {
        self.evaluated(expression).expect("a page that stays")
    }

    /// The value of an expression in the page, or of what it promises. A page that is just being replaced has none.
    fn evaluated(&mut self, expression: &str) -> Option<Value> {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        match self.answer_to("Runtime.evaluate", asked) {
            Ok(mut answer) => {
                assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
                Some(answer["result"]["value"].take())
            }
            Err(error) if error["message"].as_str().is_some_and(|said| REPLACED.contains(&said)) => None,
            Err(error) => panic!("{expression}: {error}"),
        }
    }

    /// Looks until the expression gives something.
    fn wait(&mut self, what: &str, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.evaluated(expression) {
                None | Some(Value::Null | Value::Bool(false)) => {}
                Some(value) => return value,
            }
            if Instant::now() > deadline {
                self.picture("failed");
                panic!("waited in vain for {what}; this is shown:\n{}", self.text());
            }
            // The page moves on when it next draws.
            self.evaluated("new Promise((done) => requestAnimationFrame(() => done(true)))");
        }
    }

    /// What is shown, as text.
    pub(crate) fn text(&mut self) -> String {
        self.evaluate("document.body?.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a text is shown.
    pub(crate) fn sees(&mut self, text: &str) {
        self.wait(&format!("{text:?}"), &format!("!!document.body?.innerText.includes({})", json!(text)));
    }

    /// Waits until a text is not shown any more.
    pub(crate) fn sees_no(&mut self, text: &str) {
        self.wait(&format!("{text:?} to go"), &format!("document.body?.innerText.includes({}) === false", json!(text)));
    }

    /// The text of the only element that the selector finds.
    pub(crate) fn read(&mut self, selector: &str) -> String {
        let expression = format!("document.querySelector({})?.innerText", json!(selector));
        self.wait(selector, &expression).as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on what has this text: a link, a button, something to unfold.
    pub(crate) fn click(&mut self, text: &str) {
        self.click_within("body", "", text);
    }

    /// The same in the only element of that kind that holds another text, such as the row of somebody.
    pub(crate) fn click_within(&mut self, kind: &str, other: &str, text: &str) {
        let (kind, other, label) = (json!(kind), json!(other), json!(text));
        let found = format!(
            "[...document.querySelectorAll({kind})].filter((one) => one.textContent.includes({other}))
              .flatMap((one) => [...one.querySelectorAll('a, button, summary')])
              .filter((one) => one.textContent.trim() === {label})"
        );
        self.press(&format!("one {text:?} to click on"), &found);
    }

    /// Types into the field with this label.
    pub(crate) fn fill(&mut self, label: &str, text: &str) {
        let found = format!(
            "[...document.querySelectorAll('label')].filter((one) => one.textContent.trim() === {}).map((one) => one.control)",
            json!(label)
        );
        self.press(&format!("one field {label:?}"), &found);
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Clicks on the only element that the selector finds.
    pub(crate) fn click_on(&mut self, selector: &str) {
        self.press(selector, &format!("[...document.querySelectorAll({})]", json!(selector)));
    }

    /// Types into the only field that the selector finds.
    pub(crate) fn fill_in(&mut self, selector: &str, text: &str) {
        self.click_on(selector);
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Chooses an option of the only list that the selector finds. Where lists drop down, they do so outside of the page.
    pub(crate) fn choose(&mut self, selector: &str, option: &str) {
        let list = format!("document.querySelector({})", json!(selector));
        let offered = format!("[...{list}?.options ?? []].some((one) => one.value === {})", json!(option));
        self.wait(&format!("the option {option:?} of {selector}"), &offered);
        let chosen =
            format!("{list}.value = {}; {list}.dispatchEvent(new Event('change', {{ bubbles: true }}))", json!(option));
        self.evaluate(&chosen);
    }

    /// Makes the window as wide as this.
    pub(crate) fn resize(&mut self, width: u32) {
        let size = json!({ "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// What would have to be scrolled sideways with the page.
    pub(crate) fn wider_than_the_window(&mut self) -> Vec<String> {
        let sticks_out = "(one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1";
        let scrolls = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        let named = "(one) => `${one.localName}.${one.className}`";
        let found =
            format!("{scrolls} ? [...document.querySelectorAll('body *')].filter({sticks_out}).map({named}) : []");
        serde_json::from_value(self.evaluate(&found)).unwrap()
    }

    /// Presses the mouse on the one element that is found, once it is to be seen, enabled, and nothing lies over it.
    fn press(&mut self, what: &str, found: &str) {
        let place = self.wait(
            what,
            &format!(
                "(() => {{
                   const all = {found}.filter((one) => one.checkVisibility());
                   if (all.length !== 1 || all[0].disabled) return null;
                   all[0].scrollIntoView({{ block: 'center', behavior: 'instant' }});
                   const box = all[0].getBoundingClientRect();
                   const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                   return all[0].contains(document.elementFromPoint(x, y)) ? {{ x, y }} : null;
                 }})()"
            ),
        );
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place["x"], "y": place["y"], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Goes to another address.
    pub(crate) fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// Loads the page anew.
    pub(crate) fn reload(&mut self) {
        self.evaluate("globalThis.beforeTheReload = true");
        self.call("Page.reload", json!({}));
        self.wait("the page to load anew", "!globalThis.beforeTheReload && document.readyState === 'complete'");
    }

    /// The address that is shown, and those that lead back.
    pub(crate) fn addresses(&mut self) -> Vec<String> {
        let history = self.call("Page.getNavigationHistory", json!({}));
        let entries = history["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Keeps a picture of the page, where somebody wants to see it.
    pub(crate) fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os(PICTURES).map(PathBuf::from) else { return };
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = BASE64_STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        self.pictures += 1;
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{:02}-{name}.png", self.pictures)), bytes).unwrap();
    }

    /// What the browser told of this kind.
    fn of_kind<'a>(&'a self, kinds: &'a [&str]) -> impl Iterator<Item = &'a Value> {
        let is_one = |message: &&Value| kinds.iter().any(|kind| message["method"] == *kind);
        self.told.iter().filter(is_one).map(|message| &message["params"])
    }

    /// The addresses that the page asked for, whether or not it was let.
    pub(crate) fn requests(&self) -> Vec<&str> {
        let requests = self.of_kind(&["Network.requestWillBeSent"]).map(|request| &request["request"]["url"]);
        let sockets = self.of_kind(&["Network.webSocketCreated"]).map(|socket| &socket["url"]);
        requests.chain(sockets).map(|url| url.as_str().unwrap()).collect()
    }

    /// Errors and warnings on the console, exceptions that nobody caught, and what the policy forbade.
    pub(crate) fn complaints(&self) -> Vec<&Value> {
        let is_bad = |level: &Value| ["error", "warning", "assert"].iter().any(|bad| level == bad);
        let said = self.of_kind(&["Runtime.consoleAPICalled"]).filter(|said| is_bad(&said["type"]));
        let logged = self.of_kind(&["Log.entryAdded"]).filter(|logged| is_bad(&logged["entry"]["level"]));
        said.chain(logged).chain(self.of_kind(&["Runtime.exceptionThrown"])).collect()
    }

    /// Asks the browser to end, and waits until none of its processes is left.
    pub(crate) fn close(mut self) {
        self.session = None;
        self.call("Browser.close", json!({}));
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

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended, and a panic here would hide the test's own.
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().ok();
        self.child.wait().ok();
    }
}
