//! What must not happen on any page is looked for on all of them: whatever a story does, it fails at its end when one of these was
//! seen, unless it has said that it expects it.

use serde_json::Value;

use super::traffic::{Traffic, text};

/// Set by scripts that tests put into names: where one runs, the page is open to everybody's.
pub(crate) const MARKER: &str = "__ran";
/// Tells the guard that a script has set [`MARKER`]. It is taken from the page before the page's own scripts run.
pub(crate) const TELL: &str = "__tellTheGuard";

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An error or a warning on the console, or an exception that nobody caught.
    Console,
    /// Something that the Content-Security-Policy forbade, or reports.
    Policy,
    /// A dialog of a script: `alert`, `confirm`, `prompt`, or whether a page may be left.
    Dialog,
    /// A request that failed, or was answered with a status from 400 on: its text begins with that.
    Failed,
    /// A request to another host than the server's.
    Elsewhere,
    /// A page that takes more than one document, one style and one script.
    Requests,
    /// A script that somebody has smuggled in.
    Ran,
    /// Another window.
    Window,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

#[derive(Debug)]
struct Expected {
    kind: Kind,
    part: String,
}

/// Looks at what the browser tells of a page.
#[derive(Debug)]
pub(crate) struct Guard {
    /// The server's name and port.
    server: String,
    pub(crate) findings: Vec<Finding>,
    expected: Vec<Expected>,
}

/// The name and port in an address; without one, nothing.
fn server_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_of_network = ["http", "https", "ws", "wss"].contains(&scheme);
    is_of_network.then(|| rest.split(['/', '?', '#']).next().unwrap_or_default())
}

impl Guard {
    /// One for the pages of the server with this address.
    pub(crate) fn of(url: &str) -> Self {
        let server = server_of(url).unwrap_or_default().to_owned();
        Self { server, findings: Vec::new(), expected: Vec::new() }
    }

    /// Says that the story expects this: findings of the kind that hold the text are none. At least one has to come.
    pub(crate) fn expect(&mut self, kind: Kind, part: &str) {
        self.expected.push(Expected { kind, part: part.to_owned() });
    }

    /// What was found and not expected, and what was expected and not found.
    pub(crate) fn verdict(&self) -> Vec<String> {
        let fits = |expected: &Expected, finding: &Finding| {
            expected.kind == finding.kind && finding.text.contains(&expected.part)
        };
        let unexpected = self.findings.iter().filter(|one| !self.expected.iter().any(|expected| fits(expected, one)));
        let missing = self.expected.iter().filter(|one| !self.findings.iter().any(|finding| fits(one, finding)));
        let unexpected = unexpected.map(|one| format!("{:?}: {}", one.kind, one.text));
        let missing = missing.map(|one| format!("expected, and not found: {:?} {:?}", one.kind, one.part));
        unexpected.chain(missing).collect()
    }

    pub(crate) fn find(&mut self, kind: Kind, text: String) {
        self.findings.push(Finding { kind, text });
    }

