//! Conditional requests (RFC 9110, section 13): the tag of an answer is known before the answer is made.
//!
//! A tag is strong: it is made of the data set's instance and version, of the question in normal form (for a read, the key and the
//! record id), and of the answer's format and coding. So only clients that were sent a tag know it, and it is good for nothing else.
//! An answer is for the bearer of a key and changes with the next import, so caches may keep it for that bearer, and must revalidate
//! it each time.

use std::cell::RefCell;

use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    http::{coding::Coding, ready::Digest},
    store::records::DataSet,
};

/// Changes when another release of permitd writes the same records differently.
const RENDERING: u8 = 1;

const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");
const VARY: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding, X-API-Key, Authorization, Cookie");

/// A digest of everything that an answer depends on, without its coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(pub(super) Digest);

impl Tag {
    /// The tag of an answer to the question `asked` about a data set at a version.
    pub(super) fn of(data_set: &DataSet, version: u64, asked: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update([RENDERING]);
        hash.update(data_set.instance.as_bytes());
        hash.update(version.to_be_bytes());
        hash.update(asked.as_bytes());
        Self::from_hash(hash)
    }

    /// The tag of the same answer with whole numbers and amounts as texts.
    pub(super) fn of_texts(self) -> Self {
        Self::from_hash(Sha256::new_with_prefix([b"texts".as_slice(), &self.0].concat()))
    }

    /// The tag of the same answer with these columns alone, in this order.
    pub(super) fn of_columns<'a>(self, names: impl Iterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new_with_prefix([b"columns".as_slice(), &self.0].concat());
        names.for_each(|name| {
            hash.update(name.as_bytes());
            // No column name has a comma.
            hash.update(b",");
        });
        Self::from_hash(hash)
    }

    fn from_hash(hash: Sha256) -> Self {
        let mut digest = Digest::default();
        digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        Self(digest)
    }

    /// The digest as text: long enough that no two answers share it by chance.
    fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The value of the field `ETag` for the answer in a coding.
    fn value(&self, coding: Option<Coding>) -> Option<HeaderValue> {
        let text = match coding {
            Some(coding) => format!("\"{}-{}\"", self.text(), coding.token()),
            None => format!("\"{}\"", self.text()),
        };
        HeaderValue::try_from(text).ok()
    }

    /// The client's tag, if the client has this answer already, in any coding.
    pub(super) fn is_known(&self, request: &HttpRequest) -> Option<HeaderValue> {
        let (fields, own) = (request.headers().get_all(header::IF_NONE_MATCH), self.text());
        let mut tags = fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(','));
        // `If-None-Match` asks for weak comparison.
        tags.find_map(|tag| {
            let tag = tag.trim();
            let bare = tag.strip_prefix("W/").unwrap_or(tag);
            let inside = bare.strip_prefix('"').and_then(|bare| bare.strip_suffix('"'));
            let known = match inside.and_then(|inside| inside.strip_prefix(own.as_str())) {
                Some("") => Some(self.value(None)),
                Some(rest) => {
                    let coding = rest.strip_prefix('-').and_then(Coding::named);
                    coding.map(|coding| self.value(Some(coding)))
                }
                None => None,
            };
            known.flatten()
        })
    }
}

/// Whether the client wants no answer if there is any: `If-None-Match: *`. Finding out whether there is one is charged like the answer
/// itself: unlike a tag, `*` does not show that the client has the answer.
pub(super) fn wants_nothing(request: &HttpRequest) -> bool {
    request.headers().get(header::IF_NONE_MATCH).is_some_and(|field| field.as_bytes() == b"*")
}

/// The answer to a client that has it already.
pub(super) fn not_modified(tag: HeaderValue) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::NOT_MODIFIED, BoxBody::new(()));
    response.headers_mut().insert(header::ETAG, tag);
    fields(&mut response);
    response
}

/// Turns an answer into one without a body (304).
pub(super) fn without_body(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().remove(header::CONTENT_TYPE);
    response.headers_mut().remove(header::CONTENT_ENCODING);
    // The link to the next page is part of the answer that is not sent.
    response.headers_mut().remove(header::LINK);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.set_body(BoxBody::new(()))
}

/// Adds the tag, and how the answer may be kept.
pub(super) fn tagged(response: &mut HttpResponse, tag: &Tag, coding: Option<Coding>) {
    if let Some(value) = tag.value(coding) {
        response.headers_mut().insert(header::ETAG, value);
    }
    fields(response);
}

fn fields(response: &mut HttpResponse) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    headers.insert(header::VARY, VARY);
}

thread_local! {
    /// The beginning of the tags of reads by key, with its instance and version: most reads have those of the read before.
    static LAST: RefCell<Option<(Uuid, u64, Tag)>> = const { RefCell::new(None) };
}

/// The tag of a read by key, of one record or of all records of the key. This is the hot path.
pub(super) fn of_read(data_set: &DataSet, version: u64, key: &str, record_id: Option<&str>) -> Tag {
    let instance = data_set.instance;
    let last = LAST.with_borrow(|last| last.filter(|(of, at, _)| *of == instance && *at == version));
    let (_, _, Tag(begun)) = last.unwrap_or_else(|| {
        let made = (instance, version, Tag::of(data_set, version, "read"));
        LAST.set(Some(made));
        made
    });
    let mut hash = Sha256::new();
    hash.update(begun);
    hash.update([u8::from(record_id.is_some())]);
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key.as_bytes());
    hash.update(record_id.unwrap_or_default().as_bytes());
    Tag::from_hash(hash)
}
