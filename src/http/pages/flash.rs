//! A message for the next page about the last action, with its values: sealed in a cookie, shown once.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, http::header::HeaderValue};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::{Problem, cookie::Cookie, state::Service};

/// The purpose of the seal.
const LABEL: &str = "permitd/flash/v1";
/// Seconds that the message waits for the next page.
const LIFE_S: i64 = 120;
/// Longest value of a message, characters.
const VALUE_CHARS_MAX: usize = 200;

/// A message for the next page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Flash {
    id: String,
    /// The values that fill it in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    with: BTreeMap<String, Value>,
    /// Whether it reports a failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_wrong: bool,
}

impl Flash {
    /// Tells that something was done.
    pub(super) fn done(id: &str) -> Self {
        Self { id: id.to_owned(), with: BTreeMap::new(), is_wrong: false }
    }

    /// Tells that something was not done.
    pub(super) fn not_done(id: &str) -> Self {
        Self { is_wrong: true, ..Self::done(id) }
    }

    /// The same message with a value to fill in.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) => Value::String(text.chars().take(VALUE_CHARS_MAX).collect()),
            value => value,
        };
        self.with.insert(name.to_owned(), value);
        self
    }

    /// The message that a request brings.
    pub(super) fn read(request: &HttpRequest, service: &Service) -> Option<Self> {
        let sealed = Cookie::FLASH.read(request.headers(), &service.public_url)?;
        let (_, text) = service.committer.secrets.open_sealed(LABEL, sealed)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    /// The cookie that brings the message to the next page.
    ///
    /// # Errors
    /// Never: a message can always be written.
    pub(super) fn cookie(&self, service: &Service) -> Result<HeaderValue, Problem> {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).map_err(Problem::internal)?);
        let sealed = service.committer.secrets.seal(LABEL, &text);
        Cookie::FLASH.set(&sealed, LIFE_S, &service.public_url)
    }
}
