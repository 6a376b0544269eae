//! What is SQS's own of the queue: its setup, its calls, its dead letters, and its answers in its own words where no emulator
//! gives them. What every queue does is in `tests/contract`.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, QueueAttributeName as Attribute},
};
use permitd::{
    aws::{Access, Endpoints, ResourceState, SetupAction},
    queue::{
        Delivery, EventMessage, Message, Policy, Queue, QueueError,
        sqs::{self, SqsQueue},
    },
};
use serde_json::json;

use crate::support::{
    canned::{Answer, Canned, Request},
    emulator::{self, Kind},
};
use uuid::Uuid;

fn message(number: u128, correlation_id: &str) -> Message {
    Message::V1(EventMessage {
        event: Uuid::from_u128(number),
        type_name: "UserInvited".to_owned(),
        stream: "user#0".to_owned(),
        version: 1,
        correlation_id: correlation_id.to_owned(),
    })
}

async fn access(url: String) -> Access {
    Access::to_endpoints(Endpoints { sqs: Some(url), ..Endpoints::default() }).await
}

async fn shared() -> Access {
    Access::to_endpoints(emulator::shared_endpoints(Kind::Ministack)).await
}

async fn open(access: &Access, prefix: &str, policy: Policy) -> SqsQueue {
    sqs::setup(access, prefix, policy, SetupAction::Make).await.unwrap();
    SqsQueue::open(access, prefix, policy).await.unwrap()
}

/// Queues of a test's own.
async fn queue(policy: Policy) -> (SqsQueue, Access, String) {
    let (access, prefix) = (shared().await, emulator::prefix());
    (open(&access, &prefix, policy).await, access, prefix)
}

/// The client itself, for what the queue does not do.
async fn client(access: &Access, name: &str) -> (Client, String) {
    let endpoint = access.endpoints().sqs.clone().unwrap();
    let client = Client::from_conf(aws_sdk_sqs::config::Builder::from(access.config()).endpoint_url(endpoint).build());
    let url = client.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
    (client, url)
}

/// How often an operation was sent.
fn count(access: &Access, operation: &str) -> u64 {
    access.calls().get(&("SQS".to_owned(), operation.to_owned())).copied().unwrap_or(0)
}

async fn send_all(queue: &SqsQueue, count: u128) {
    let messages: Vec<Message> = (0..count).map(|number| message(number, "")).collect();
    for result in queue.send(&messages).await.unwrap() {
        result.unwrap();
    }
}

async fn receive(queue: &SqsQueue, max: usize) -> Vec<Delivery> {
    queue.receive(max, Duration::ZERO).await.unwrap()
}

/// Sends messages and gives each up at once.
async fn bury_all(queue: &SqsQueue, count: u128) {
    send_all(queue, count).await;
    let mut buried = 0;
    while buried < count {
        for delivery in receive(queue, 10).await {
            queue.fail(&delivery, "no", 0).await.unwrap();
            buried += 1;
        }
    }
}

/// Everything is given up after its first receive.
fn once() -> Policy {
    Policy { receives_max: 1, ..Policy::default() }
}

