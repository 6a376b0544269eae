//! What the browser has told of one page.

use serde_json::{Value, json};

use super::{
    guard::Guard,
    traffic::{Traffic, text},
};

/// The world of its own, beside the page's scripts, that tests look at a page from.
pub(crate) const WORLD: &str = "person";

/// What was heard of a page since it was opened.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) traffic: Traffic,
    pub(crate) guard: Guard,
    /// The world of the document that is shown.
    pub(crate) world: Option<String>,
    /// The field that asks for a file.
    pub(crate) chooser: Option<Value>,
    frame: String,
}

impl Heard {
    /// Of a page with this frame; whatever it asks for has to be of the server that `url` is an address of.
    pub(crate) fn of(frame: &str, url: &str) -> Self {
        let (traffic, guard) = (Traffic::of(frame), Guard::of(url));
        Self { traffic, guard, world: None, chooser: None, frame: frame.to_owned() }
    }

    /// Takes note of it, and gives what has to be said at once.
    pub(crate) fn hear(&mut self, method: &str, params: &Value) -> Option<(&'static str, Value)> {
        self.traffic.hear(method, params);
        self.guard.hear(method, params, &self.traffic);
        match method {
            "Runtime.executionContextCreated" => {
                let context = &params["context"];
                if context["name"] == WORLD && context["auxData"]["frameId"] == self.frame.as_str() {
                    self.world = Some(text(&context["uniqueId"]));
                }
            }
            "Runtime.executionContextsCleared" => self.world = None,
            "Runtime.executionContextDestroyed"
                if self.world.as_deref() == params["executionContextUniqueId"].as_str() =>
            {
                self.world = None;
            }
            "Page.fileChooserOpened" => self.chooser = Some(params["backendNodeId"].clone()),
            // Everything waits for it. A page that asks whether it may be left may.
            "Page.javascriptDialogOpening" => {
                return Some(("Page.handleJavaScriptDialog", json!({ "accept": true })));
            }
            _ => {}
        }
        None
    }
}
