//! The interface's documentation: `/openapi.json` as Swagger UI shows it, with a try of every request. All of it is part of the
//! program (`docs/swagger-ui/README.md` says where it comes from); a browser keeps its files for as long as they stay the same.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::file;
use crate::{
    domain::id::hex,
    http::{Problem, ProblemCode},
};

/// Swagger UI draws its icons from `data:` addresses. It needs neither inline styles nor inline scripts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A name that changes with what it names need not be asked for again.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Name, media type and content of the page's files.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("docs.css", "text/css; charset=utf-8", include_bytes!("docs/docs.css")),
    ("docs.js", "text/javascript; charset=utf-8", include_bytes!("docs/docs.js")),
    ("swagger-ui.css", "text/css; charset=utf-8", include_bytes!("docs/swagger-ui/swagger-ui.css")),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8", include_bytes!("docs/swagger-ui/swagger-ui-bundle.js")),
];

/// The folder of the files' addresses: another as soon as one of them is another.
static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (_, _, content) in FILES {
        hash.update(content);
    }
    hex(hash.finalize().as_slice().get(..8).unwrap_or_default())
});

/// `GET /docs`
pub(super) async fn page() -> HttpResponse {
    // Relative, so that it works below whatever path a proxy puts before it.
    let page = include_str!("docs/index.html").replace("ASSETS", &format!("docs/{}", *FOLDER));
    file("text/html; charset=utf-8", POLICY, page)
}

/// `GET /docs/{folder}/{file}`
pub(super) async fn asset(request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let (folder, name) = path.into_inner();
    let Some((_, media_type, content)) = FILES.into_iter().find(|(known, ..)| *known == name) else {
        return Problem::new(ProblemCode::NotFound, "the documentation has no such file").respond(&request);
    };
    let mut response = file(media_type, POLICY, Bytes::from_static(content));
    // The page may come from a server of another version than its files.
    if folder == *FOLDER {
        response.headers_mut().insert(header::CACHE_CONTROL, FOR_EVER);
    }
    response
}
