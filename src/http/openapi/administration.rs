//! The administrator's resources.

mod records;
mod schemas;
mod server;

use actix_web::http::{Method, StatusCode};
use serde_json::{Value, json};

pub(super) use self::schemas::{issued_key, issued_token, schemas};
use super::{
    answer::{AnswerDoc, HeaderDoc},
    caller::Caller,
    command::{
        BODY, Types, WithBody, all, command, created, effective_at, key_id, key_pattern, ok, page, read, reads_usage,
        revoked, user_id, versioned,
    },
    operation::{Operation, Paths},
    parameter::{in_path, in_query, one_word, shared},
    schema::{closed, described, integer, list, log_position, moment, nullable, reference, text, uuid, whole},
};
use crate::{
    domain::{
        persisted,
        roster::{ROSTER_BYTES_MAX, ROSTER_ROWS_MAX},
        view::{InvitationState, KeyRow, PlanRow, UserRow},
    },
    http::{
        ProblemCode::{
            Conflict, InvalidBody, InvalidParameters, InvalidRequest, InvitationLimit, NotFound, Overloaded,
            TooManyFromAddress,
        },
        routes::{admin_tokens, dead_letters, invitations, keys, leaks, mail, plans, users},
        session::{OfAll, OfEvents, OfPeople, OfPlans, OfServer},
    },
    store::last_use::UsedKey,
};

/// The headings, with their descriptions.
pub(super) fn tags() -> Vec<Value> {
    let tags = [
        ("people", "Who is invited, and what they may do."),
        ("keys", "The API keys of people."),
        ("signing in", "Links of mails, passwords and sessions."),
        ("oneself", "What people see and change of themselves."),
        ("plans", "How fast and how much keys may ask."),
        ("log", "The append-only log that everything follows from."),
        ("imports", "Where the records came from."),
        ("data sets", "What is published."),
        ("dead letters", "Messages that failed too often."),
        ("administrators' tokens", "Named tokens that may a part of this, or all of it."),
        ("server", "What this server is and how it says no."),
    ];
    tags.map(|(name, description)| json!({ "name": name, "description": description })).into()
}

/// Adds the operations.
pub(super) fn add_to(paths: &mut Paths, types: &mut Types) {
    people(paths, types);
    of_keys(paths, types);
    of_plans(paths, types);
    log(paths);
    records::imports(paths, types);
    records::data_sets(paths, types);
    dead_letters(paths, types);
    mails(paths, types);
    admin_tokens(paths, types);
    leaked(paths, types);
    server::add_to(paths);
}

fn people(paths: &mut Paths, types: &mut Types) {
    let tag = "people";
    let statuses = ["invited", "active", "disabled", "deleted"];
    let search = json!({ "type": "string", "maxLength": users::SEARCH_CHARS_MAX });
    let list = read::<OfPeople>("list_users", tag, "List people, the newest first")
        .takes([
            in_query("search", "Only those whose address or name holds this.", search),
            one_word("status", "Only those who stand so.", &statuses),
            one_word(
                "invitation",
                "Only those whose last invitation has come so far.",
                &InvitationState::ALL.map(InvitationState::as_str),
            ),
            in_query("plan", "Only those who have this plan; nobody who was deleted.", text()),
            shared("items"),
            in_query("after", "Where the page begins: `page.next` of the page before has it.", uuid()),
        ])
        .answers(page("A page of people.", types.answer::<UserRow>()));
    paths.add(&Method::GET, "/users", list);
    let invite = command::<OfPeople>("invite_user", tag, "Invite somebody")
        .says("They get an API key by mail.")
        .with_body(types.body::<users::InviteBody>(), true)
        .answers(created("They are invited.", types.answer::<UserRow>()))
        .fails(&[Conflict, InvitationLimit]);
    paths.add(&Method::POST, "/users", invite);

    let show = read::<OfPeople>("show_user", tag, "Show a person")
        .takes([user_id(), as_of()])
        .answers(versioned(StatusCode::OK, "The person.", types.answer::<UserRow>()))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/users/{id}", show);
    let change = command::<OfPeople>("change_user", tag, "Change a person")
        .says("Their keys follow at once, on other servers within a second.")
        .takes([user_id()])
        .with_body(types.body::<users::ChangeUserBody>(), true)
        .answers(versioned(StatusCode::OK, "The person afterwards.", types.answer::<UserRow>()))
        .fails(&[NotFound, Conflict]);
    paths.add(&Method::PATCH, "/users/{id}", change);
    let deleted = closed(
        "A person who was deleted.",
        &["id", "deleted_at", "effective_at"],
        [("id", uuid()), ("deleted_at", moment()), ("effective_at", nullable(effective_at()))],
    );
    let delete = command::<OfPeople>("delete_user", tag, "Delete a person")
        .says("Ends their keys and erases their name and address for good.")
        .takes([user_id()])
        .answers(versioned(StatusCode::OK, "They are deleted.", deleted))
        .fails(&[NotFound, Conflict]);
    paths.add(&Method::DELETE, "/users/{id}", delete);

    let resend = command::<OfPeople>("resend_invitation", tag, "Mail a person's invitation again")
        .takes([user_id()])
        .answers(versioned(StatusCode::ACCEPTED, "It will be mailed.", types.answer::<UserRow>()))
        .fails(&[NotFound, Conflict, InvitationLimit]);
    paths.add(&Method::POST, "/users/{id}/invitations", resend);

    let allow = command::<OfPeople>("allow_mail", tag, "Let mail go to a person's address again")
        .says("Where a mail to it came back for good, or was reported as unwanted. What was not sent meanwhile is not sent by this: resend the invitation.")
        .takes([user_id()])
        .answers(versioned(StatusCode::OK, "The person.", types.answer::<UserRow>()))
        .fails(&[NotFound, Conflict]);
    paths.add(&Method::POST, "/users/{id}/mail/allow", allow);
    many_invitations(paths, types);
    let shown = read::<OfPeople>("show_usage", tag, "Show what a person has used, day by day").takes([user_id()]);
    paths.add(&Method::GET, "/users/{id}/usage", reads_usage(shown).fails(&[NotFound]));
}

