//! What can happen to a call.

use std::{io, sync::mpsc, time::Duration};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::{
    Shared,
    ask::{Ask, On, Service},
    wire::{Message, Upstream},
};

/// How long a held call waits for its test: longer than any test, so that one that forgets it still ends.
const HELD_MAX: Duration = Duration::from_secs(120);

/// What happens to one call.
pub(crate) enum Trouble {
    /// The service refuses it. It is not carried out.
    Refuse(Refusal),
    /// The connection is cut before the service hears of it.
    Cut,
    /// It is carried out, and the connection is cut before the answer.
    LoseAnswer,
    /// Of a batch the first so many are carried out; the others are reported as not done.
    First(usize),
    /// It waits at the gate until the test opens it; then it is carried out.
    Before(Hold),
    /// It is carried out; the answer waits at the gate until the test opens it.
    After(Hold),
    /// The messages that are sent can be received only after so many seconds.
    Delay(u32),
    /// The messages that are received come once more with the next receive, although they are being worked on.
    Twice,
    /// The messages are received in the opposite order.
    Backwards,
}

/// How a service refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A table's or partition's throughput is exceeded; the queue or SES takes no more for now.
    Throttled,
    /// An account's throughput is exceeded, the other of DynamoDB's two errors; too many messages in flight in SQS.
    OverLimit,
    /// Another transaction is at the same item.
    Conflict,
    /// The service failed.
    Internal,
    /// What stands before the service answers in its place, without a document.
    Unavailable,
}

/// The test's side of a call that waits.
pub(crate) struct Gate {
    reached: oneshot::Receiver<()>,
    open: mpsc::Sender<()>,
}

/// The call's side.
pub(crate) struct Hold {
    reached: oneshot::Sender<()>,
    opened: mpsc::Receiver<()>,
}

impl Gate {
    /// A gate, and what holds a call at it.
    pub(crate) fn new() -> (Self, Hold) {
        let ((reach, reached), (open, opened)) = (oneshot::channel(), mpsc::channel());
        (Self { reached, open }, Hold { reached: reach, opened })
    }

    /// Waits until the call stands at the gate.
    pub(crate) async fn reached(&mut self) {
        (&mut self.reached).await.expect("a call at the gate");
    }

    /// Lets it go on.
    pub(crate) fn open(self) {
        self.open.send(()).expect("the call waits");
    }
}

impl Hold {
    fn wait(self) {
        // The test may have ended: then nobody opens, and dropping the gate lets the call go on.
        self.reached.send(()).ok();
        self.opened.recv_timeout(HELD_MAX).ok();
    }
}

/// What becomes of a call.
pub(super) enum Outcome {
    Answer(Message),
    Cut,
}

impl Shared {
    pub(super) fn suffer(
        &self,
        mut ask: Ask,
        on: On,
        trouble: Trouble,
        upstream: &mut Upstream,
    ) -> io::Result<Outcome> {
        let answer = match trouble {
            Trouble::Refuse(refusal) => refusal.answer(&ask),
            Trouble::Cut => return Ok(Outcome::Cut),
            Trouble::LoseAnswer => {
                self.pass(&ask, upstream)?;
                return Ok(Outcome::Cut);
            }
            Trouble::First(count) => self.first(ask, count, upstream)?,
            Trouble::Before(hold) => {
                hold.wait();
                self.pass(&ask, upstream)?
            }
            Trouble::After(hold) => {
                let answer = self.pass(&ask, upstream)?;
                hold.wait();
                answer
            }
            Trouble::Delay(seconds) => {
                let messages = ask.change()["Entries"].as_array_mut().expect("a batch of messages");
                messages.iter_mut().for_each(|message| message["DelaySeconds"] = seconds.into());
                self.pass(&ask, upstream)?
            }
            Trouble::Twice | Trouble::Backwards => {
                let mut answer = self.pass(&ask, upstream)?;
                let mut received: Value = serde_json::from_slice(&answer.body).expect("an answer of SQS");
                match received["Messages"].as_array_mut().filter(|messages| !messages.is_empty()) {
                    // Nothing came: the next receive suffers it.
                    None => self.troubles.lock().unwrap().push_front((on, trouble)),
                    Some(messages) if matches!(trouble, Trouble::Twice) => {
                        let mut again = self.again.lock().unwrap();
                        again.entry(ask.queue().to_owned()).or_default().append(&mut messages.clone());
                    }
                    Some(messages) => {
                        messages.reverse();
                        answer.body = received.to_string().into_bytes();
                    }
                }
                answer
            }
        };
        Ok(Outcome::Answer(answer))
    }

    /// Carries out the first `count` of a batch.
    fn first(&self, mut ask: Ask, count: usize, upstream: &mut Upstream) -> io::Result<Message> {
        let left = match ask.operation.as_str() {
            "BatchWriteItem" => {
                let rest = split_writes(&mut ask.change()["RequestItems"], count);
                ("UnprocessedItems", rest)
            }
            "BatchGetItem" => ("UnprocessedKeys", split_reads(&mut ask.change()["RequestItems"], count)),
            "SendMessageBatch" | "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => {
                let entries = ask.change()["Entries"].as_array_mut().expect("a batch");
                let rest = entries.split_off(count.min(entries.len()));
                ("Failed", rest.iter().map(failed).collect())
            }
            other => panic!("{other} has no parts that could fail alone"),
        };
        let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty) || *value == json!({});
        let has_some = !empty(&ask.body["RequestItems"]) && !empty(&ask.body["Entries"]);
        // The services refuse a batch of nothing.
        let mut answer = if has_some { self.pass(&ask, upstream)? } else { document(200, &json!({})) };
        let mut done: Value = serde_json::from_slice(&answer.body).expect("a document");
        if done.get("__type").is_some() {
            return Ok(answer);
        }
        let (name, rest) = left;
        match (&mut done[name], rest) {
            (Value::Array(known), Value::Array(rest)) => known.extend(rest),
            (Value::Object(known), Value::Object(rest)) => known.extend(rest),
            (other, rest) => *other = rest,
        }
        for name in if ask.service == Service::Sqs { ["Successful", "Failed"] } else { ["Responses", name] } {
            let nothing = if ask.service == Service::Sqs { json!([]) } else { json!({}) };
            done.as_object_mut().expect("an object").entry(name).or_insert(nothing);
        }
        answer.body = done.to_string().into_bytes();
        Ok(answer)
    }
}

