//! Files that are part of the program, and pages, as browsers get them: compressed.

use std::sync::OnceLock;

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    http::header::{self, HeaderValue},
    web,
};
use bytes::Bytes;

use crate::http::{
    Problem,
    coding::{self, Coding},
    cookie::Cookie,
    state::Service,
};

/// A file's answer depends on nothing else.
const VARY_OF_FILE: HeaderValue = HeaderValue::from_static("Accept-Encoding");
/// A page's answer depends on who asks, and how.
const VARY_OF_PAGE: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding, Accept-Language, Cookie");

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

fn with_body(response: HttpResponse, bytes: Bytes, coding: Option<Coding>, vary: HeaderValue) -> HttpResponse {
    let mut response = response.set_body(BoxBody::new(bytes));
    if let Some(coding) = coding {
        coding::coded(&mut response, coding);
    }
    response.headers_mut().insert(header::VARY, vary);
    response
}

/// A page that was asked for, as its reader's browser likes it best. One that may show a secret is sent as it is: how much a page
/// shrinks tells something of what is on it to whoever sees its length and chooses a part of its address.
///
/// # Errors
/// A fault of ours: when it cannot be compressed.
pub(super) async fn page(request: &HttpRequest, response: HttpResponse) -> Result<HttpResponse, Problem> {
    let is_page = response.extensions().get::<Problem>().is_none()
        && response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page || !request.method().is_safe() || may_show_secret(request) {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let bytes = body.try_into_bytes().map_err(|_| Problem::internal("a page is no document"))?;
    let (bytes, coding) = coding::encoded(bytes, Coding::accepted(request)).await?;
    Ok(with_body(head.set_body(BoxBody::new(())), bytes, coding, VARY_OF_PAGE))
}

/// Whether something was made for this browser that its pages show until somebody says that they have it.
fn may_show_secret(request: &HttpRequest) -> bool {
    let Some(service) = request.app_data::<web::Data<Service>>() else { return true };
    Cookie::HANDED.read(request.headers(), &service.public_url).is_some()
}
