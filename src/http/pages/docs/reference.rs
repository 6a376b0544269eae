//! `/docs/reference` and `/docs/admin`: the two descriptions of the interface as Swagger UI shows them, with a try of every request.
//! All of it is part of the program (`swagger-ui/README.md` says where it comes from). Each page has one style and one script, in
//! which those of all pages come first.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    domain::id::hex,
    http::{
        Problem, ProblemCode,
        coding::{self, Coding},
        openapi::Audience,
        pages::{
            assets::SCRIPT,
            look::Look,
            route::answered,
            visit::{Anyone, Shown, Visit},
        },
        state::Service,
    },
};

const TEMPLATE: &str = "docs/reference/page.html";
/// Swagger UI draws its icons from `data:` addresses. It needs neither inline styles nor inline scripts. No form of these pages is
/// sent.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);
/// A name that changes with what it names need not be asked for again.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Whoever has a page of another version asks again.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const SWAGGER_STYLE: &str = include_str!("swagger-ui/swagger-ui.css");
const SWAGGER_SCRIPT: &str = include_str!("swagger-ui/swagger-ui-bundle.js");
const OWN_STYLE: &str = include_str!("reference/reference.css");
const OWN_SCRIPT: &str = include_str!("reference/reference.js");

/// The one script: it is the same for every look.
static WHOLE_SCRIPT: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from([SCRIPT, "\n", SWAGGER_SCRIPT, "\n", OWN_SCRIPT].concat()));

/// The one style. That of all pages ends where Swagger UI begins, whose own would be overruled by it. Within a scope the root of the
/// page is called by another name.
fn style(look: &Look) -> String {
    let of_all = look.style.replace(":root", ":scope").replace("\nhtml {", "\n:scope {");
    ["@scope (:root) to (#ui) {\n", &of_all, "}\n", SWAGGER_STYLE, "\n", OWN_STYLE].concat()
}

/// The folder of the files' addresses: another as soon as one of them is another.
fn folder(look: &Look) -> String {
    /// Of what all servers have in common.
    static SHARED: LazyLock<Sha256> = LazyLock::new(|| {
        let shared = [SWAGGER_STYLE, OWN_STYLE, SWAGGER_SCRIPT, OWN_SCRIPT];
        shared.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part))
    });
    let hash = SHARED.clone().chain_update(&look.folder).finalize();
    hex(hash.as_slice().get(..8).unwrap_or_default())
}

/// `GET /docs/reference`
pub(in crate::http::pages) async fn for_consumers(request: HttpRequest) -> HttpResponse {
    answered(&request, page(&request, Audience::Consumers).await)
}

/// `GET /docs/admin`
pub(in crate::http::pages) async fn for_administrators(request: HttpRequest) -> HttpResponse {
    answered(&request, page(&request, Audience::Administrators).await)
}

async fn page(request: &HttpRequest, audience: Audience) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    let context = json!({
        "folder": folder(&visit.service.look),
        "document": audience.path(),
        "is_admin": audience == Audience::Administrators,
    });
    let mut page = visit.page(TEMPLATE, &context)?;
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(page)
}

/// `GET /docs/{folder}/{file}`
pub(in crate::http::pages) async fn file(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let (asked_folder, name) = path.into_inner();
    let (media_type, content) = match name.as_str() {
        "reference.css" => ("text/css; charset=utf-8", Bytes::from(style(&service.look))),
        "reference.js" => ("text/javascript; charset=utf-8", WHOLE_SCRIPT.clone()),
        _ => return Err(Problem::new(ProblemCode::NotFound, "the documentation has no such file")),
    };
    let (content, coded) = coding::encoded(content, Coding::accepted(&request)).await?;
    // The page may come from a server of another version than its files.
    let caching = if asked_folder == folder(&service.look) { FOR_EVER } else { ASK_AGAIN };
    let mut response = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::VARY, "Accept-Encoding"))
        .body(content);
    if let Some(coding) = coded {
        coding::coded(&mut response, coding);
    }
    Ok(response)
}