/// The parameter of what is shown as it was.
fn as_of() -> Value {
    let says = "As it was: at this moment, at this position of the log (`position:1200`), or right after the commit of this version of \
                its stream: the person's, in whose stream their keys are, or the plan's. Only the stream is read. What was erased \
                since stays so.";
    in_query("as_of", says, json!({ "anyOf": [integer(0, None), moment(), log_position()] }))
}

fn many_invitations(paths: &mut Paths, types: &mut Types) {
    let tag = "people";
    let list = json!({ "type": "string", "maxLength": ROSTER_BYTES_MAX, "examples": ["email,name,role,plan\nana@example.org,Ana,reader,\n"] });
    let says = format!(
        "A CSV file in UTF-8 of at most {ROSTER_ROWS_MAX} rows. Its first line names its columns: `email`, and `name`, `role`, `plan` \
         where there are such. Whoever is there already stays as they are. Sent again under the same Idempotency-Key, after a crash \
         too, it does what is left to do."
    );
    let mode = "`all`: nobody is invited if one row is wrong or the hour has no room for all; where nothing is said. `good`: those \
                whose rows are right, as many as the hour has room for.";
    let invite = command::<OfPeople>("invite_users", tag, "Invite everybody on a list")
        .says(&says)
        .takes([
            in_query("dry_run", "Only say what would become of each row.", super::schema::flag()),
            one_word("mode", mode, &["all", "good"]),
        ])
        .body("text/csv", list, true)
        .answers(ok("What became of each row.", types.answer::<invitations::ShownRoster>()))
        .fails(&BODY)
        .fails(&[InvalidParameters, InvitationLimit, Overloaded]);
    paths.add(&Method::POST, "/invitations", invite);
    let counts = whole(
        "What was mailed again.",
        [
            ("resent", described(integer(0, None), "Invitations that will be mailed.")),
            (
                "deferred",
                described(integer(0, None), "Invitations that the bounds of an hour put off: ask again later."),
            ),
            ("left", described(integer(0, None), "Invitations beyond those that one request takes: ask again.")),
        ],
    );
    let resend = command::<OfPeople>("resend_invitations", tag, "Mail all invitations again that were not delivered")
        .says("Those whose mail was refused, and those that have waited for their mail for an hour.")
        .answers(AnswerDoc::json(StatusCode::ACCEPTED, "They will be mailed.", counts).header(HeaderDoc::CacheControl))
        .fails(&[Overloaded]);
    paths.add(&Method::POST, "/invitations/resend", resend);
}

