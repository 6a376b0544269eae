//! What a page weighs: the bytes that are sent for it, compressed as they are.

use serde_json::json;

use super::page::Browser;

/// What was sent for a page, heads included, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) document: u64,
    pub(crate) style: u64,
    pub(crate) script: u64,
    /// Pictures, fonts, and what scripts asked for.
    pub(crate) rest: u64,
    /// How many requests that took.
    pub(crate) requests: usize,
}

impl Weight {
    /// All that was sent, bytes.
    pub(crate) fn total(&self) -> u64 {
        self.document + self.style + self.script + self.rest
    }
}

impl Browser {
    /// Loads a page as somebody does who has never been there, and weighs it.
    pub(crate) fn weigh(&mut self, url: &str) -> Weight {
        self.call("Network.setCacheDisabled", json!({ "cacheDisabled": true }));
        self.go(url);
        self.settle();
        self.call("Network.setCacheDisabled", json!({ "cacheDisabled": false }));
        self.heard(|heard| {
            let traffic = &heard.traffic;
            let own = traffic.requests.iter().filter(|request| request.loader == traffic.loader);
            let mut weight = Weight::default();
            for request in own.filter(|request| request.is_of_the_page()) {
                weight.requests += 1;
                let sum = match request.kind.as_str() {
                    "Document" => &mut weight.document,
                    "Stylesheet" => &mut weight.style,
                    "Script" => &mut weight.script,
                    _ => &mut weight.rest,
                };
                *sum += request.sent_bytes;
            }
            weight
        })
    }
}
