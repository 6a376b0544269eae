//! A page in a browser, looked at as a person does.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    chromium::{Chromium, PATIENCE},
    guard::{Finding, Guard, Kind, MARKER, TELL},
    heard::{Heard, WORLD},
    look::Look,
    support,
};

/// What the protocol answers when a page is replaced while it is asked something.
const REPLACED: [&str; 6] = [
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find default execution context",
    "Cannot find context with specified id",
    "uniqueContextId not found",
    "Promise was collected",
];
/// How often a page is looked at that something is awaited of.
const LOOK_INTERVAL: Duration = Duration::from_millis(15);
/// How long a request may go on when a story has come to its end.
const SETTLE_PATIENCE: Duration = Duration::from_secs(20);

/// A page in a browser: a window of somebody who shares nothing with the other windows.
pub(crate) struct Browser {
    chromium: Rc<RefCell<Chromium>>,
    /// Which page of the browser it is.
    session: String,
    /// What holds its cookies.
    context: Rc<str>,
    pub(crate) look: Look,
    pub(super) pictures: usize,
    is_judged: bool,
}

impl Browser {
    /// Opens an address in a new browser. Where there is no browser, the test is to be skipped.
    pub(crate) fn open(url: &str) -> Option<Self> {
        Self::open_as(Look::default(), url)
    }

    /// The same for somebody who looks like this.
    pub(crate) fn open_as(look: Look, url: &str) -> Option<Self> {
        let chromium = Rc::new(RefCell::new(Chromium::start()?));
        Some(Self::within(chromium, None, look, url))
    }

    /// Opens an address for somebody else, who shares nothing with whoever looks at this page.
    pub(crate) fn beside(&self, look: Look, url: &str) -> Self {
        Self::within(Rc::clone(&self.chromium), None, look, url)
    }

    /// Opens an address in another tab of the same person.
    pub(crate) fn another_tab(&self, url: &str) -> Self {
        Self::within(Rc::clone(&self.chromium), Some(&self.context), self.look.clone(), url)
    }

