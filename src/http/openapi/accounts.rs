//! Operations of signing in, and of people on their own accounts.

use actix_web::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    answer::{AnswerDoc, HeaderDoc},
    caller::Caller,
    command::{COMMAND, Types, WithBody as _, all, created, of_user, ok, reads_usage, versioned},
    operation::{Operation, Paths},
    parameter::{conditions_of_writing, in_path},
    schema::{closed, described, flag, integer, list, moment, nullable, one_of, reference, text, uuid, whole},
};
use crate::{
    domain::{
        notice::NoticeChoice,
        plan::Limits,
        sign_in::{RECOVERY_CODES, SessionEnd, SignInMethod},
        view::KeyRow,
    },
    http::{
        ProblemCode::{
            CodeRequired, Conflict, CrossOrigin, InvalidBody, InvalidCredentials, InvalidParameters, InvalidRequest,
            InvitationLimit, LinkOver, NotFound, Overloaded, SecondFactorRequired, TooManyAttempts, TooManyFromAddress,
            Unavailable,
        },
        routes::{keys, links, me, passwords, sessions},
    },
    store::last_use::UsedKey,
};

/// Adds the operations.
pub(super) fn add_to(paths: &mut Paths, types: &mut Types) {
    signing_in(paths, types);
    oneself(paths, types);
    own_keys(paths, types);
    own_sessions(paths);
    second_factor(paths, types);
    of_others(paths);
}

/// An operation that anybody may call.
pub(super) fn open(id: &str, summary: &str) -> Operation {
    let fails = [InvalidParameters, TooManyFromAddress, Overloaded, Unavailable];
    Operation::new(Caller::Anybody, id, "signing in", summary).fails(&fails)
}

fn read(id: &str, summary: &str) -> Operation {
    Operation::new(Caller::Person, id, "oneself", summary).fails(&[InvalidParameters, SecondFactorRequired])
}

fn read_with_key(id: &str, summary: &str) -> Operation {
    Operation::new(Caller::Oneself, id, "oneself", summary).fails(&[InvalidParameters, SecondFactorRequired])
}

fn command(id: &str, summary: &str) -> Operation {
    let operation = Operation::new(Caller::Person, id, "oneself", summary).takes(conditions_of_writing());
    operation.fails(&COMMAND).fails(&[InvalidParameters, CrossOrigin, SecondFactorRequired, NotFound, Conflict])
}

fn methods() -> Value {
    one_of(&SignInMethod::ALL.map(SignInMethod::as_str))
}

/// The schema of a new session.
pub(super) fn session_started() -> Value {
    whole(
        "A session that began.",
        [
            (
                "token",
                described(text(), "The session's token: shown this once. Scripts send it as `Authorization: Bearer`."),
            ),
            ("id", reference("KeyId")),
            ("user", uuid()),
            ("expires_at", described(moment(), "When it ends at the latest.")),
            ("idle_at", described(moment(), "When it ends unless it is used.")),
            ("method", methods()),
            (
                "second_factor_required",
                described(flag(), "Whether it is good for setting up a second factor, and nothing else."),
            ),
        ],
    )
}

