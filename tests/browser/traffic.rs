//! What a page asked for, and what it was answered.

use std::collections::HashMap;

use serde_json::Value;

/// A request of a page. What it is led on to by a redirection is part of it.
#[derive(Debug)]
pub(crate) struct Request {
    id: String,
    /// The document that it was made for.
    pub(crate) loader: String,
    /// The method and the address, which are those of the last redirection.
    pub(crate) what: String,
    pub(crate) url: String,
    /// As the protocol names it: `Document`, `Stylesheet`, `Script`, `Image`, `Fetch`…
    pub(crate) kind: String,
    /// Head and body as they were sent, bytes.
    pub(crate) sent_bytes: u64,
    is_over: bool,
}

impl Request {
    /// Whether it is one that a page causes over the network.
    pub(crate) fn is_of_the_page(&self) -> bool {
        let is_inline = ["data:", "blob:", "about:"].iter().any(|scheme| self.url.starts_with(scheme));
        // Browsers look for it by themselves.
        let is_icon = self.kind == "Other" && self.url.ends_with("/favicon.ico");
        !is_inline && !is_icon
    }
}

/// The requests of a page, in order.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// The page's frame; others are within it.
    frame: String,
    pub(crate) requests: Vec<Request>,
    statuses: HashMap<String, u16>,
    /// The document that is shown.
    pub(crate) loader: String,
    /// How many documents were shown.
    pub(crate) documents: usize,
}

impl Traffic {
    pub(crate) fn of(frame: &str) -> Self {
        Self { frame: frame.to_owned(), ..Self::default() }
    }

    /// Takes note of what the browser tells.
    pub(crate) fn hear(&mut self, method: &str, params: &Value) {
        match method {
            "Network.requestWillBeSent" => self.begin(params),
            "Network.webSocketCreated" => self.requests.push(Request {
                id: text(&params["requestId"]),
                loader: self.loader.clone(),
                what: text(&params["url"]),
                url: text(&params["url"]),
                kind: "WebSocket".to_owned(),
                sent_bytes: 0,
                is_over: true,
            }),
            "Network.responseReceived" if params["type"] == "Document" && params["frameId"] == self.frame.as_str() => {
                let status = params["response"]["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                self.statuses.extend(status.map(|status| (text(&params["loaderId"]), status)));
            }
            "Network.loadingFinished" => {
                let bytes = params["encodedDataLength"].as_f64().unwrap_or_default();
                if let Some(request) = self.request_mut(&params["requestId"]) {
                    request.is_over = true;
                    // A float of the protocol, which holds a whole number.
                    request.sent_bytes = bytes.round() as u64;
                }
            }
            "Network.loadingFailed" => {
                if let Some(request) = self.request_mut(&params["requestId"]) {
                    request.is_over = true;
                }
            }
            "Page.frameNavigated" if params["frame"]["id"] == self.frame.as_str() => {
                self.loader = text(&params["frame"]["loaderId"]);
                self.documents += 1;
            }
            _ => {}
        }
    }

    fn begin(&mut self, params: &Value) {
        let url = text(&params["request"]["url"]);
        let what = format!("{} {url}", text(&params["request"]["method"]));
        if let Some(request) = self.request_mut(&params["requestId"]) {
            (request.url, request.what) = (url, what);
            return;
        }
        // Streams go on as long as the page does.
        let is_over = params["type"] == "EventSource" || url.starts_with("data:");
        let (id, loader) = (text(&params["requestId"]), text(&params["loaderId"]));
        let kind = text(&params["type"]);
        self.requests.push(Request { id, loader, what, url, kind, sent_bytes: 0, is_over });
    }

    fn request_mut(&mut self, id: &Value) -> Option<&mut Request> {
        self.requests.iter_mut().rev().find(|request| *id == request.id.as_str())
    }

    pub(crate) fn request(&self, id: &Value) -> Option<&Request> {
        self.requests.iter().rev().find(|request| *id == request.id.as_str())
    }

    /// Whether it is the frame of the page, and not one within it.
    pub(crate) fn is_main(&self, frame: &Value) -> bool {
        *frame == self.frame.as_str()
    }

    /// The status of the document that is shown.
    pub(crate) fn status(&self) -> Option<u16> {
        self.statuses.get(&self.loader).copied()
    }

    /// What the document that is shown asked for and has not got yet.
    pub(crate) fn pending(&self) -> Option<&Request> {
        // Nobody waits for the icon that browsers look for by themselves: a headless one may drop it without a word.
        let own = self.requests.iter().filter(|request| request.is_of_the_page());
        own.filter(|request| !request.is_over).find(|request| request.loader == self.loader)
    }
}

/// The text of a field of the protocol, or nothing.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
