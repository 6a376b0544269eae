//! Builds the operations of the document, and its paths.

use actix_web::http::Method;
use serde_json::{Map, Value, json};

use super::{
    answer::{AnswerDoc, Problems},
    audience::Audience,
    caller::Caller,
};
use crate::http::ProblemCode;

/// Builds an operation.
#[derive(Debug)]
pub(super) struct Operation {
    caller: Caller,
    also_for_readers: bool,
    audience: Audience,
    id: String,
    tag: String,
    summary: String,
    description: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<AnswerDoc>,
    problems: Problems,
}

impl Operation {
    /// An operation that `caller` may call. The id is unique in the document.
    pub(super) fn new(caller: Caller, id: impl Into<String>, tag: &str, summary: impl Into<String>) -> Self {
        Self {
            caller,
            also_for_readers: false,
            audience: if let Caller::Admin(_) = caller { Audience::Administrators } else { Audience::Consumers },
            id: id.into(),
            tag: tag.to_owned(),
            summary: summary.into(),
            description: String::new(),
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: Problems::default().and(caller.problems()),
        }
    }

    /// Sets the description, in Markdown.
    pub(super) fn says(self, description: impl Into<String>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// Adds parameters.
    pub(super) fn takes(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Sets the body and its media type.
    pub(super) fn body(mut self, media_type: &str, schema: Value, required: bool) -> Self {
        self.body = Some(json!({ "required": required, "content": { media_type: { "schema": schema } } }));
        self
    }

    /// Adds a media type that the body may have.
    pub(super) fn or_body(mut self, media_type: &str, schema: Value) -> Self {
        if let Some(Value::Object(content)) = self.body.as_mut().and_then(|body| body.get_mut("content")) {
            content.insert(media_type.to_owned(), json!({ "schema": schema }));
        }
        self
    }

    /// Also allows callers with an API key or a session.
    pub(super) fn also_for_readers(self) -> Self {
        Self { also_for_readers: true, audience: Audience::Consumers, ..self }.fails(Caller::Reader.problems())
    }

    /// Puts the operation into the administrators' document, whoever may call it.
    pub(super) fn for_administrators(self) -> Self {
        Self { audience: Audience::Administrators, ..self }
    }

    /// Adds an answer.
    pub(super) fn answers(mut self, answer: AnswerDoc) -> Self {
        self.answers.push(answer);
        self
    }

    /// Adds problems.
    pub(super) fn fails(mut self, codes: &[ProblemCode]) -> Self {
        self.problems = self.problems.and(codes);
        self
    }
}

/// The paths of a document, and the answers that its operations share.
#[derive(Debug)]
pub(super) struct Paths {
    audience: Audience,
    /// The address before the paths of the problems' pages.
    explained_below: String,
    paths: Map<String, Value>,
    responses: Map<String, Value>,
}

impl Paths {
    /// No paths yet, for this audience's document by a server that explains problems below this address.
    pub(super) fn of(audience: Audience, explained_below: &str) -> Self {
        Self { audience, explained_below: explained_below.to_owned(), paths: Map::new(), responses: Map::new() }
    }

    /// Adds a method of a path, unless another document has it.
    pub(super) fn add(&mut self, method: &Method, path: &str, operation: Operation) {
        if operation.audience != self.audience {
            return;
        }
        let Operation {
            caller,
            also_for_readers,
            id,
            tag,
            summary,
            description,
            parameters,
            body,
            answers,
            problems,
            ..
        } = operation;
        let mut fields = json!({ "operationId": id, "tags": [tag], "summary": summary });
        let mut responses = Map::new();
        for answer in answers {
            responses.insert(answer.status.as_str().to_owned(), answer.response());
        }
        for (status, name, response) in problems.responses(caller, &self.explained_below) {
            responses.insert(status.as_str().to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }));
            self.responses.entry(name).or_insert(response);
        }
        if let Value::Object(fields) = &mut fields {
            let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
            if !description.is_empty() {
                put("description", description.into());
            }
            if !parameters.is_empty() {
                put("parameters", parameters.into());
            }
            if let Some(body) = body {
                put("requestBody", body);
            }
            put("responses", responses.into());
            let mut security = caller.security();
            if also_for_readers {
                security.extend(Caller::Reader.security());
            }
            put("security", security.into());
        }
        let methods = self.paths.entry(path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = methods {
            methods.insert(method.as_str().to_ascii_lowercase(), fields);
        }
    }

    /// The paths, and the shared answers by name.
    pub(super) fn finish(self) -> (Map<String, Value>, Map<String, Value>) {
        let mut responses: Vec<(String, Value)> = self.responses.into_iter().collect();
        responses.sort_by(|left, right| left.0.cmp(&right.0));
        (self.paths, responses.into_iter().collect())
    }
}