fn signing_in(paths: &mut Paths, types: &mut Types) {
    let start = open("sign_in", "Sign in")
        .says("Sets a cookie for pages as well. Whatever is wrong with address and password, the answer is the same.")
        .with_body(types.body::<sessions::SignInBody>(), true)
        .answers(
            AnswerDoc::json(StatusCode::CREATED, "A session.", session_started())
                .header(HeaderDoc::CacheControl)
                .may_have(HeaderDoc::SetCookie),
        )
        .fails(&[InvalidRequest, InvalidBody, InvalidCredentials, CodeRequired, NotFound, TooManyAttempts, Conflict]);
    paths.add(&Method::POST, "/sessions", start);
    let reset = open("ask_for_password_reset", "Have a link to set another password mailed")
        .says("The answer is the same whether somebody has the address or not.")
        .with_body(types.body::<passwords::ResetBody>(), true)
        .answers(
            AnswerDoc::json(
                StatusCode::ACCEPTED,
                "If somebody has the address, a mail is on its way.",
                whole("", [("detail", text())]),
            )
            .header(HeaderDoc::CacheControl),
        )
        .fails(&[InvalidRequest, InvalidBody]);
    paths.add(&Method::POST, "/password-resets", reset);

    let form = json!({ "type": "string", "pattern": "^pml_[0-9A-Za-z]{27}_[0-9A-Za-z]{43}$" });
    let token = || in_path("token", "What stands behind `/links/` in the mail.", form.clone());
    let purposes = ["invitation", "password_reset", "claim_key"];
    let behind = whole(
        "",
        [("purpose", one_of(&purposes)), ("expires_at", moment()), ("post", described(text(), "What to post to it."))],
    );
    let show = open("show_link", "Say what a link of a mail is for")
        .says("Spends nothing: only posting to it does. Browsers get a form.")
        .takes([token()])
        .answers(ok("What it is for.", behind).content("text/html", text()))
        .fails(&[LinkOver, NotFound]);
    paths.add(&Method::GET, "/links/{token}", show);
    let redeemed = closed(
        "What came of it: the password that was set, or the key.",
        &[],
        [("password", one_of(&["set"])), ("id", reference("KeyId")), ("key", text())],
    );
    let redeem = open("redeem_link", "Do what a link of a mail is for, once")
        .takes([token()])
        .with_body(types.body::<links::LinkBody>(), false)
        .answers(ok("It is done.", redeemed).content("text/html", text()))
        .fails(&[InvalidRequest, InvalidBody, LinkOver, NotFound]);
    paths.add(&Method::POST, "/links/{token}", redeem);
}

fn oneself(paths: &mut Paths, types: &mut Types) {
    let me = whole(
        "Who is asking.",
        [
            ("id", uuid()),
            ("email", nullable(text())),
            ("name", nullable(text())),
            ("role", reference("Role")),
            ("plan", text()),
            ("notices", types.answer::<NoticeChoice>()),
            ("limits", nullable(types.answer::<Limits>())),
            ("invited_at", moment()),
            ("has_password", flag()),
            ("second_factor_since", nullable(moment())),
            ("recovery_codes_left", nullable(integer(0, Some(RECOVERY_CODES as u64)))),
        ],
    );
    let change = command("change_me", "Choose what one is told by mail")
        .with_body(types.body::<me::MeBody>(), true)
        .answers(versioned(StatusCode::OK, "You.", me.clone()));
    paths.add(&Method::PATCH, "/me", change);
    let show = read_with_key("show_me", "Show who is asking, with a session or with a key")
        .answers(versioned(StatusCode::OK, "You.", me))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/me", show);
    let usage = read_with_key("show_my_usage", "Show what one has used, day by day, with a session or with a key");
    paths.add(&Method::GET, "/me/usage", reads_usage(usage).fails(&[NotFound]));
    let set = whole("", [("password", one_of(&["set"]))]);
    let change = command("change_my_password", "Set another password")
        .says("All other sessions end.")
        .with_body(types.body::<me::PasswordBody>(), true)
        .answers(versioned(StatusCode::OK, "It is set.", set))
        .fails(&[InvalidCredentials, TooManyAttempts]);
    paths.add(&Method::PUT, "/me/password", change);
    let export = read("export_me", "Show everything that is kept about oneself")
        .says("What one is recognised by, such as the hash of the password, is named and not shown.")
        .answers(ok("Everything.", reference("Export")))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/me/export", export);
}