    fn within(chromium: Rc<RefCell<Chromium>>, of: Option<&Rc<str>>, look: Look, url: &str) -> Self {
        let ask = |method: &str, params: Value| chromium.borrow_mut().ask(None, method, &params).unwrap();
        let context = match of {
            Some(context) => Rc::clone(context),
            None => ask("Target.createBrowserContext", json!({}))["browserContextId"].as_str().unwrap().into(),
        };
        let target = ask("Target.createTarget", json!({ "url": "about:blank", "browserContextId": *context }));
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        let session = ask("Target.attachToTarget", attached)["sessionId"].as_str().unwrap().to_owned();
        let frame = target["targetId"].as_str().unwrap();
        chromium.borrow_mut().heard.insert(session.clone(), Heard::of(frame, url));
        let mut browser = Self { chromium, session, context, look, pictures: 0, is_judged: false };
        for domain in ["Page", "Network", "Runtime", "Log", "Audits", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call("Runtime.addBinding", json!({ "name": TELL }));
        let marker = format!(
            "{{ const tell = {TELL}; delete globalThis.{TELL};
               Object.defineProperty(globalThis, '{MARKER}', {{ set: (value) => tell(String(value)) }}); }}"
        );
        browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": marker }));
        let person = json!({ "source": include_str!("person.js"), "worldName": WORLD });
        browser.call("Page.addScriptToEvaluateOnNewDocument", person);
        browser.call("Page.setInterceptFileChooserDialog", json!({ "enabled": true }));
        browser.call("Emulation.setScrollbarsHidden", json!({ "hidden": true }));
        browser.put_on();
        browser.call("Page.navigate", json!({ "url": url }));
        browser
    }

    /// Looks at the page as `look` says.
    pub(super) fn put_on(&mut self) {
        let Look { width, height, scale, scheme, language, scripts } = self.look;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = [("prefers-color-scheme", scheme.name()), ("prefers-reduced-motion", "reduce")];
        let features = features.map(|(name, value)| json!({ "name": name, "value": value }));
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
        let agent = self.chromium.borrow_mut().ask(None, "Browser.getVersion", &json!({})).unwrap();
        let agent = json!({ "userAgent": agent["userAgent"], "acceptLanguage": language });
        self.call("Emulation.setUserAgentOverride", agent);
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !scripts }));
    }

    /// Makes the window as wide as this, CSS pixels.
    pub(crate) fn resize(&mut self, width: u32) {
        self.look.width = width;
        self.put_on();
    }

    /// A method of the DevTools protocol, which is bound to succeed.
    pub(super) fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.chromium.borrow_mut().ask(Some(&self.session), method, &params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Files that this window keeps go into a folder.
    pub(super) fn keep_downloads_in(&mut self, folder: &std::path::Path) {
        let context = &self.context;
        let kept = json!({ "behavior": "allow", "browserContextId": context, "downloadPath": folder });
        self.chromium.borrow_mut().ask(None, "Browser.setDownloadBehavior", &kept).unwrap();
    }

    /// What was heard of the page.
    pub(super) fn heard<T>(&self, of: impl FnOnce(&mut Heard) -> T) -> T {
        of(self.chromium.borrow_mut().heard.get_mut(&self.session).unwrap())
    }

    /// Listens for a moment to what the browser tells.
    pub(super) fn listen(&mut self) {
        self.chromium.borrow_mut().listen(LOOK_INTERVAL);
    }

    /// The value of an expression, or of what it promises, in the world beside the page's scripts. A page that is just being
    /// replaced has none.
    pub(super) fn evaluated(&mut self, expression: &str) -> Option<Value> {
        let world = self.heard(|heard| heard.world.clone())?;
        let asked = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true, "uniqueContextId": world,
        });
        let answer = self.chromium.borrow_mut().ask(Some(&self.session), "Runtime.evaluate", &asked);
        match answer {
            Ok(mut answer) => {
                assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
                Some(answer["result"]["value"].take())
            }
            Err(error) if error["message"].as_str().is_some_and(|said| REPLACED.contains(&said)) => None,
            Err(error) => panic!("{expression}: {error}"),
        }
    }

    /// The value of an expression, once there is a page to ask.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = self.evaluated(expression) {
                return value;
            }
            assert!(Instant::now() < deadline, "no page came");
            self.listen();
        }
    }

    /// Looks until the expression gives something.
    pub(super) fn wait(&mut self, what: &str, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.evaluated(expression) {
                None | Some(Value::Null | Value::Bool(false)) => {}
                Some(value) => return value,
            }
            if Instant::now() > deadline {
                self.picture("failed");
                panic!("waited in vain for {what}; at {} this is shown:\n{}", self.url(), self.text());
            }
            self.listen();
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

    /// The text of the only element that the selector finds, once the page's text has come: an element is there before what is
    /// in it.
    pub(crate) fn read(&mut self, selector: &str) -> String {
        let expression =
            format!("document.readyState !== 'loading' && document.querySelector({})?.innerText", json!(selector));
        self.wait(selector, &expression).as_str().unwrap_or_default().to_owned()
    }

    /// The page's title.
    pub(crate) fn title(&mut self) -> String {
        self.evaluate("document.title").as_str().unwrap_or_default().to_owned()
    }

    /// Goes to another address, once what the page asked for has come; gives the status of what is there.
    pub(crate) fn go(&mut self, url: &str) -> u16 {
        self.loads(|browser| {
            browser.call("Page.navigate", json!({ "url": url }));
        })
    }

    /// Loads the page anew; gives its status.
    pub(crate) fn reload(&mut self) -> u16 {
        self.loads(|browser| {
            browser.call("Page.reload", json!({}));
        })
    }

    /// Goes back to the page before; gives its status.
    pub(crate) fn back(&mut self) -> u16 {
        self.loads(|browser| {
            let history = browser.call("Page.getNavigationHistory", json!({}));
            let before = history["currentIndex"].as_u64().unwrap().checked_sub(1).expect("a page before this one");
            let entry = &history["entries"][usize::try_from(before).unwrap()];
            browser.call("Page.navigateToHistoryEntry", json!({ "entryId": entry["id"] }));
        })
    }

    /// Does something by which another document comes, such as to click on a link, waits for that, and gives its status.
    pub(crate) fn loads(&mut self, act: impl FnOnce(&mut Self)) -> u16 {
        self.settle();
        let before = self.heard(|heard| heard.traffic.documents);
        act(self);
        let deadline = Instant::now() + PATIENCE;
        while self.heard(|heard| heard.traffic.documents) == before {
            assert!(Instant::now() < deadline, "no other document came; this is shown:\n{}", self.text());
            self.listen();
        }
        self.status()
    }

    /// The status of the document that is shown, once it is whole.
    pub(crate) fn status(&mut self) -> u16 {
        self.wait("the page to be whole", "document.readyState === 'complete'");
        self.heard(|heard| heard.traffic.status()).expect("a document that a server has sent")
    }

    /// The address that is shown.
    pub(crate) fn url(&mut self) -> String {
        let history = self.call("Page.getNavigationHistory", json!({}));
        let at = usize::try_from(history["currentIndex"].as_u64().unwrap()).unwrap();
        history["entries"][at]["url"].as_str().unwrap().to_owned()
    }

    /// The address that is shown, and those that lead back.
    pub(crate) fn addresses(&mut self) -> Vec<String> {
        let history = self.call("Page.getNavigationHistory", json!({}));
        let entries = history["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Says that the story expects this; see [`Guard::expect`](super::guard::Guard::expect).
    pub(crate) fn expect(&mut self, kind: Kind, part: &str) {
        self.heard(|heard| heard.guard.expect(kind, part));
    }

    /// What the guard has found until now, once what the page asked for has come.
    pub(crate) fn findings(&mut self) -> Vec<Finding> {
        self.settle();
        self.heard(|heard| heard.guard.findings.clone())
    }

    /// Waits until the guard has seen something.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Guard) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.heard(|heard| is_so(&heard.guard)) {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            self.listen();
        }
    }

    /// Waits until the page is whole and has what it asked for. What does not come is a finding.
    pub(super) fn settle(&mut self) {
        let deadline = Instant::now() + SETTLE_PATIENCE;
        loop {
            let is_whole = self.evaluated("document.readyState === 'complete'") == Some(Value::Bool(true));
            let pending = self.heard(|heard| heard.traffic.pending().map(|request| request.what.clone()));
            if is_whole && pending.is_none() {
                return;
            }
            if Instant::now() > deadline {
                let what = pending.unwrap_or_else(|| "the page".to_owned());
                self.heard(|heard| heard.guard.find(Kind::Failed, format!("no end of {what}")));
                return;
            }
            self.listen();
        }
    }

    fn judge(&mut self) {
        self.is_judged = true;
        self.settle();
        let verdict = self.heard(|heard| heard.guard.verdict());
        assert!(verdict.is_empty(), "the guard has found, in {}: {verdict:#?}", self.url());
    }

    /// Ends the story: nothing must have happened that it did not expect. With the last page, the browser ends too.
    pub(crate) fn close(mut self) {
        self.judge();
        let chromium = Rc::clone(&self.chromium);
        let context = Rc::clone(&self.context);
        drop(self);
        match Rc::try_unwrap(chromium) {
            Ok(chromium) => chromium.into_inner().end(),
            // Of several tabs of one person, the last one takes along what the browser knows of them.
            Err(chromium) if Rc::strong_count(&context) == 1 => {
                let context = json!({ "browserContextId": *context });
                chromium.borrow_mut().ask(None, "Target.disposeBrowserContext", &context).unwrap();
            }
            Err(_) => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A story that was not closed is judged all the same; one that has failed has said why.
        if !self.is_judged && !std::thread::panicking() {
            self.judge();
        }
    }
}

/// The folder that pictures of what was shown go to, where somebody wants to see them.
pub(super) fn pictures_folder() -> Option<std::path::PathBuf> {
    std::env::var_os("PERMITD_TEST_PICTURES").map(|folder| support::repository().join(folder))
}
