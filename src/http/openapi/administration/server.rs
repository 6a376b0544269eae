//! Operations that describe the server: its documents, its pages for programs and people, and its kinds of problems.

use actix_web::http::{Method, StatusCode};
use serde_json::json;

use super::super::{
    answer::{AnswerDoc, HeaderDoc},
    caller::Caller,
    operation::{Operation, Paths},
    parameter::{in_path, shared},
    schema::{one_of, reference, text},
};
use crate::http::{
    ProblemCode::{self, NotFound},
    openapi::command::{ok, read},
    session::OfServer,
};

/// Adds the operations.
pub(super) fn add_to(paths: &mut Paths) {
    let tag = "server";
    let open = |id: &str, summary: &str| Operation::new(Caller::Anybody, id, tag, summary);
    let html = |description| {
        AnswerDoc::new(StatusCode::OK, description).content("text/html", text()).header(HeaderDoc::CacheControl)
    };
    let home = open("show_server", "Say what this server is: a page for browsers, JSON for programs")
        .answers(AnswerDoc::json(StatusCode::OK, "What there is.", reference("Server")).content("text/html", text()));
    paths.add(&Method::GET, "/", home);
    let counters = read::<OfServer>("show_counters", tag, "Show what the actors have counted since the start")
        .answers(ok("The counters.", reference("Counters")));
    paths.add(&Method::GET, "/admin/counters", counters);
    let problems = open("list_problems", "List the kinds of problems").answers(html("A page with all kinds."));
    paths.add(&Method::GET, "/problems", problems);
    let codes: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.slug()).collect();
    let problem = open("show_problem", "Explain a kind of problem")
        .takes([in_path("code", "The kind: the last segment of a problem's `type`.", one_of(&codes))])
        .answers(html("The page of the kind."))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/problems/{code}", problem);
    let document = |caller: Caller, id: &str| {
        Operation::new(caller, id, tag, "This document")
            .takes([shared("if-none-match")])
            .answers(
                AnswerDoc::json(StatusCode::OK, "The document.", json!({ "type": "object" }))
                    .header(HeaderDoc::ETag)
                    .header(HeaderDoc::CacheControl)
                    .header(HeaderDoc::Vary),
            )
            .answers(
                AnswerDoc::new(StatusCode::NOT_MODIFIED, "It is up to date.")
                    .header(HeaderDoc::ETag)
                    .header(HeaderDoc::CacheControl)
                    .header(HeaderDoc::Vary),
            )
    };
    let of_consumers = document(Caller::Welcome, "show_openapi").says(
        "Data sets are in it that everybody may see, and those that whoever asks may read. Asked with a key it counts as a request.",
    );
    paths.add(&Method::GET, "/openapi.json", of_consumers);
    let of_administration = document(Caller::Anybody, "show_admin_openapi").for_administrators();
    paths.add(&Method::GET, "/openapi-admin.json", of_administration);
    paths.add(&Method::GET, "/docs", open("show_docs", "A guide to the interface").answers(html("The page.")));
    let reference = open("show_reference", "This document as a page").answers(html("The page."));
    paths.add(&Method::GET, "/docs/reference", reference);
    let of_administration = open("show_admin_reference", "This document as a page").answers(html("The page."));
    paths.add(&Method::GET, "/docs/admin", of_administration.for_administrators());
}
