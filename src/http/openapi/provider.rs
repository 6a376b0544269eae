//! Signing in at a provider of identities.

use actix_web::http::{Method, StatusCode};
use serde_json::json;

use super::{
    accounts::{open, session_started},
    answer::{AnswerDoc, HeaderDoc},
    command::{Types, WithBody as _},
    operation::{Operation, Paths},
    parameter::in_query,
    schema::text,
};
use crate::{
    domain::provider::PATH_BYTES_MAX,
    http::{
        ProblemCode::{
            CodeRequired, Conflict, CrossOrigin, InvalidBody, InvalidCredentials, InvalidRequest, InvitationLimit,
            NotAdmitted, NotFound, SignInAgain, TooManyAttempts,
        },
        routes::provider,
    },
};

/// Adds the operations.
pub(super) fn add_to(paths: &mut Paths, types: &mut Types) {
    let path = json!({ "type": "string", "pattern": "^/", "maxLength": PATH_BYTES_MAX, "default": "/home" });
    let begin = open("begin_sign_in_at_provider", "Sign in at the provider of identities")
        .says(
            "Leads a browser to the provider (OpenID Connect). There is one where the setting `oidc.issuer` names it.",
        )
        .takes([in_query("return_to", "Where the browser goes in the end: a path of this server.", path)])
        .answers(led("On to the provider. The cookie binds what comes back to this browser."))
        .fails(&[InvalidRequest, NotFound]);
    paths.add(&Method::GET, "/sign-in/provider", begin);

    let word = |name: &str, description: &str| in_query(name, description, text());
    let finish = entering("finish_sign_in_at_provider", "Come back from the provider")
        .says("The provider leads browsers here. Whatever is wrong with who it says they are, the answer is the same.")
        .takes([
            word("code", "What is exchanged for the provider's token."),
            word("state", "What tells that this browser has begun."),
            word("iss", "Who answers (RFC 9207)."),
            word("error", "Why the provider did not sign anybody in."),
        ])
        .fails(&[InvitationLimit]);
    paths.add(&Method::GET, "/sign-in/provider/callback", finish);
    let code = entering("give_code_after_provider", "Give the code of the second factor that is wanted as well")
        .with_body(types.body::<provider::SecondFactorBody>(), true)
        .fails(&[InvalidBody, InvalidCredentials, CrossOrigin]);
    paths.add(&Method::POST, "/sign-in/provider/callback", code);
}

fn led(description: &'static str) -> AnswerDoc {
    let answer = AnswerDoc::new(StatusCode::SEE_OTHER, description);
    answer.header(HeaderDoc::Location).header(HeaderDoc::SetCookie).header(HeaderDoc::CacheControl)
}

fn entering(id: &str, summary: &str) -> Operation {
    let started = AnswerDoc::json(StatusCode::CREATED, "A session, for whoever accepts JSON.", session_started());
    let wanted = AnswerDoc::new(StatusCode::OK, "A form for the code of the second factor, for browsers.");
    open(id, summary)
        .answers(led("On to where the visit began, with the session's cookie."))
        .answers(started.header(HeaderDoc::CacheControl).header(HeaderDoc::SetCookie))
        .answers(wanted.header(HeaderDoc::CacheControl).may_have(HeaderDoc::SetCookie).content("text/html", text()))
        .fails(&[InvalidRequest, SignInAgain, NotAdmitted, CodeRequired, NotFound, TooManyAttempts, Conflict])
}
