//! Parts that administration operations share.

use actix_web::http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{
    answer::{AnswerDoc, HeaderDoc},
    caller::Caller,
    operation::Operation,
    parameter::{conditions_of_writing, in_path, in_query, one_word},
    schema::{closed, date, described, integer, list, moment, nullable, reference, uuid, whole},
};
use crate::{
    domain::{
        key::KeyId,
        usage::{DAYS_DEFAULT, DAYS_MAX, UsageDivision},
    },
    http::{
        ProblemCode::{
            self, BodyTooLarge, Conflict, IdempotencyKeyReused, InvalidBody, InvalidParameters, InvalidRequest,
            NotFound, PreconditionFailed, RequestTimeout, UnsupportedMediaType,
        },
        routes::usage,
        session::{Needs, OfPeople},
    },
};

/// The problems of a command without a body.
pub(super) const COMMAND: [ProblemCode; 4] = [InvalidRequest, InvalidBody, PreconditionFailed, IdempotencyKeyReused];

/// The further problems of a command with a body.
pub(super) const BODY: [ProblemCode; 3] = [RequestTimeout, BodyTooLarge, UnsupportedMediaType];

/// The schemas of the Rust types of bodies and answers.
pub(super) struct Types {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Types {
    pub(super) fn new() -> Self {
        let settings = || SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    pub(super) fn body<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().to_value()
    }

    pub(super) fn answer<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// The components that the schemas refer to.
    pub(super) fn finish(mut self) -> Vec<(String, Value)> {
        let mut schemas: Vec<(String, Value)> = self.read.take_definitions(true).into_iter().collect();
        for (name, schema) in self.written.take_definitions(true) {
            if !schemas.iter().any(|(known, _)| *known == name) {
                schemas.push((name, schema));
            }
        }
        for (_, schema) in &mut schemas {
            enumerate(schema);
        }
        schemas
    }
}

/// Turns a choice of documented constants into one `enum`, which more client generators understand.
pub(super) fn enumerate(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    let Some(Value::Array(choices)) = fields.get("oneOf") else { return };
    let read = |choice: &Value| {
        let word = choice.get("const")?.as_str()?.to_owned();
        let meaning = choice.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some((word, meaning))
    };
    let Some(words) = choices.iter().map(read).collect::<Option<Vec<_>>>() else { return };
    let mut description = fields.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (word, meaning) in words.iter().filter(|(_, meaning)| !meaning.is_empty()) {
        description.push_str(&format!(" `{word}`: {meaning}"));
    }
    let words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
    *schema = json!({ "type": "string", "enum": words, "description": description.trim() });
}

pub(super) fn read<N: Needs>(id: &str, tag: &str, summary: &str) -> Operation {
    Operation::new(Caller::Admin(N::PERMISSIONS), id, tag, summary).fails(&[InvalidParameters])
}

pub(super) fn command<N: Needs>(id: &str, tag: &str, summary: &str) -> Operation {
    Operation::new(Caller::Admin(N::PERMISSIONS), id, tag, summary).takes(conditions_of_writing()).fails(&COMMAND)
}

pub(super) trait WithBody {
    fn with_body(self, schema: Value, required: bool) -> Self;
}

impl WithBody for Operation {
    fn with_body(self, schema: Value, required: bool) -> Self {
        self.body("application/json", schema, required).fails(&BODY)
    }
}

/// An administrator's answer, which no cache keeps.
pub(super) fn ok(description: &'static str, schema: Value) -> AnswerDoc {
    AnswerDoc::json(StatusCode::OK, description, schema).header(HeaderDoc::CacheControl)
}

pub(super) fn versioned(status: StatusCode, description: &'static str, schema: Value) -> AnswerDoc {
    AnswerDoc::json(status, description, schema).header(HeaderDoc::CacheControl).header(HeaderDoc::ETag)
}

pub(super) fn created(description: &'static str, schema: Value) -> AnswerDoc {
    versioned(StatusCode::CREATED, description, schema).header(HeaderDoc::Location)
}

/// The schema of a list without pages.
pub(super) fn all(items: Value) -> Value {
    whole("", [("data", list(items))])
}

/// A page of a list.
pub(super) fn page(description: &'static str, items: Value) -> AnswerDoc {
    ok(description, whole("", [("data", list(items)), ("page", reference("ListPage"))])).may_have(HeaderDoc::Link)
}

pub(super) fn user_id() -> Value {
    in_path("id", "The person.", uuid())
}

pub(super) fn key_id() -> Value {
    in_path("key_id", "The key's public id.", key_pattern())
}

pub(super) fn key_pattern() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<KeyId>();
    let pattern = schema.get("pattern").cloned().unwrap_or_default();
    json!({ "type": "string", "pattern": pattern })
}

/// Adds the parameters and answers of a person's usage to an operation.
pub(super) fn reads_usage(operation: Operation) -> Operation {
    let most = u64::from(DAYS_MAX);
    let days = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": DAYS_DEFAULT });
    let parts = [
        ("day", date()),
        ("used", json!({ "type": "integer" })),
        ("key", described(nullable(reference("KeyId")), "Of the key or the session.")),
        ("dataset", nullable(json!({ "type": "string" }))),
        ("status", nullable(integer(100, Some(599)))),
        ("requests", json!({ "type": "integer" })),
        ("refused", json!({ "type": "integer" })),
    ];
    let used = closed("", &["day", "used", "requests", "refused"], parts);
    let used = whole("", [("data", list(used)), ("from", date()), ("to", date())]);
    operation
        .says(
            "`used` is what counts against the quota: of a whole day what other servers hold for requests to come included, of a part of it \
             (`by`) what its requests counted as. `requests` were answered, `refused` were not. What is not known is null.",
        )
        .takes([
            in_query("days", "UTC days, today included.", days),
            one_word("by", "What to divide days by.", &UsageDivision::ALL.map(UsageDivision::as_str)),
            one_word("format", "The form of the answer.", &usage::FORMATS),
        ])
        .answers(ok("The days on which there were requests.", used).content(
            "text/csv",
            json!({ "type": "string", "description": "The same as a table (RFC 4180). What is not known is an empty cell." }),
        ))
}

/// An operation on one person: a read or a command.
pub(super) fn of_user(id: &str, summary: &str, is_command: bool) -> Operation {
    let operation = match is_command {
        true => command::<OfPeople>(id, "people", summary).fails(&[Conflict]),
        false => read::<OfPeople>(id, "people", summary),
    };
    operation.takes([user_id()]).fails(&[NotFound])
}

pub(super) fn effective_at() -> Value {
    described(moment(), "From then on it holds on every server.")
}

/// The schema of a revoked key.
pub(super) fn revoked() -> Value {
    whole(
        "A key that was revoked.",
        [
            ("id", reference("KeyId")),
            ("user", uuid()),
            ("revoked_at", nullable(moment())),
            ("effective_at", nullable(effective_at())),
        ],
    )
}