fn own_keys(paths: &mut Paths, types: &mut Types) {
    let key_id = || super::command::key_id();
    let keys = read("list_my_keys", "List one's keys")
        .answers(versioned(StatusCode::OK, "The keys.", all(types.answer::<UsedKey>())))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/me/keys", keys);
    let issue = command("issue_my_key", "Issue a key to oneself")
        .with_body(types.body::<keys::NewKeyBody>(), false)
        .answers(created("The key.", reference("IssuedKey")));
    paths.add(&Method::POST, "/me/keys", issue);
    let change = command("change_my_key", "Change what one's key is called and what it may")
        .says("Only what is sent changes; null takes away what was said. It holds at once, on other servers within a second.")
        .takes([key_id()])
        .with_body(types.body::<keys::ChangeKeyBody>(), true)
        .answers(versioned(StatusCode::OK, "The key afterwards.", types.answer::<KeyRow>()));
    paths.add(&Method::PATCH, "/me/keys/{key_id}", change);
    let rotate = command("rotate_my_key", "Replace one's key by a new one")
        .takes([key_id()])
        .with_body(types.body::<keys::RotateBody>(), false)
        .answers(created("The new key.", reference("IssuedKey")));
    paths.add(&Method::POST, "/me/keys/{key_id}/rotate", rotate);
    let revoke = command("revoke_my_key", "Revoke one's key").takes([key_id()]).answers(versioned(
        StatusCode::OK,
        "It is revoked.",
        super::command::revoked(),
    ));
    paths.add(&Method::DELETE, "/me/keys/{key_id}", revoke);
}

fn own_sessions(paths: &mut Paths) {
    let ended = || whole("A session that was ended.", [("id", reference("KeyId")), ("ended_at", nullable(moment()))]);
    let out = command("sign_out", "Sign out").answers(ok("The session is over.", ended()).header(HeaderDoc::SetCookie));
    paths.add(&Method::DELETE, "/sessions/current", out);
    let sessions = read("list_my_sessions", "List one's sessions that work")
        .answers(versioned(StatusCode::OK, "The sessions, the newest first.", all(reference("Session"))))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/me/sessions", sessions);
    let end_all = command("end_my_sessions", "End all of one's sessions").answers(versioned(
        StatusCode::OK,
        "They are over.",
        ended_sessions(),
    ));
    paths.add(&Method::DELETE, "/me/sessions", end_all);
    let end = command("end_my_session", "End one of one's sessions")
        .takes([super::command::key_id()])
        .answers(versioned(StatusCode::OK, "It is over.", ended()));
    paths.add(&Method::DELETE, "/me/sessions/{key_id}", end);
}

fn ended_sessions() -> Value {
    whole("", [("ended", described(integer(0, None), "How many were ended."))])
}

fn second_factor(paths: &mut Paths, types: &mut Types) {
    let begun = whole(
        "A second factor that is to be confirmed.",
        [
            ("secret", described(text(), "The secret in base-32: shown until it is confirmed.")),
            ("otpauth", described(text(), "The same as an address that authenticator apps read.")),
        ],
    );
    let begin = command("begin_second_factor", "Begin a second factor")
        .answers(AnswerDoc::json(StatusCode::CREATED, "Its secret.", begun).header(HeaderDoc::CacheControl))
        .fails(&[TooManyAttempts]);
    paths.add(&Method::POST, "/me/second-factor", begin);
    let codes = described(list(text()), "Each works once in place of a code: shown this once.");
    let confirm = command("confirm_second_factor", "Confirm the second factor by a code of it")
        .says("All other sessions end.")
        .with_body(types.body::<me::second_factor::CodeBody>(), true)
        .answers(ok("It is wanted from now on.", whole("", [("recovery_codes", codes)])))
        .fails(&[TooManyAttempts]);
    paths.add(&Method::PUT, "/me/second-factor", confirm);
    let none = whole("", [("second_factor", json!({ "type": "null" }))]);
    let remove = command("remove_second_factor", "Remove the second factor")
        .says("Whoever has neither its device nor a recovery code asks an administrator.")
        .with_body(types.body::<me::second_factor::RemovalBody>(), true)
        .answers(versioned(StatusCode::OK, "It is not wanted any more.", none))
        .fails(&[InvalidCredentials, TooManyAttempts]);
    paths.add(&Method::DELETE, "/me/second-factor", remove);
}

