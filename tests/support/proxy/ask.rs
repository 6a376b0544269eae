//! What a call asks for.

use serde_json::Value;

use super::wire::Message;

/// The services, by how they name an operation and an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Dynamo,
    Sqs,
    Ses,
}

/// A call.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) service: Service,
    /// Such as `PutItem`.
    pub(super) operation: String,
    /// The document that it sends; null without.
    pub(super) body: Value,
    request: Message,
    /// Whether the document is to be written anew.
    changed: bool,
}

impl Ask {
    pub(super) fn of(request: Message) -> Self {
        let target = request.header("x-amz-target").unwrap_or_default();
        let (service, operation) = match target.split_once('.') {
            Some((service, operation)) if service.starts_with("DynamoDB") => (Service::Dynamo, operation.to_owned()),
            Some(("AmazonSQS", operation)) => (Service::Sqs, operation.to_owned()),
            _ => (Service::Ses, ses_operation(request.word(0), request.word(1))),
        };
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        Self { service, operation, body, request, changed: false }
    }

    /// As it is passed on.
    pub(super) fn message(&self) -> Message {
        let mut message = self.request.clone();
        if self.changed {
            message.body = self.body.to_string().into_bytes();
        }
        message
    }

    /// Lets the document be changed.
    pub(super) fn change(&mut self) -> &mut Value {
        self.changed = true;
        &mut self.body
    }

    /// The tables that it is about.
    pub(super) fn tables(&self) -> Vec<&str> {
        if let Some(table) = self.body["TableName"].as_str() {
            return vec![table];
        }
        if let Some(batch) = self.body["RequestItems"].as_object() {
            return batch.keys().map(String::as_str).collect();
        }
        let actions = self.body["TransactItems"].as_array().into_iter().flatten();
        let actions = actions.filter_map(Value::as_object).flat_map(|action| action.values());
        actions.filter_map(|action| action["TableName"].as_str()).collect()
    }

    /// The queue's URL, or nothing.
    pub(super) fn queue(&self) -> &str {
        self.body["QueueUrl"].as_str().unwrap_or_default()
    }
}

fn ses_operation(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').skip(2).collect();
    let known = match (method, parts.as_slice()) {
        ("POST", ["outbound-emails"]) => "SendEmail",
        ("GET", ["account"]) => "GetAccount",
        ("POST", ["identities"]) => "CreateEmailIdentity",
        ("GET", ["identities", _]) => "GetEmailIdentity",
        ("POST", ["configuration-sets"]) => "CreateConfigurationSet",
        ("GET", ["configuration-sets", _]) => "GetConfigurationSet",
        _ => return format!("{method} {path}"),
    };
    known.to_owned()
}

/// Which calls are meant.
#[derive(Debug, Clone)]
pub(crate) struct On {
    operation: String,
    table: Option<String>,
    index: Option<String>,
    queue: Option<String>,
    holding: Option<String>,
}

impl On {
    /// Calls of an operation, such as `PutItem`, `SendMessageBatch` or `SendEmail`.
    pub(crate) fn operation(operation: &str) -> Self {
        Self { operation: operation.to_owned(), table: None, index: None, queue: None, holding: None }
    }

    /// Of these, those on a table: its name without the deployment's prefix.
    pub(crate) fn table(self, table: &str) -> Self {
        Self { table: Some(format!("-{table}")), ..self }
    }

    /// Of these, those that read an index.
    pub(crate) fn index(self, index: &str) -> Self {
        Self { index: Some(index.to_owned()), ..self }
    }

    /// Of these, those on a queue: its name without the deployment's prefix.
    pub(crate) fn queue(self, queue: &str) -> Self {
        Self { queue: Some(format!("-{queue}")), ..self }
    }

    /// Of these, those whose document holds this text.
    pub(crate) fn holding(self, text: &str) -> Self {
        Self { holding: Some(text.to_owned()), ..self }
    }

    pub(super) fn means(&self, ask: &Ask) -> bool {
        self.operation == ask.operation
            && self.table.as_ref().is_none_or(|end| ask.tables().iter().any(|table| table.ends_with(end.as_str())))
            && self.index.as_deref().is_none_or(|index| ask.body["IndexName"] == index)
            && self.queue.as_ref().is_none_or(|end| ask.queue().ends_with(end.as_str()))
            && self.holding.as_ref().is_none_or(|text| ask.body.to_string().contains(text.as_str()))
    }
}