    /// Judges what the browser tells, of which `traffic` has taken note.
    pub(crate) fn hear(&mut self, method: &str, params: &Value, traffic: &Traffic) {
        match method {
            "Runtime.consoleAPICalled" if ["error", "warning", "assert"].iter().any(|bad| params["type"] == *bad) => {
                self.find(Kind::Console, format!("{}: {}", text(&params["type"]), said(&params["args"])));
            }
            "Runtime.exceptionThrown" => {
                let details = &params["exceptionDetails"];
                let thrown = [&details["exception"]["description"], &details["exception"]["value"]];
                let thrown = thrown.into_iter().find(|one| !one.is_null()).unwrap_or(&Value::Null);
                self.find(Kind::Console, format!("{} {thrown} at {}", text(&details["text"]), text(&details["url"])));
            }
            "Log.entryAdded" => self.logged(&params["entry"], traffic),
            "Audits.issueAdded" if params["issue"]["code"] == "ContentSecurityPolicyIssue" => {
                let details = &params["issue"]["details"]["contentSecurityPolicyIssueDetails"];
                let (rule, kind) = (&details["violatedDirective"], &details["contentSecurityPolicyViolationType"]);
                let at = &details["sourceCodeLocation"];
                let place = format!("{}:{}:{}", text(&at["url"]), at["lineNumber"], at["columnNumber"]);
                let blocked = text(&details["blockedURL"]);
                self.find(Kind::Policy, format!("{} {} {blocked} at {place}", text(rule), text(kind)));
            }
            "Page.javascriptDialogOpening" => {
                self.find(Kind::Dialog, format!("{} {}", text(&params["type"]), params["message"]));
            }
            "Page.windowOpen" => self.find(Kind::Window, text(&params["url"])),
            "Runtime.bindingCalled" if params["name"] == TELL => {
                self.find(Kind::Ran, format!("a script has set {MARKER} to {}", params["payload"]));
            }
            "Network.requestWillBeSent" => self.requested(params, traffic),
            "Network.webSocketCreated" => {
                self.elsewhere(&text(&params["url"]));
                self.find(Kind::Requests, format!("WebSocket {}", text(&params["url"])));
            }
            "Network.responseReceived" => {
                let status = params["response"]["status"].as_u64().unwrap_or_default();
                if status >= 400 {
                    let what = traffic.request(&params["requestId"]).map_or("", |request| &request.what);
                    self.find(Kind::Failed, format!("{status} {what} ({})", text(&params["type"])));
                }
            }
            // One that is given up because another page comes has not failed.
            "Network.loadingFailed" if params["canceled"] != true => {
                let what = traffic.request(&params["requestId"]).map_or("", |request| &request.what);
                let why = [&params["errorText"], &params["blockedReason"]].map(text).join(" ");
                self.find(Kind::Failed, format!("{} {what} ({})", why.trim(), text(&params["type"])));
            }
            _ => {}
        }
    }

    /// An entry of the log: what the browser itself has to say of the page.
    fn logged(&mut self, entry: &Value, traffic: &Traffic) {
        let is_bad = ["error", "warning"].iter().any(|bad| entry["level"] == *bad);
        // What came of requests is known by them.
        let is_known = entry["source"] == "network" && traffic.request(&entry["networkRequestId"]).is_some();
        if is_bad && !is_known {
            let is_policy = entry["source"] == "security" && text(&entry["text"]).contains("Content Security Policy");
            let kind = if is_policy { Kind::Policy } else { Kind::Console };
            self.find(kind, format!("{}: {} {}", text(&entry["source"]), text(&entry["text"]), text(&entry["url"])));
        }
    }

    fn requested(&mut self, params: &Value, traffic: &Traffic) {
        self.elsewhere(&text(&params["request"]["url"]));
        let Some(request) = traffic.request(&params["requestId"]) else { return };
        // A redirection is part of the request that it answers.
        if !request.is_of_the_page() || params.get("redirectResponse").is_some() {
            return;
        }
        let alike = |other: &&super::traffic::Request| other.kind == request.kind && other.loader == request.loader;
        let is_fine = match request.kind.as_str() {
            "Document" => traffic.is_main(&params["frameId"]),
            "Stylesheet" | "Script" => traffic.requests.iter().filter(alike).count() == 1,
            _ => false,
        };
        if !is_fine {
            self.find(Kind::Requests, format!("{} {}", request.kind, request.what));
        }
    }

    fn elsewhere(&mut self, url: &str) {
        if server_of(url).is_some_and(|server| server != self.server) {
            self.find(Kind::Elsewhere, url.to_owned());
        }
    }
}

/// What was written to the console.
fn said(args: &Value) -> String {
    let said = |arg: &Value| match (&arg["value"], arg["description"].as_str()) {
        (Value::String(value), _) => value.clone(),
        (Value::Null, Some(description)) => description.to_owned(),
        (value, _) => value.to_string(),
    };
    args.as_array().into_iter().flatten().map(said).collect::<Vec<_>>().join(" ")
}
