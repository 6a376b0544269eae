//! A browser without script: it keeps cookies, follows where it is led, and sends the forms of pages with what stands in them.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{collections::BTreeMap, sync::Mutex};

use reqwest::{Method, header::HeaderMap};

use crate::app::TestApp;

/// What browsers say they take.
pub(crate) const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
/// Pages that a browser is led on from one to the next.
const LEADS_MAX: usize = 5;

/// A browser.
pub(crate) struct Browser<'a> {
    app: &'a TestApp,
    client: reqwest::Client,
    language: &'static str,
    pub(crate) cookies: Mutex<BTreeMap<String, String>>,
}

/// A page as it came.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The path at which it is shown, with its query.
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

/// A form, with the fields as they stand in it.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// With this text in a field, whatever stood there.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a box ticked as well.
    pub(crate) fn ticked(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a field.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }
}

impl<'a> Browser<'a> {
    /// One that reads English.
    pub(crate) fn new(app: &'a TestApp) -> Self {
        Self::reading(app, "en")
    }

    /// One that reads this language.
    pub(crate) fn reading(app: &'a TestApp, language: &'static str) -> Self {
        let redirect = reqwest::redirect::Policy::none();
        let client =
            reqwest::Client::builder().redirect(redirect).no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { app, client, language, cookies: Mutex::default() }
    }

    /// One request, which is led nowhere.
    pub(crate) async fn ask(&self, method: Method, path: &str, form: Option<&Form>) -> Page {
        // As browsers do: pages at secret addresses tell them to say nothing.
        let own = self.app.url("");
        self.ask_from(if path.contains("/links/") { "null" } else { own.as_str() }, method, path, form).await
    }

    /// The same with a form of this origin.
    pub(crate) async fn ask_from(&self, origin: &str, method: Method, path: &str, form: Option<&Form>) -> Page {
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.client.request(method, self.app.url(path));
        request = request.header("accept", ACCEPT).header("accept-language", self.language);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if let Some(form) = form {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
            request = request.header("origin", origin);
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => self.cookies.lock().unwrap().remove(name),
                value => self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned()),
            };
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Page { path: path.to_owned(), status, headers, html: response.text().await.unwrap() }
    }

    /// Opens an address, and goes where it leads.
    pub(crate) async fn open(&self, path: &str) -> Page {
        let page = self.ask(Method::GET, path, None).await;
        self.led(page).await
    }

    /// Sends a form, and goes where it leads.
    pub(crate) async fn send(&self, form: &Form) -> Page {
        let page = self.ask(Method::POST, &form.action, Some(form)).await;
        self.led(page).await
    }

    async fn led(&self, mut page: Page) -> Page {
        for _ in 0..LEADS_MAX {
            if page.status != 303 {
                return page;
            }
            let place = page.headers["location"].to_str().unwrap().to_owned();
            page = self.ask(Method::GET, place.split('#').next().unwrap(), None).await;
        }
        panic!("led around: {}", page.path);
    }

    /// Signs in with a password.
    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Page {
        let form = self.open("/sign-in").await.form("Sign in").with("email", email).with("password", password);
        self.send(&form).await
    }

    /// Whether it has the cookie of a session.
    pub(crate) fn has_session(&self) -> bool {
        self.cookies.lock().unwrap().contains_key("permitd")
    }
}

impl Page {
    /// The same, once its status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.path, self.main());
        self
    }

    /// What stands in the page itself, as HTML.
    pub(crate) fn main(&self) -> &str {
        let from = self.html.find("<main").unwrap_or(0);
        let to = self.html.find("</main>").unwrap_or(self.html.len());
        &self.html[from..to]
    }

    /// What a person reads of it: text without tags.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut rest = self.main();
        while let Some((before, after)) = rest.split_once('<') {
            text.push_str(before);
            let (tag, after) = after.split_once('>').unwrap_or((after, ""));
            let is_inline = ["code", "/code", "strong", "/strong", "a", "/a", "time", "/time", "span", "/span"];
            if !is_inline.contains(&tag.split([' ', '\n']).next().unwrap_or_default()) {
                text.push('\n');
            }
            rest = after;
        }
        text.push_str(rest);
        let lines = unescaped(&text);
        lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Whether a person reads this on it.
    pub(crate) fn says(&self, words: &str) -> bool {
        // A reason is a sentence where it stands alone.
        self.text().to_lowercase().contains(&words.to_lowercase())
    }

    /// Fails unless a person reads this on it.
    #[track_caller]
    pub(crate) fn shows(&self, words: &str) -> &Self {
        assert!(self.says(words), "{words:?} is not on {}:\n{}", self.path, self.text());
        self
    }

    /// The form whose button has this text.
    #[track_caller]
    pub(crate) fn form(&self, button: &str) -> Form {
        // What stands in the page itself comes before what stands in the bar of every page.
        let forms = self.main().split("<form ").skip(1).chain(self.html.split("<form ").skip(1));
        let forms = forms.map(|form| form.split("</form>").next().unwrap());
        let pressed = |form: &&str| {
            form.split("<button").skip(1).find_map(|of| {
                let (tag, rest) = of.split_once('>').unwrap();
                let label = unescaped(rest.split("</button>").next().unwrap());
                (label.trim() == button).then(|| attribute(tag, "formaction"))
            })
        };
        let mut wanted = forms.filter_map(|form| Some((form, pressed(&form)?)));
        let (form, own) =
            wanted.next().unwrap_or_else(|| panic!("no form with {button:?} on {}: {}", self.path, self.main()));
        let (head, body) = form.split_once('>').unwrap();
        // A button may have a place of its own.
        Form { action: own.or_else(|| attribute(head, "action")).unwrap(), fields: fields(body) }
    }

    /// The text of what can be copied under this id.
    #[track_caller]
    pub(crate) fn copied(&self, id: &str) -> String {
        let (_, after) =
            self.html.split_once(&format!("<pre id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}: {}", self.main()));
        unescaped(after.split_once('>').unwrap().1.split("</pre>").next().unwrap())
    }

    /// The addresses that it links to.
    pub(crate) fn links(&self) -> Vec<String> {
        self.html.split("<a ").skip(1).filter_map(|a| attribute(a.split('>').next().unwrap(), "href")).collect()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, after) = tag.split_once(&format!("{name}=\""))?;
    Some(unescaped(after.split('"').next().unwrap()))
}

fn fields(body: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for input in body.split("<input ").skip(1) {
        let tag = input.split('>').next().unwrap();
        let is_box = tag.contains("type=\"checkbox\"") || tag.contains("type=\"radio\"");
        if let Some(name) = attribute(&format!(" {tag}"), " name")
            && (!is_box || tag.contains(" checked"))
        {
            fields.push((name, attribute(&format!(" {tag}"), " value").unwrap_or_default()));
        }
    }
    for area in body.split("<textarea ").skip(1) {
        let (tag, text) = area.split_once('>').unwrap();
        let text = unescaped(text.split("</textarea>").next().unwrap());
        fields.push((attribute(&format!(" {tag}"), " name").unwrap(), text.trim_start_matches('\n').to_owned()));
    }
    fields
}

fn unescaped(text: &str) -> String {
    let marks = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#x2f;", "/"),
        ("&#47;", "/"),
        ("&amp;", "&"),
    ];
    marks.iter().fold(text.to_owned(), |text, (mark, plain)| text.replace(mark, plain))
}