#[tokio::test]
async fn setup_makes_the_queues_once_and_puts_right_what_is_different() {
    let (access, prefix, policy) = (shared().await, emulator::prefix(), Policy::default());
    let (messages, dead) = (format!("{prefix}-messages"), format!("{prefix}-dead-letters"));
    let names = [format!("queue {messages}"), format!("queue {dead}")];
    let found = |checked: Vec<permitd::aws::CheckedResource>| -> Vec<ResourceState> {
        assert_eq!(checked.iter().map(|one| one.resource.clone()).collect::<Vec<_>>(), names);
        checked.into_iter().map(|one| one.found).collect()
    };
    assert_eq!(
        found(sqs::setup(&access, &prefix, policy, SetupAction::Check).await.unwrap()),
        [ResourceState::Missing, ResourceState::Missing]
    );
    let error = SqsQueue::open(&access, &prefix, policy).await.err().unwrap().to_string();
    assert!(error.contains(&messages) && error.contains("permitd aws setup"), "{error}");
    assert_eq!(
        found(sqs::setup(&access, &prefix, policy, SetupAction::Make).await.unwrap()),
        [ResourceState::Made, ResourceState::Made]
    );
    assert_eq!(
        found(sqs::setup(&access, &prefix, policy, SetupAction::Make).await.unwrap()),
        [ResourceState::Right, ResourceState::Right]
    );
    assert_eq!(
        found(sqs::setup(&access, &prefix, policy, SetupAction::Check).await.unwrap()),
        [ResourceState::Right, ResourceState::Right]
    );

    let (client, url) = client(&access, &messages).await;
    let attributes = client.get_queue_attributes().queue_url(&url).attribute_names(Attribute::All);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes[&Attribute::MessageRetentionPeriod], "1209600");
    assert_eq!(attributes[&Attribute::VisibilityTimeout], "30");
    let redrive: serde_json::Value = serde_json::from_str(&attributes[&Attribute::RedrivePolicy]).unwrap();
    assert_eq!(redrive["maxReceiveCount"], 5);
    assert!(redrive["deadLetterTargetArn"].as_str().unwrap().ends_with(&format!(":{dead}")));

    let changed = Policy { visibility_s: 60, receives_max: 3, retention_days: 365 };
    let checked = found(sqs::setup(&access, &prefix, changed, SetupAction::Check).await.unwrap());
    let ResourceState::Different(how) = &checked[0] else { panic!("{checked:?}") };
    assert!(how.contains("VisibilityTimeout is 30 and should be 60") && how.contains("permitd aws setup"), "{how}");
    assert!(how.contains("RedrivePolicy is") && !how.contains("Retention"), "{how}");
    assert_eq!(checked[1], ResourceState::Right);
    let checked = found(sqs::setup(&access, &prefix, changed, SetupAction::Make).await.unwrap());
    assert!(
        matches!(&checked[0], ResourceState::Changed(how) if how.contains("VisibilityTimeout is 30")),
        "{checked:?}"
    );
    assert_eq!(
        found(sqs::setup(&access, &prefix, changed, SetupAction::Check).await.unwrap()),
        [ResourceState::Right, ResourceState::Right]
    );
}

#[tokio::test]
async fn calls_are_as_few_as_can_be() {
    let (queue, access, _) = queue(Policy::default()).await;
    let before = access.calls();
    send_all(&queue, 10).await;
    let deliveries = receive(&queue, 10).await;
    assert_eq!(deliveries.len(), 10);
    queue.extend(&deliveries[0]).await.unwrap();
    queue.fail(&deliveries[1], "no", 10).await.unwrap();
    queue.acknowledge(&deliveries[2]).await.unwrap();
    let mut made = access.calls();
    made.retain(|call, count| {
        *count -= before.get(call).unwrap_or(&0);
        *count > 0
    });
    let made: Vec<(&str, u64)> = made.iter().map(|((_, operation), count)| (operation.as_str(), *count)).collect();
    let expected =
        [("ChangeMessageVisibility", 2), ("DeleteMessage", 1), ("ReceiveMessage", 1), ("SendMessageBatch", 1)];
    assert_eq!(made, expected);
}

#[tokio::test]
async fn a_message_that_is_too_long_fails_alone_and_batches_are_split() {
    let (queue, access, _) = queue(Policy::default()).await;
    let messages = [
        message(0, &"a".repeat(200_000)),
        message(1, &"b".repeat(300_000)),
        message(2, &"c".repeat(200_000)),
        message(3, "odd \u{ffff}\u{0}\u{1b} characters"),
    ];
    let sent = queue.send(&messages).await.unwrap();
    assert!(sent[0].is_ok() && sent[2].is_ok() && sent[3].is_ok(), "{sent:?}");
    let error = sent[1].as_ref().unwrap_err();
    assert!(matches!(error, QueueError::TooLong { bytes } if *bytes > 300_000), "{error}");
    assert!(!error.to_string().contains("bbb"), "{error}");
    assert_eq!(count(&access, "SendMessageBatch"), 2);
    let mut received = Vec::new();
    for delivery in receive(&queue, 10).await.into_iter().chain(receive(&queue, 10).await) {
        let Message::V1(message) = delivery.message().unwrap();
        received.push(message.event.as_u128());
        assert!(messages.contains(&Message::V1(message)), "as it was sent");
    }
    received.sort_unstable();
    assert_eq!(received, [0, 2, 3]);
}