fn of_keys(paths: &mut Paths, types: &mut Types) {
    let tag = "keys";
    let list = read::<OfPeople>("list_keys", tag, "List a person's keys")
        .takes([user_id(), as_of()])
        .answers(versioned(StatusCode::OK, "Their keys.", all(types.answer::<UsedKey>())))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/users/{id}/keys", list);
    let issue = command::<OfPeople>("issue_key", tag, "Issue a key")
        .says("The answer holds the key itself: this once, and for a retry under the same Idempotency-Key within an hour.")
        .takes([user_id()])
        .with_body(types.body::<keys::NewKeyBody>(), false)
        .answers(created("The key.", reference("IssuedKey")))
        .fails(&[NotFound, Conflict]);
    paths.add(&Method::POST, "/users/{id}/keys", issue);

    let show = read::<OfPeople>("show_key", tag, "Show a key")
        .takes([user_id(), key_id(), as_of()])
        .answers(versioned(StatusCode::OK, "The key, without its secret.", types.answer::<UsedKey>()))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/users/{id}/keys/{key_id}", show);
    let change = command::<OfPeople>("change_key", tag, "Change what a key is called and what it may")
        .says("Only what is sent changes; null takes away what was said. It holds at once, on other servers within a second.")
        .takes([user_id(), key_id()])
        .with_body(types.body::<keys::ChangeKeyBody>(), true)
        .answers(versioned(StatusCode::OK, "The key afterwards.", types.answer::<KeyRow>()))
        .fails(&[NotFound, Conflict]);
    paths.add(&Method::PATCH, "/users/{id}/keys/{key_id}", change);
    let revoke = command::<OfPeople>("revoke_key", tag, "Revoke a key")
        .says("It is refused at once by this server, and everywhere from `effective_at` on.")
        .takes([user_id(), key_id()])
        .answers(versioned(StatusCode::OK, "It is revoked.", revoked()))
        .fails(&[NotFound, Conflict]);
    paths.add(&Method::DELETE, "/users/{id}/keys/{key_id}", revoke);
    let rotate = command::<OfPeople>("rotate_key", tag, "Replace a key by a new one")
        .takes([user_id(), key_id()])
        .with_body(types.body::<keys::RotateBody>(), false)
        .answers(created("The new key.", reference("IssuedKey")))
        .fails(&[NotFound, Conflict]);
    paths.add(&Method::POST, "/users/{id}/keys/{key_id}/rotate", rotate);
}

fn of_plans(paths: &mut Paths, types: &mut Types) {
    let tag = "plans";
    let name = || in_path("name", "The plan.", json!({ "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,39}$" }));
    let list = read::<OfPlans>("list_plans", tag, "List the plans")
        .takes([one_word(
            "count",
            "Say of each plan how many people have it; takes as long as reading them.",
            &["people"],
        )])
        .answers(ok("All plans.", all(types.answer::<plans::ListedPlan>())));
    paths.add(&Method::GET, "/plans", list);
    let show = read::<OfPlans>("show_plan", tag, "Show a plan")
        .takes([name(), as_of()])
        .answers(versioned(StatusCode::OK, "The plan.", types.answer::<PlanRow>()))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/plans/{name}", show);
    let people = read::<OfPeople>("list_plan_users", tag, "List the people who have a plan, the newest first")
        .takes([
            name(),
            in_query(
                "search",
                "Only those whose address or name holds this.",
                json!({ "type": "string", "maxLength": users::SEARCH_CHARS_MAX }),
            ),
            one_word("status", "Only those who stand so.", &["invited", "active", "disabled"]),
            one_word(
                "invitation",
                "Only those whose last invitation has come so far.",
                &InvitationState::ALL.map(InvitationState::as_str),
            ),
            shared("items"),
            in_query("after", "Where the page begins: `page.next` of the page before has it.", uuid()),
        ])
        .answers(page("A page of people.", types.answer::<UserRow>()))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/plans/{name}/users", people);
    let define = command::<OfPlans>("define_plan", tag, "Make a plan, or change one")
        .says("Keys of the plan have the new limits within a second.")
        .takes([name()])
        .with_body(types.body::<plans::LimitsBody>(), true)
        .answers(versioned(StatusCode::OK, "The plan as it is now.", types.answer::<PlanRow>()))
        .answers(created("The plan, which is new.", types.answer::<PlanRow>()));
    paths.add(&Method::PUT, "/plans/{name}", define);
    let retire = command::<OfPlans>("retire_plan", tag, "Retire a plan")
        .says("Nobody gets it any more; those who have it keep it. The one of `users.default_plan` is refused.")
        .takes([name()])
        .answers(versioned(StatusCode::OK, "The plan, retired.", types.answer::<PlanRow>()))
        .fails(&[NotFound, Conflict]);
    paths.add(&Method::DELETE, "/plans/{name}", retire);
}

