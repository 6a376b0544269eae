//! The interface's documentation: `/openapi.json` as Swagger UI shows it, with a try of every request. All of it is part of the
//! program (`docs/swagger-ui/README.md` says where it comes from); a browser keeps its files for as long as they stay the same.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    http::header::{self, HeaderValue},
    web,
};
use sha2::{Digest, Sha256};

use super::{file, packed::PackedFile};
use crate::{
    domain::id::hex,
    http::{Problem, ProblemCode},
};

/// Swagger UI draws its icons from `data:` addresses. It needs neither inline styles nor inline scripts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A name that changes with what it names need not be asked for again.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The page's one style and its one script: Swagger UI's, and behind it our own.
const STYLE: &str = concat!(include_str!("docs/swagger-ui/swagger-ui.css"), "\n", include_str!("docs/docs.css"));
const SCRIPT: &str =
    concat!(include_str!("docs/swagger-ui/swagger-ui-bundle.js"), "\n;\n", include_str!("docs/docs.js"));

/// Name, media type and content of the page's files.
static FILES: LazyLock<[(&str, &str, PackedFile); 2]> = LazyLock::new(|| {
    [
        ("docs.css", "text/css; charset=utf-8", PackedFile::new(STYLE)),
        ("docs.js", "text/javascript; charset=utf-8", PackedFile::new(SCRIPT)),
    ]
});

/// The folder of the files' addresses: another as soon as one of them is another.
static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for content in [STYLE, SCRIPT] {
        hash.update(content);
    }
    hex(hash.finalize().as_slice().get(..8).unwrap_or_default())
});

/// `GET /docs`
pub(super) async fn page() -> HttpResponse {
    // Relative, so that it works below whatever path a proxy puts before it.
    let page = include_str!("docs/index.html").replace("ASSETS", &format!("docs/{}", *FOLDER));
    file("text/html; charset=utf-8", POLICY).set_body(BoxBody::new(page))
}

/// `GET /docs/{folder}/{file}`
pub(super) async fn asset(request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let (folder, name) = path.into_inner();
    let Some((_, media_type, content)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return Problem::new(ProblemCode::NotFound, "the documentation has no such file").respond(&request);
    };
    let mut response = file(media_type, POLICY);
    // The page may come from a server of another version than its files.
    if folder == *FOLDER {
        response.headers_mut().insert(header::CACHE_CONTROL, FOR_EVER);
    }
    content.put_into(&request, response).await.unwrap_or_else(|problem| problem.respond(&request))
}
