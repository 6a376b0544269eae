//! Named schemas that several operations share.

use serde_json::{Value, json};

use super::{
    super::{
        answer,
        schema::{closed, described, integer, list, moment, nullable, one_of, reference, text, uuid, whole},
    },
    records,
};
use crate::{domain::persisted, http::openapi::schema::path};

/// The schemas of answers that have no Rust type.
pub(in crate::http::openapi) fn schemas() -> Vec<(&'static str, Value)> {
    let list_page = whole(
        "Where the page is among others.",
        [("limit", described(integer(1, None), "Entries of a page at most.")), ("next", answer::next_page())],
    );
    vec![
        ("Counters", counters()),
        ("DataSet", records::data_set()),
        ("DescribedDataSet", records::described_data_set()),
        ("DataSetForReaders", records::data_set_for_readers()),
        ("SelfDescription", records::self_description()),
        ("Figures", records::figures()),
        ("Checkpoint", checkpoint()),
        ("DeadLetter", dead_letter()),
        ("Event", event()),
        ("ListPage", list_page),
        ("Server", about()),
    ]
}

/// A signed checkpoint.
fn checkpoint() -> Value {
    whole(
        "A signed checkpoint of the log.",
        [
            ("number", described(integer(1, None), "Its number, without gaps.")),
            ("at", described(moment(), "When it was made.")),
            (
                "previous",
                nullable(described(
                    text(),
                    "The SHA-256 of the text of the one before it, in hex. Null for the first.",
                )),
            ),
            ("position", described(text(), "It covers the log up to this position.")),
            (
                "leaves",
                described(integer(0, None), "How many leaves its tree has: a stream or a version of a data set each."),
            ),
            ("root", described(text(), "The root of the tree, in hex (RFC 6962).")),
            ("text", described(text(), "What was signed, byte for byte.")),
            ("signature", described(text(), "The signature of the text: Ed25519, in base64.")),
            ("public_key", described(text(), "The public key that it was signed by, in base64.")),
        ],
    )
}

/// The schema of an issued key, with the parts that are shown only once.
pub(in crate::http::openapi) fn issued_key(key: &Value) -> Value {
    let mut issued = key.clone();
    let replaces = closed(
        "The key that it replaces.",
        &["id", "valid_until"],
        [("id", reference("KeyId")), ("valid_until", nullable(described(moment(), "When that one stops working.")))],
    );
    if let Some(Value::Object(members)) = issued.get_mut("properties") {
        let key = "The key itself. A repeated command has it for an hour, while the key works; then it has `key_withheld` instead.";
        members.insert("key".to_owned(), described(text(), key));
        let withheld = "Why a repeated command does not show the key again, and what to do.";
        members.insert("key_withheld".to_owned(), described(text(), withheld));
        members.insert("replaces".to_owned(), replaces);
    }
    described(issued, "A key with what is shown of it this once.")
}

/// The schema of an issued token, with the parts that are shown only once.
pub(in crate::http::openapi) fn issued_token(token: &Value) -> Value {
    let mut issued = token.clone();
    if let Some(Value::Object(members)) = issued.get_mut("properties") {
        let token = "The token itself. A repeated command has it for an hour, while the token works; then it has `token_withheld` instead.";
        members.insert("token".to_owned(), described(text(), token));
        let withheld = "Why a repeated command does not show the token again, and what to do.";
        members.insert("token_withheld".to_owned(), described(text(), withheld));
    }
    described(issued, "A token with what is shown of it this once.")
}

fn event() -> Value {
    let schemas = persisted::schemas();
    let mut names: Vec<&str> = Vec::new();
    for name in schemas.iter().filter_map(|(name, _)| name.split('.').next()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    whole(
        "An event. Personal data in it stays sealed.",
        [
            ("id", uuid()),
            (
                "stream",
                described(
                    text(),
                    "What it happened to: `user#<id>`, `plan#<name>`, `dataset#<name>` or `tokens#admin`.",
                ),
            ),
            ("version", described(integer(1, None), "Its commit's place in the stream.")),
            ("index", described(integer(0, None), "Its place in the commit.")),
            (
                "position",
                json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+$", "description":
                    "Its commit's place in the log; a text where it is beyond what all readers of JSON hold exactly." }),
            ),
            ("type", one_of(&names)),
            ("schema_version", integer(1, None)),
            ("recorded_at", moment()),
            ("actor", described(text(), "Who did it.")),
            ("correlation_id", described(text(), "The request that it belongs to.")),
            ("causation_id", described(nullable(text()), "The command or event that it follows from.")),
            (
                "data",
                json!({ "type": "object", "description": "What the type says; `schemas/events` has a schema for each." }),
            ),
        ],
    )
}

fn dead_letter() -> Value {
    whole(
        "A message that failed too often.",
        [
            ("id", text()),
            ("message", json!({ "description": "What it said: an object, or the text that could not be read." })),
            ("receives", described(integer(0, None), "How often it was tried.")),
            ("reason", described(text(), "Why it failed the last time.")),
            ("sent_at", moment()),
            ("died_at", moment()),
        ],
    )
}

fn counters() -> Value {
    let group = || json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": 0 } });
    let groups = ["gate", "committer", "mailers", "notices", "leaks", "relay", "importer", "passwords", "queue"];
    whole("What the actors have counted since the start.", groups.map(|name| (name, group())))
}

fn about() -> Value {
    let data_set = whole("", [("name", text()), ("title", text()), ("path", path()), ("records", integer(0, None))]);
    whole(
        "What this server is.",
        [
            ("name", text()),
            ("version", text()),
            ("datasets", list(data_set)),
            ("admin", path()),
            ("problems", path()),
            ("openapi", path()),
            ("openapi_admin", path()),
            ("docs", path()),
            ("reference", path()),
            ("reference_admin", path()),
        ],
    )
}
