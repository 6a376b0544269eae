//! A file of the program, compressed for browsers.

use std::sync::OnceLock;

use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    http::header::{self, HeaderValue},
};
use bytes::Bytes;

use crate::http::{
    Problem,
    coding::{self, Coding},
};

/// The only request header that a file's answer depends on.
pub(super) const VARY_OF_FILE: HeaderValue = HeaderValue::from_static("Accept-Encoding");

/// A file that does not change while the program runs: compressed once in each coding, at the first request for that coding.
#[derive(Debug)]
pub(super) struct PackedFile {
    plain: Bytes,
    packed: [(Coding, OnceLock<Bytes>); 3],
}

impl PackedFile {
    pub(super) fn new(content: impl Into<Bytes>) -> Self {
        let packed = [Coding::Gzip, Coding::Brotli, Coding::Zstd].map(|coding| (coding, OnceLock::new()));
        Self { plain: content.into(), packed }
    }

    /// The uncompressed file.
    #[cfg(test)]
    pub(super) fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// Puts the file into an answer, in the coding that the browser prefers.
    ///
    /// # Errors
    /// A fault of ours: when it cannot be compressed.
    pub(super) async fn put_into(
        &self,
        request: &HttpRequest,
        response: HttpResponse,
    ) -> Result<HttpResponse, Problem> {
        let wanted = Coding::accepted(request);
        let (bytes, coding) = match self.packed.iter().find(|(coding, _)| Some(*coding) == wanted) {
            None => (self.plain.clone(), None),
            Some((coding, packed)) => match packed.get() {
                Some(bytes) => (bytes.clone(), Some(*coding)),
                None => {
                    let (bytes, coding) = coding::encoded(self.plain.clone(), wanted).await?;
                    // Simultaneous first requests compress the file each; one result is kept.
                    let kept = if coding.is_some() { packed.get_or_init(|| bytes).clone() } else { bytes };
                    (kept, coding)
                }
            },
        };
        Ok(with_body(response, bytes, coding, VARY_OF_FILE))
    }
}

pub(super) fn with_body(
    response: HttpResponse,
    bytes: Bytes,
    coding: Option<Coding>,
    vary: HeaderValue,
) -> HttpResponse {
    let mut response = response.set_body(BoxBody::new(bytes));
    if let Some(coding) = coding {
        coding::coded(&mut response, coding);
    }
    response.headers_mut().insert(header::VARY, vary);
    response
}