/// The administrators' operations on how people sign in.
fn of_others(paths: &mut Paths) {
    let sessions = of_user("list_sessions", "List a person's sessions that work", false).answers(versioned(
        StatusCode::OK,
        "The sessions, the newest first.",
        all(reference("Session")),
    ));
    paths.add(&Method::GET, "/users/{id}/sessions", sessions);
    let end = of_user("end_sessions", "End all sessions of a person", true).answers(versioned(
        StatusCode::OK,
        "They are over.",
        ended_sessions(),
    ));
    paths.add(&Method::DELETE, "/users/{id}/sessions", end);
    let reset = of_user("mail_password_reset", "Mail a person a link to set another password", true)
        .answers(versioned(StatusCode::ACCEPTED, "It will be mailed.", whole("", [("user", uuid())])))
        .fails(&[InvitationLimit]);
    paths.add(&Method::POST, "/users/{id}/password-resets", reset);
    let none = whole("", [("user", uuid()), ("second_factor", json!({ "type": "null" }))]);
    let factor = of_user("remove_user_second_factor", "Remove the second factor of somebody who has lost it", true)
        .answers(versioned(StatusCode::OK, "They sign in without.", none));
    paths.add(&Method::DELETE, "/users/{id}/second-factor", factor);
    let export = of_user("export_user", "Show everything that is kept about a person", false)
        .says("What they are recognised by, such as the hash of their password, is named and not shown.")
        .answers(ok("Everything.", reference("Export")));
    paths.add(&Method::GET, "/users/{id}/export", export);
}

/// The schemas of answers that have no Rust type.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let reasons = one_of(&SessionEnd::ALL.map(SessionEnd::as_str));
    let members = || {
        [
            ("id", reference("KeyId")),
            ("user", uuid()),
            ("version", integer(1, None)),
            ("started_at", moment()),
            ("expires_at", described(moment(), "When it ends at the latest.")),
            ("idle_at", described(moment(), "When it ends unless it is used.")),
            ("seen_at", described(moment(), "When it was last used, as far as that is written down.")),
            ("method", methods()),
            (
                "network",
                described(nullable(text()), "The network that the sign-in came from, as `last_used_from` is one."),
            ),
            ("ended_at", nullable(moment())),
            ("end_reason", nullable(reasons.clone())),
            ("last_used_at", described(nullable(moment()), "When data was last read with it.")),
            ("last_used_from", described(nullable(text()), "The network that this came from.")),
        ]
    };
    let required: Vec<&str> = members().iter().map(|(name, _)| *name).collect();
    let current = described(flag(), "Whether it is the one that asks.");
    let session = closed("A session.", &required, members().into_iter().chain([("current", current)]));
    let day = whole("", [("day", integer(0, None)), ("used", integer(0, None))]);
    let count = whole(
        "",
        [
            ("day", integer(0, None)),
            ("key", described(nullable(reference("KeyId")), "Of the key or the session.")),
            ("dataset", text()),
            ("status", integer(0, Some(999))),
            ("requests", json!({ "type": "integer" })),
            ("used", described(json!({ "type": "integer" }), "What they counted as.")),
        ],
    );
    let letter =
        whole("", [("id", text()), ("type", text()), ("reason", text()), ("sent_at", moment()), ("died_at", moment())]);
    let mail = whole("", [("sent_at", moment()), ("message_id", text())]);
    let export = whole(
        "Everything that is kept about a person.",
        [
            ("exported_at", moment()),
            ("user", reference("User")),
            ("keys", list(reference("UsedKey"))),
            ("sessions", list(reference("Session"))),
            ("usage", described(list(day), "Requests by day, counted from 1970-01-01.")),
            ("requests", described(list(count), "Requests by day, key, data set and status.")),
            ("dead_letters", described(list(letter), "Messages about them that were given up.")),
            (
                "mails",
                described(
                    list(mail),
                    "Mails to them that are kept in files here, the newest 1,000. What stands in them is not shown.",
                ),
            ),
            ("events", described(list(reference("Event")), "All that happened, with what is personal in it opened.")),
            (
                "done",
                described(
                    list(reference("Event")),
                    "What they did to data sets, plans and tokens, and in the last 20,000 commits to other people, without data of these.",
                ),
            ),
        ],
    );
    vec![("Session", session), ("Export", export)]
}