/// Leaves the first `count` writes and gives the others, by table.
fn split_writes(tables: &mut Value, count: usize) -> Value {
    let (mut left, mut rest) = (count, Map::new());
    for (table, writes) in tables.as_object_mut().expect("writes by table") {
        let writes = writes.as_array_mut().expect("writes");
        let others = writes.split_off(left.min(writes.len()));
        left -= writes.len();
        if !others.is_empty() {
            rest.insert(table.clone(), others.into());
        }
    }
    without_empty(tables, |writes| writes);
    rest.into()
}

/// The same of reads, which name further things beside the keys.
fn split_reads(tables: &mut Value, count: usize) -> Value {
    let (mut left, mut rest) = (count, Map::new());
    for (table, reads) in tables.as_object_mut().expect("reads by table") {
        let mut others = reads.clone();
        let keys = reads["Keys"].as_array_mut().expect("keys");
        let other_keys = keys.split_off(left.min(keys.len()));
        left -= keys.len();
        if !other_keys.is_empty() {
            others["Keys"] = other_keys.into();
            rest.insert(table.clone(), others);
        }
    }
    without_empty(tables, |reads| &reads["Keys"]);
    rest.into()
}

fn without_empty(tables: &mut Value, list: impl Fn(&Value) -> &Value) {
    let tables = tables.as_object_mut().expect("tables");
    tables.retain(|_, what| list(what).as_array().is_some_and(|list| !list.is_empty()));
}

fn failed(entry: &Value) -> Value {
    json!({ "Id": entry["Id"], "Code": "InternalError", "Message": "an injected fault", "SenderFault": false })
}

impl Refusal {
    /// Status, code and message of a service.
    fn words(self, ask: &Ask) -> (u16, &'static str, &'static str) {
        let in_transaction = ask.operation == "TransactWriteItems";
        match (self, ask.service) {
            (Self::Throttled, Service::Dynamo) => (
                400,
                "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
                 provisioning level with the UpdateTable API.",
            ),
            (Self::OverLimit, Service::Dynamo) => (
                400,
                "com.amazon.coral.availability#ThrottlingException",
                "Throughput exceeds the current capacity of your table or index.",
            ),
            (Self::Conflict, Service::Dynamo) if in_transaction => (
                400,
                "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict]",
            ),
            (Self::Conflict, Service::Dynamo) => (
                400,
                "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
                "Transaction is ongoing for the item",
            ),
            (Self::Internal, Service::Dynamo) => {
                (500, "com.amazonaws.dynamodb.v20120810#InternalServerError", "The request processing has failed.")
            }
            (Self::Throttled, Service::Sqs) => (400, "com.amazonaws.sqs#RequestThrottled", "Rate exceeded"),
            (Self::OverLimit, Service::Sqs) => {
                (400, "com.amazonaws.sqs#OverLimit", "Too many messages are in flight in the queue.")
            }
            (Self::Throttled, Service::Ses) => (429, "TooManyRequestsException", "Maximum sending rate exceeded."),
            (Self::OverLimit, Service::Ses) => (400, "LimitExceededException", "Daily message quota exceeded."),
            (Self::Internal, _) => (500, "InternalFailure", "The request processing has failed."),
            (Self::Unavailable, _) => (503, "", ""),
            (Self::Conflict, _) => panic!("only DynamoDB knows of conflicts"),
        }
    }

    fn answer(self, ask: &Ask) -> Message {
        let (status, code, message) = self.words(ask);
        if code.is_empty() {
            let mut answer = document(status, &Value::Null);
            answer.body = b"<html><body>Service Unavailable</body></html>".to_vec();
            return answer;
        }
        let mut refusal = match ask.service {
            Service::Ses => json!({ "message": message }),
            Service::Dynamo | Service::Sqs => json!({ "__type": code, "message": message }),
        };
        if let (Self::Conflict, Some(actions)) = (self, ask.body["TransactItems"].as_array()) {
            let reason = |place: usize| match place {
                0 => json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" }),
                _ => json!({ "Code": "None" }),
            };
            refusal["CancellationReasons"] = (0..actions.len()).map(reason).collect();
        }
        let mut answer = document(status, &refusal);
        match ask.service {
            Service::Ses => answer.headers.push(("x-amzn-ErrorType".to_owned(), code.to_owned())),
            Service::Sqs => {
                let short = code.rsplit('#').next().unwrap_or_default();
                answer.headers.push(("x-amzn-query-error".to_owned(), format!("{short};Sender")));
            }
            Service::Dynamo => {}
        }
        answer
    }
}

fn document(status: u16, body: &Value) -> Message {
    Message {
        first: format!("HTTP/1.1 {status} Status"),
        headers: vec![
            ("Content-Type".to_owned(), "application/x-amz-json-1.0".to_owned()),
            ("x-amzn-RequestId".to_owned(), "00000000-0000-0000-0000-000000000000".to_owned()),
        ],
        body: body.to_string().into_bytes(),
    }
}