#[tokio::test]
async fn a_wait_ends_with_the_first_message() {
    let (queue, access, _) = queue(Policy::default()).await;
    let asked = count(&access, "ReceiveMessage");
    let send = async {
        while count(&access, "ReceiveMessage") == asked {
            tokio::task::yield_now().await;
        }
        send_all(&queue, 1).await;
    };
    let (received, ()) = futures_util::future::join(queue.receive(10, Duration::from_secs(20)), send).await;
    assert_eq!(received.unwrap().len(), 1);
    assert_eq!(count(&access, "ReceiveMessage") - asked, 1, "it is not asked again and again");
}

#[tokio::test]
async fn all_dead_letters_are_seen_and_stay() {
    let (queue, _, _) = queue(once()).await;
    bury_all(&queue, 25).await;
    let letters = queue.dead_letters(100).await.unwrap();
    let ids: BTreeSet<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
    assert_eq!(ids.len(), 25);
    assert!(letters.iter().all(|letter| letter.reason == "no" && letter.receives == 1));
    assert!(letters.windows(2).all(|two| two[0].died_at >= two[1].died_at), "the last first");
    assert_eq!(queue.dead_letters(10).await.unwrap(), letters[..10]);
    assert_eq!(queue.depth().await.unwrap().dead, 25);
    for letter in &letters {
        queue.redrive(&letter.id).await.unwrap();
    }
    assert!(queue.dead_letters(100).await.unwrap().is_empty());
    let mut bodies = BTreeSet::new();
    for _ in 0..3 {
        bodies.extend(receive(&queue, 10).await.into_iter().map(|delivery| delivery.body));
    }
    assert_eq!(bodies, letters.into_iter().map(|letter| letter.body).collect());
}

#[tokio::test]
async fn a_letter_that_somebody_else_looks_at_is_not_said_to_be_gone() {
    let (queue, access, prefix) = queue(once()).await;
    bury_all(&queue, 1).await;
    let letter = queue.dead_letters(1).await.unwrap().remove(0);
    let (client, url) = client(&access, &format!("{prefix}-dead-letters")).await;
    let elsewhere = client.receive_message().queue_url(&url).visibility_timeout(600).send().await.unwrap();
    let handle = elsewhere.messages()[0].receipt_handle().unwrap();
    let error = queue.redrive(&letter.id).await.unwrap_err();
    assert!(matches!(&error, QueueError::Unavailable(words) if words.contains("try again")), "{error}");
    let release = client.change_message_visibility().queue_url(&url).receipt_handle(handle).visibility_timeout(0);
    release.send().await.unwrap();
    queue.redrive(&letter.id).await.unwrap();
    assert!(matches!(queue.redrive(&letter.id).await, Err(QueueError::NoDeadLetter(_))));
}

/// Whoever gives a message up may die between the letter and the message's removal: SQS moves the message, too.
#[tokio::test]
async fn a_letter_of_which_there_are_two_is_shown_once_with_its_reason() {
    let emulator = emulator::lease();
    let (access, prefix) = (access(emulator.url()).await, emulator::prefix());
    let queue = open(&access, &prefix, once()).await;
    send_all(&queue, 1).await;
    let delivery = receive(&queue, 1).await.remove(0);
    let (client, url) = client(&access, &format!("{prefix}-dead-letters")).await;
    let mut letter = client.send_message().queue_url(&url).message_body(&delivery.body);
    // As servers of every version write it.
    for (name, value) in
        [("reason", "a reason"), ("receives", "1"), ("message_id", &delivery.id), ("sent_ms", "1772366400000")]
    {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap();
        letter = letter.message_attributes(name, value);
    }
    letter.send().await.unwrap();
    emulator.advance(Duration::from_secs(30));
    assert!(receive(&queue, 1).await.is_empty(), "the queue has given it up");
    assert_eq!(queue.depth().await.unwrap().dead, 2);
    let letters = queue.dead_letters(10).await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.id.as_str(), letter.reason.as_str()), (delivery.id.as_str(), "a reason"));
    assert_eq!(letter.sent_at.to_string(), "2026-03-01T12:00:00Z");
    queue.redrive(&letter.id).await.unwrap();
    assert!(queue.dead_letters(10).await.unwrap().is_empty(), "both are gone");
    assert_eq!(receive(&queue, 10).await.len(), 1);
}