fn log(paths: &mut Paths) {
    let tag = "log";
    let place = json!({ "type": "integer", "format": "int64", "minimum": 0 });
    let after = || in_query("after", "Where the page begins: `page.next` of the page before has it.", place.clone());
    let events = read::<OfEvents>("list_events", tag, "List events")
        .says(
            "`limit` bounds the commits of a page, so that the events of one command stay together. Where few of many events are \
             wanted, a page may hold none and have a next one. With `format=ndjson`, or as Accept has it, the answer is everything that \
             is wanted, an event a line; with `follow=true` it goes on with what comes: after the last line's `position` whoever was \
             cut off begins again. An empty line is sent when nothing came for a while. Over DynamoDB a follower is told of a commit \
             after half a minute, so that one whose writer's clock is late comes in its place.",
        )
        .takes([
            one_word("order", "Which end of the log comes first.", &["oldest", "newest"]),
            one_word("type", "Only events of this type.", &persisted::types()),
            in_query("since", "Only what was recorded at this moment or later.", moment()),
            in_query("until", "Only what was recorded before this moment.", moment()),
            in_query("person", "Only what happened to this person.", uuid()),
            in_query(
                "correlation",
                "Only what belongs to this request, by its id: `x-request-id` of its answer, `correlation_id` of its events.",
                json!({ "type": "string", "minLength": 1 }),
            ),
            one_word("format", "A page, or lines.", &["json", "ndjson"]),
            in_query("follow", "Go on with what comes.", super::schema::flag()),
            after(),
            shared("items"),
        ])
        .answers(
            page("A page of the log.", reference("Event"))
                .content("application/x-ndjson", described(text(), "An event a line, each as JSON.")),
        )
        .fails(&[Overloaded]);
    paths.add(&Method::GET, "/events", events);
    let checkpoint = || reference("Checkpoint");
    let checkpoints = read::<OfEvents>("list_checkpoints", tag, "List the signed checkpoints, the latest first")
        .says(
            "Each stands for the last commit of every stream and for all versions of data sets, and names the one before it. Whoever keeps one can \
             tell later whether anything before it was changed.",
        )
        .also_for_readers()
        .takes([after(), shared("items")])
        .answers(
            page("A page of checkpoints.", checkpoint())
                .may_have(HeaderDoc::RateLimit)
                .may_have(HeaderDoc::RateLimitPolicy),
        );
    paths.add(&Method::GET, "/checkpoints", checkpoints);
    let show = read::<OfEvents>("show_checkpoint", tag, "Show a signed checkpoint")
        .also_for_readers()
        .takes([in_path("number", "Its number.", integer(1, None))])
        .answers(
            ok("The checkpoint.", checkpoint()).may_have(HeaderDoc::RateLimit).may_have(HeaderDoc::RateLimitPolicy),
        )
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/checkpoints/{number}", show);
    let of_user = read::<OfPeople>("list_user_events", tag, "List what happened to a person")
        .takes([user_id(), after(), shared("items")])
        .answers(page("A page of their events, the oldest first.", reference("Event")))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/users/{id}/events", of_user);
}

fn dead_letters(paths: &mut Paths, types: &mut Types) {
    let tag = "dead letters";
    let listing = read::<OfServer>("list_dead_letters", tag, "List messages that failed too often")
        .takes([
            in_query("reason", "Only those whose reason has this part.", text()),
            in_query("type", "Only those about events of this type, such as `UserInvited`.", text()),
            shared("items"),
        ])
        .answers(ok("The messages.", all(reference("DeadLetter"))));
    paths.add(&Method::GET, "/dead-letters", listing);
    let left = ("left", described(integer(0, None), "How many of them are left, as far as was looked."));
    let all_sent = whole("", [("redriven", described(integer(0, None), "How many were sent again.")), left.clone()]);
    let group = whole("", [("type", text()), ("reason", text()), ("count", integer(0, None))]);
    let would = whole(
        "",
        [
            ("dry_run", json!({ "type": "boolean" })),
            ("matching", described(integer(0, None), "How many it would be.")),
            ("groups", described(list(group), "By type and reason.")),
        ],
    );
    let redrive_all =
        command::<OfServer>("redrive_dead_letters", tag, "Send messages again, all or by reason and type")
            .says("Those that are there now, at most ten thousand. With `dry_run` it says only which those are.")
            .with_body(types.body::<dead_letters::LettersBody>(), false)
            .answers(ok("With `dry_run`: what would be sent.", would.clone()))
            .answers(
                AnswerDoc::json(StatusCode::ACCEPTED, "They will be worked on.", all_sent)
                    .header(HeaderDoc::CacheControl),
            );
    paths.add(&Method::POST, "/dead-letters/redrive", redrive_all);
    let discarded = whole("", [("discarded", described(integer(0, None), "How many are gone.")), left]);
    let discard_all = command::<OfServer>("discard_dead_letters", tag, "Remove messages for good, by reason and type")
        .says("Nothing of what they ask for is done. At least one of `reason` and `type` is needed. With `dry_run` it says only which those are.")
        .with_body(types.body::<dead_letters::LettersBody>(), false)
        .answers(ok("They are gone; with `dry_run`: what would be removed.", json!({ "oneOf": [discarded, would] })));
    paths.add(&Method::POST, "/dead-letters/discard", discard_all);
    let redrive = command::<OfServer>("redrive_dead_letter", tag, "Send a message again")
        .takes([in_path("id", "The message.", json!({ "type": "string", "minLength": 1 }))])
        .answers(
            AnswerDoc::json(StatusCode::ACCEPTED, "It will be worked on.", whole("", [("id", text())]))
                .header(HeaderDoc::CacheControl),
        )
        .fails(&[NotFound]);
    paths.add(&Method::POST, "/dead-letters/{id}/redrive", redrive);
}

