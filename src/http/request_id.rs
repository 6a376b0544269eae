//! Ids of requests: the client's own if it is harmless, else a new one. The id is in the answer, in every log line and, if it is a
//! UUID, as correlation id in the events of the request.

use std::{cell::RefCell, fmt};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use uuid::Uuid;

use super::masking;
use crate::{
    clock::SharedClock,
    secrets::{Entropy, EntropyError},
};

/// The header that carries the request id, in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of one request: visible ASCII, at most 72 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Always ASCII: a client's id was checked, ours is a UUID.
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a UUID, if it is one: a UUID reveals nothing but which request it is.
    pub fn as_uuid(&self) -> Option<Uuid> {
        let text = self.as_str();
        // Only the usual form is accepted, since it reads back the same.
        Uuid::parse_str(text).ok().filter(|id| id.hyphenated().to_string().eq_ignore_ascii_case(text))
    }

    /// The id as a header's value.
    pub fn to_header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes request ids: UUIDv7, whose random part comes from a generator of its own, seeded once. Asking the system for random
/// bytes on every request would cost as much as answering some of them. An id is a name, not a secret.
#[derive(Debug)]
pub(super) struct RequestIds {
    clock: SharedClock,
    random: RefCell<ChaCha8Rng>,
}

impl RequestIds {
    pub(super) fn new(clock: SharedClock, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut seed = [0_u8; 32];
        entropy.fill(&mut seed)?;
        Ok(Self { clock, random: RefCell::new(ChaCha8Rng::from_seed(seed)) })
    }

    /// The client's id if it is harmless, else a new one.
    pub(super) fn take(&self, headers: &HeaderMap) -> RequestId {
        // A key sent in this header by mistake must not get into the logs.
        let is_sane = |value: &&HeaderValue| value.to_str().is_ok_and(masking::is_harmless_id);
        headers.get(&REQUEST_ID).filter(is_sane).map_or_else(|| self.make(), |value| RequestId(value.clone()))
    }

    fn make(&self) -> RequestId {
        let mut random = [0_u8; 10];
        self.random.borrow_mut().fill_bytes(&mut random);
        let now_ms = u64::try_from(self.clock.now().as_millisecond()).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid();
        let mut text = Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut text);
        let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text.as_bytes()));
        // A UUID is always a header's value; the other arm is never taken.
        RequestId(value.unwrap_or_else(|_| HeaderValue::from_static("unknown")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, secrets::SeededEntropy};

    fn take(client: Option<&[u8]>) -> (RequestId, RequestId) {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let ids = RequestIds::new(clock, &SeededEntropy::new(1)).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(client) = client {
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(client).unwrap());
        }
        (ids.take(&headers), ids.take(&headers))
    }

    #[test]
    fn a_sane_id_is_taken_over() {
        assert_eq!(take(Some(b"abc-123")).0.as_str(), "abc-123");
        assert_eq!(take(Some(&[b'x'; 32])).0.as_str().len(), 32);
    }

    #[test]
    fn any_other_request_gets_a_new_uuid_of_version_7() {
        let key = b"%70mt_0123456789abcdef_secret";
        for client in [None, Some(&b""[..]), Some(b"two words"), Some(&[b'x'; 33]), Some("ü".as_bytes()), Some(key)] {
            let (first, second) = take(client);
            assert_ne!(first, second);
            let id: Uuid = first.as_str().parse().unwrap();
            assert_eq!(id.get_version_num(), 7);
            let (seconds, _) = id.get_timestamp().unwrap().to_unix();
            assert_eq!(seconds, 1_767_323_045);
        }
    }
}