#[tokio::test]
async fn whoever_is_too_late_buries_nothing() {
    let emulator = emulator::lease();
    let (access, prefix) = (access(emulator.url()).await, emulator::prefix());
    let queue = open(&access, &prefix, once()).await;
    send_all(&queue, 1).await;
    let late = receive(&queue, 1).await.remove(0);
    emulator.advance(Duration::from_secs(30));
    assert!(receive(&queue, 1).await.is_empty());
    let letter = queue.dead_letters(10).await.unwrap().remove(0);
    assert_eq!(letter.reason, "received 1 times and never answered");
    queue.redrive(&letter.id).await.unwrap();
    queue.fail(&late, "too late", 0).await.unwrap();
    assert!(queue.dead_letters(10).await.unwrap().is_empty());
    assert_eq!(receive(&queue, 1).await.len(), 1);
}

/// A queue whose calls but the first two, which ask where it is, are answered like this.
async fn canned(mut answer: impl FnMut(&Request) -> Answer + Send + 'static) -> (SqsQueue, Canned) {
    let server = Canned::start(move |request| match request.operation.as_str() {
        "GetQueueUrl" => {
            let name = request.body["QueueName"].as_str().unwrap();
            Answer::ok(&json!({ "QueueUrl": format!("http://127.0.0.1/000000000000/{name}") }).to_string())
        }
        _ => answer(request),
    });
    let queue = SqsQueue::open(&access(server.url()).await, "p", Policy::default()).await.unwrap();
    (queue, server)
}

fn delivery(receives: u32) -> Delivery {
    Delivery { id: "m".to_owned(), receipt: "1772366400000 handle".to_owned(), body: "{}".to_owned(), receives }
}

/// A message for which one more receive would be the last is sent anew when it is given back: by whoever still has it.
#[tokio::test]
async fn whoever_is_too_late_gives_back_nothing() {
    for is_late in [true, false] {
        let (queue, server) = canned(move |request| {
            if is_late && request.operation == "ChangeMessageVisibility" {
                let old_code = "AWS.SimpleQueueService.MessageNotInflight";
                return Answer::sqs_error("MessageNotInflight", old_code, "not in flight");
            }
            let message = json!({ "MessageId": "n", "MD5OfMessageBody": "99914b932bd37a50b983c5e7c90ae93b" });
            Answer::ok(&message.to_string())
        })
        .await;
        queue.release(&delivery(Policy::default().receives_max - 1), 5).await.unwrap();
        let operations: Vec<String> = server.requests().into_iter().skip(2).map(|request| request.operation).collect();
        let all = ["ChangeMessageVisibility", "SendMessage", "DeleteMessage"];
        assert_eq!(operations, all[..if is_late { 1 } else { 3 }], "it is another one's by now: {is_late}");
    }
}

