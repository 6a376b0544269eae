//! A file that is part of the program, as browsers get it: compressed.

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

/// A file's answer depends on nothing else.
pub(super) const VARY_OF_FILE: HeaderValue = HeaderValue::from_static("Accept-Encoding");

/// A file that stays as it is for as long as the program runs: compressed once in each coding, when a browser asks for it first.
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

    /// The file itself.
    #[cfg(test)]
    pub(super) fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// Puts it into an answer, in the coding that the browser likes best.
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
                    // Of two who ask at once each makes it, and one is kept.
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