fn mails(paths: &mut Paths, types: &mut Types) {
    let outcomes = super::schema::one_of(&["taken", "refused", "unavailable", "withheld"]);
    let transports = super::schema::one_of(&["file", "smtp", "ses"]);
    let tested = whole("", [("mail", text()), ("transport", transports), ("outcome", outcomes), ("answer", text())]);
    let test = command::<OfServer>("test_mail", "server", "Send the example of a mail")
        .says("The answer says what the mail system said. To an address whose mail came back nothing is sent.")
        .with_body(types.body::<mail::TestBody>(), true)
        .answers(ok("What became of it.", tested));
    paths.add(&Method::POST, "/mail/test", test);
}

fn admin_tokens(paths: &mut Paths, types: &mut Types) {
    let tag = "administrators' tokens";
    let id = || in_path("id", "The token's public id.", key_pattern());
    let list = read::<OfAll>("list_admin_tokens", tag, "List the administrators' tokens, the newest first")
        .takes([
            one_word("status", "Only those that stand so.", &["active", "expired", "revoked"]),
            shared("items"),
            in_query("after", "Where the page begins: `page.next` of the page before has it.", key_pattern()),
        ])
        .answers(page("A page of tokens, without their secrets.", types.answer::<admin_tokens::ShownToken>()));
    paths.add(&Method::GET, "/admin-tokens", list);
    let create = command::<OfAll>("create_admin_token", tag, "Make a token")
        .says(
            "It may what its scopes say, and only read where `read_only` is set. It does not outlive the token that makes it. The answer \
             holds the token itself: this once, and for a retry under the same Idempotency-Key within an hour.",
        )
        .with_body(types.body::<admin_tokens::TokenBody>(), true)
        .answers(created("The token.", reference("IssuedAdminToken")))
        .fails(&[Conflict]);
    paths.add(&Method::POST, "/admin-tokens", create);
    let show = read::<OfAll>("show_admin_token", tag, "Show a token")
        .takes([id()])
        .answers(ok("The token, without its secret.", types.answer::<admin_tokens::ShownToken>()))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/admin-tokens/{id}", show);
    let revoked = whole("A token that was revoked.", [("id", reference("KeyId")), ("revoked_at", nullable(moment()))]);
    let revoke = command::<OfAll>("revoke_admin_token", tag, "Revoke a token")
        .says("Every server refuses it at once.")
        .takes([id()])
        .answers(versioned(StatusCode::OK, "It is revoked.", revoked))
        .fails(&[NotFound]);
    paths.add(&Method::DELETE, "/admin-tokens/{id}", revoke);
}

fn leaked(paths: &mut Paths, types: &mut Types) {
    let received = whole("That the report was received.", [("status", super::schema::one_of(&["received"]))]);
    let report = Operation::new(Caller::Anybody, "report_leak", "keys", "Report keys and tokens that have leaked")
        .says(
            "For whoever finds keys where others can read them. Those that are ours and work are revoked, and their owners told. The \
             answer is the same whatever is in the text. The text may be sent as `text/plain` as well.",
        )
        .body("application/json", types.body::<leaks::ReportBody>(), true)
        .answers(AnswerDoc::json(StatusCode::ACCEPTED, "It is looked at.", received).header(HeaderDoc::CacheControl))
        .fails(&[InvalidParameters, InvalidRequest, InvalidBody, TooManyFromAddress, Overloaded])
        .fails(&BODY);
    paths.add(&Method::POST, "/leaks", report);
}
