//! The style and the script of all pages: part of the program, under an address that changes with their content.

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use super::{content::SCRIPT, packed_file::PackedFile};
use crate::http::{Problem, ProblemCode, state::Service};

static PACKED_SCRIPT: LazyLock<PackedFile> = LazyLock::new(|| PackedFile::new(SCRIPT));
/// A file under an address that changes with its content need not be asked for again.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// `GET /-/{folder}/{file}`
pub(super) async fn show(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    service: web::Data<Service>,
) -> HttpResponse {
    let (folder, name) = path.into_inner();
    let (media_type, content) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", &*service.look.style),
        "script.js" => ("text/javascript; charset=utf-8", &*PACKED_SCRIPT),
        _ => return Problem::new(ProblemCode::NotFound, "the pages have no such file").respond(&request),
    };
    // The page may come from a server of another version.
    let caching = if folder == service.look.folder { FOR_EVER } else { "no-cache" };
    let response = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CACHE_CONTROL, caching))
        .finish();
    content.put_into(&request, response).await.unwrap_or_else(|problem| problem.respond(&request))
}