#[tokio::test]
async fn what_sqs_says_of_stale_receipts_is_understood() {
    const REASON: &str = "Value handle for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
                          available for visibility timeout change.";
    for (code, old_code, words) in [
        ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "not in flight"),
        ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
        ("InvalidParameterValue", "InvalidParameterValue", REASON),
        ("InvalidParameterValueException", "InvalidParameterValue", "ReceiptHandle: The receipt handle has expired"),
    ] {
        let (queue, server) = canned(move |_| Answer::sqs_error(code, old_code, words)).await;
        assert!(!queue.extend(&delivery(1)).await.unwrap(), "{code}");
        assert!(!queue.acknowledge(&delivery(1)).await.unwrap(), "{code}");
        queue.fail(&delivery(1), "too late", 5).await.unwrap();
        queue.fail(&delivery(5), "too late", 5).await.unwrap();
        let asked: Vec<String> = server.requests().into_iter().map(|request| request.operation).collect();
        let expected = [
            "GetQueueUrl",
            "GetQueueUrl",
            "ChangeMessageVisibility",
            "DeleteMessage",
            "ChangeMessageVisibility",
            "ChangeMessageVisibility",
        ];
        assert_eq!(asked, expected, "nothing is buried");
        assert_eq!(server.requests()[2].body["ReceiptHandle"], "handle");
    }
}

#[tokio::test]
async fn other_refusals_are_failures() {
    let words = "Value 30 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is \
                 beyond the limit [43200 seconds].";
    let (queue, _server) = canned(|_| Answer::sqs_error("InvalidParameterValue", "InvalidParameterValue", words)).await;
    let error = queue.extend(&delivery(1)).await.unwrap_err();
    assert!(matches!(&error, QueueError::Unavailable(reason) if reason.contains("43200")), "{error}");

    let (queue, _server) = canned(|_| {
        let words = "The specified queue does not exist.";
        Answer::sqs_error("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", words)
    })
    .await;
    let messages = [message(1, "a-correlation")];
    for error in [
        queue.send(&messages).await.unwrap_err(),
        queue.receive(1, Duration::from_secs(20)).await.unwrap_err(),
        queue.acknowledge(&delivery(1)).await.unwrap_err(),
        queue.fail(&delivery(5), "no", 0).await.unwrap_err(),
        queue.depth().await.unwrap_err(),
        queue.dead_letters(1).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("permitd aws setup") && !error.to_string().contains("a-corr"), "{error}");
    }
}

#[tokio::test]
async fn row_07_batch_send_partly_fails() {
    let taken =
        |id: &str| json!({ "Id": id, "MessageId": "m", "MD5OfMessageBody": "d41d8cd98f00b204e9800998ecf8427e" });
    let (queue, server) = canned(move |_| {
        let failed = json!({ "Id": "1", "Code": "InternalError", "Message": "try again", "SenderFault": false });
        Answer::ok(&json!({ "Successful": [taken("2"), taken("0"), taken("77")], "Failed": [failed] }).to_string())
    })
    .await;
    let messages: Vec<Message> = (0..4).map(|number| message(number, "")).collect();
    let sent = queue.send(&messages).await.unwrap();
    assert_eq!(sent.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false]);
    assert!(sent[1].as_ref().unwrap_err().to_string().contains("InternalError: try again"));
    assert!(sent[3].as_ref().unwrap_err().to_string().contains("did not say"), "silence is not success");
    assert_eq!(server.requests().len(), 3, "it is not sent again here: the relay does that");
}

#[tokio::test]
async fn of_several_batches_one_may_fail() {
    let mut calls = 0;
    let (queue, _server) = canned(move |request| {
        calls += 1;
        if calls == 1 {
            return Answer::sqs_error("InvalidSecurity", "InvalidSecurity", "no");
        }
        let entries = request.body["Entries"].as_array().unwrap().iter();
        let taken = |id| json!({ "Id": id, "MessageId": "m", "MD5OfMessageBody": "d41d8cd98f00b204e9800998ecf8427e" });
        let taken: Vec<_> = entries.map(|entry| taken(entry["Id"].clone())).collect();
        Answer::ok(&json!({ "Successful": taken, "Failed": [] }).to_string())
    })
    .await;
    let messages: Vec<Message> = (0..12).map(|number| message(number, "")).collect();
    let sent = queue.send(&messages).await.unwrap();
    let expected: Vec<bool> = (0..12).map(|place| place >= 10).collect();
    assert_eq!(sent.iter().map(Result::is_ok).collect::<Vec<_>>(), expected);
}
