//! The proxy of the tests: what it does to calls is what the real clients take for AWS's own.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata,
    types::{
        AttributeValue, KeysAndAttributes, Put, PutRequest, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
        WriteRequest,
    },
};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use permitd::{
    aws::{Access, Endpoints},
    store::dynamodb::{Dynamo, schema},
};

use crate::support::{
    emulator::{self, Kind},
    proxy::{Gate, On, Proxy, Refusal, Trouble},
};

/// A proxy before this process's emulators, with tables of its own behind it.
struct Bench {
    proxy: Proxy,
    dynamo: Dynamo,
    access: Access,
}

async fn access(url: &str) -> Access {
    let url = || Some(url.to_owned());
    let access = Access::to_endpoints(Endpoints { dynamodb: url(), sqs: url(), ses: url(), sns: url() }).await;
    access.with_first_backoff(Duration::from_millis(1))
}

async fn bench(kind: Kind) -> Bench {
    let proxy = Proxy::before(&emulator::shared_endpoints(kind).dynamodb.unwrap());
    let access = access(&proxy.url()).await;
    let dynamo = Dynamo::new(&access, &emulator::prefix());
    emulator::make_tables(&dynamo, &[]).await;
    Bench { proxy, dynamo, access }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// An item of the table of events, marked for the outbox.
fn commit(stream: &str, version: u32) -> HashMap<String, AttributeValue> {
    let number = |value: u32| AttributeValue::N(value.to_string());
    HashMap::from([
        ("s".to_owned(), text(stream)),
        ("v".to_owned(), number(version)),
        ("ob".to_owned(), text("0")),
        ("t".to_owned(), number(version)),
    ])
}

impl Bench {
    fn events(&self) -> String {
        self.dynamo.table(schema::EVENTS)
    }

    /// Appends as the log does. `Err` with the code and what was there before.
    async fn put(&self, stream: &str, version: u32) -> Result<(), (String, bool)> {
        let put = self.dynamo.client().put_item().table_name(self.events()).set_item(Some(commit(stream, version)));
        let put = put
            .condition_expression("attribute_not_exists(v)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let failed = |error: aws_sdk_dynamodb::error::SdkError<aws_sdk_dynamodb::operation::put_item::PutItemError>| {
            let service = error.as_service_error();
            let old = service.is_some_and(|error| match error {
                aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) => {
                    failed.item().is_some()
                }
                _ => false,
            });
            (service.and_then(|error| error.code()).unwrap_or("none").to_owned(), old)
        };
        put.send().await.map(drop).map_err(failed)
    }

    async fn versions(&self, stream: &str) -> Vec<String> {
        let query = self.dynamo.client().query().table_name(self.events()).consistent_read(true);
        let query = query.key_condition_expression("s = :s").expression_attribute_values(":s", text(stream));
        versions(query.send().await.unwrap().items())
    }

    async fn outbox(&self) -> Vec<String> {
        let query = self.dynamo.client().query().table_name(self.events()).index_name(schema::OUTBOX);
        let query = query.key_condition_expression("ob = :ob").expression_attribute_values(":ob", text("0"));
        versions(query.send().await.unwrap().items())
    }
}

fn versions(items: &[HashMap<String, AttributeValue>]) -> Vec<String> {
    items.iter().map(|item| item["v"].as_n().unwrap().clone()).collect()
}

fn puts() -> On {
    On::operation("PutItem").table(schema::EVENTS)
}

#[tokio::test]
async fn what_is_not_meant_passes_and_is_counted() {
    let bench = bench(Kind::Dynoxide).await;
    bench.proxy.add(On::operation("PutItem").table("views"), Trouble::Cut);
    bench.proxy.add(On::operation("Query").index("feed"), Trouble::Cut);
    bench.proxy.add(puts().holding("\"another\""), Trouble::Cut);
    bench.put("stream", 1).await.unwrap();
    assert_eq!(bench.versions("stream").await, ["1"]);
    assert_eq!((bench.proxy.calls("PutItem"), bench.proxy.calls("Query"), bench.proxy.calls("GetItem")), (1, 1, 0));
    assert_eq!(bench.proxy.left(), 3);
    bench.proxy.clear();
    assert_eq!(bench.proxy.left(), 0);
}

#[tokio::test]
async fn a_throttled_call_is_tried_again_by_the_client_until_it_gives_up() {
    for kind in [Kind::Dynoxide, Kind::Ministack] {
        let bench = bench(kind).await;
        bench.proxy.add_many(&puts(), 2, || Trouble::Refuse(Refusal::Throttled));
        bench.put("stream", 1).await.unwrap();
        assert_eq!(bench.proxy.calls("PutItem"), 3);
        let counted = &bench.access.calls()[&("DynamoDB".to_owned(), "PutItem".to_owned())];
        assert_eq!(*counted, 3, "the client counts the same");
        bench.proxy.add_many(&puts(), 5, || Trouble::Refuse(Refusal::OverLimit));
        assert_eq!(bench.put("stream", 2).await, Err(("ThrottlingException".to_owned(), false)));
        assert_eq!(bench.versions("stream").await, ["1"]);
        assert_eq!(bench.proxy.left(), 0);
    }
}

#[tokio::test]
async fn every_refusal_is_the_error_that_the_client_knows() {
    let bench = bench(Kind::Dynoxide).await;
    for (refusal, code) in [
        (Refusal::Throttled, "ProvisionedThroughputExceededException"),
        (Refusal::OverLimit, "ThrottlingException"),
        (Refusal::Conflict, "TransactionConflictException"),
        (Refusal::Internal, "InternalServerError"),
        (Refusal::Unavailable, "none"),
    ] {
        bench.proxy.add_many(&puts(), 5, || Trouble::Refuse(refusal));
        assert_eq!(bench.put("stream", 1).await, Err((code.to_owned(), false)), "{refusal:?}");
        bench.proxy.clear();
    }
    assert_eq!(bench.versions("stream").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_cancelled_transaction_names_its_reasons() {
    let bench = bench(Kind::Dynoxide).await;
    bench.proxy.add(On::operation("TransactWriteItems").table(schema::EVENTS), Trouble::Refuse(Refusal::Conflict));
    let put = |version| Put::builder().table_name(bench.events()).set_item(Some(commit("s", version))).build().unwrap();
    let action = |version| TransactWriteItem::builder().put(put(version)).build();
    let transaction = bench.dynamo.client().transact_write_items().transact_items(action(1)).transact_items(action(2));
    let error = transaction.send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(error) =
        error
    else {
        panic!("{error:?}")
    };
    let codes: Vec<_> = error.cancellation_reasons().iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["TransactionConflict", "None"]);
}

#[tokio::test]
async fn a_lost_answer_is_of_a_call_that_was_carried_out_and_a_cut_one_was_not() {
    for kind in [Kind::Dynoxide, Kind::Ministack] {
        let bench = bench(kind).await;
        bench.proxy.add(puts(), Trouble::LoseAnswer);
        // The client tries again, and meets what its first try wrote.
        assert_eq!(bench.put("stream", 1).await, Err(("ConditionalCheckFailedException".to_owned(), true)));
        assert_eq!(bench.versions("stream").await, ["1"]);
        bench.proxy.add_many(&puts(), 5, || Trouble::Cut);
        assert_eq!(bench.put("stream", 2).await, Err(("none".to_owned(), false)));
        assert_eq!(bench.versions("stream").await, ["1"]);
        bench.put("stream", 2).await.unwrap();
    }
}

#[tokio::test]
async fn of_a_batch_only_the_first_are_carried_out() {
    for kind in [Kind::Dynoxide, Kind::Ministack] {
        let bench = bench(kind).await;
        let write = |version| {
            let put = PutRequest::builder().set_item(Some(commit("stream", version))).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        };
        for done in [2, 0] {
            bench.proxy.add(On::operation("BatchWriteItem"), Trouble::First(done));
            let batch = (10..15).map(write).collect();
            let written =
                bench.dynamo.client().batch_write_item().request_items(bench.events(), batch).send().await.unwrap();
            let left = &written.unprocessed_items().unwrap()[&bench.events()];
            assert_eq!((left.len(), &left[0]), (5 - done, &write(10 + u32::try_from(done).unwrap())));
            assert_eq!(bench.versions("stream").await, ["10", "11"]);
        }
        let key = |version: &str| {
            HashMap::from([("s".to_owned(), text("stream")), ("v".to_owned(), AttributeValue::N(version.to_owned()))])
        };
        let keys = vec![key("10"), key("11"), key("12")];
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().unwrap();
        bench.proxy.add(On::operation("BatchGetItem"), Trouble::First(1));
        let read = bench.dynamo.client().batch_get_item().request_items(bench.events(), keys).send().await.unwrap();
        assert_eq!(versions(&read.responses().unwrap()[&bench.events()]), ["10"]);
        let left = &read.unprocessed_keys().unwrap()[&bench.events()];
        assert_eq!((left.keys(), left.consistent_read()), (&[key("11"), key("12")][..], Some(true)));
    }
}

#[tokio::test]
async fn an_index_that_lags_neither_shows_what_comes_nor_misses_what_goes() {
    for kind in [Kind::Dynoxide, Kind::Ministack] {
        let bench = bench(kind).await;
        bench.put("stream", 1).await.unwrap();
        let lag = bench.proxy.lag(&bench.events(), schema::OUTBOX);
        bench.put("stream", 2).await.unwrap();
        let update = bench.dynamo.client().update_item().table_name(bench.events()).update_expression("REMOVE ob");
        let update = update.key("s", text("stream")).key("v", AttributeValue::N("1".to_owned()));
        update.send().await.unwrap();
        assert_eq!(bench.outbox().await, ["1"], "as of when the lag began");
        assert_eq!(bench.versions("stream").await, ["1", "2"], "the table itself does not lag");
        drop(lag);
        assert_eq!(bench.outbox().await, ["2"]);
    }
}

#[tokio::test]
async fn a_call_waits_at_a_gate() {
    let bench = bench(Kind::Dynoxide).await;
    let (mut gate, hold) = Gate::new();
    bench.proxy.add(puts(), Trouble::Before(hold));
    let test = async {
        gate.reached().await;
        assert_eq!(bench.versions("stream").await, Vec::<String>::new());
        gate.open();
    };
    let (put, ()) = tokio::join!(bench.put("stream", 1), test);
    put.unwrap();
    let (mut gate, hold) = Gate::new();
    bench.proxy.add(puts(), Trouble::After(hold));
    let test = async {
        gate.reached().await;
        assert_eq!(bench.versions("stream").await, ["1", "2"], "it has been carried out");
        gate.open();
    };
    let (put, ()) = tokio::join!(bench.put("stream", 2), test);
    put.unwrap();
}

/// An SQS client behind the proxy, and a queue.
async fn queue(proxy: &Proxy) -> (aws_sdk_sqs::Client, String) {
    let access = access(&proxy.url()).await;
    let config = aws_sdk_sqs::config::Builder::from(access.config()).endpoint_url(proxy.url());
    let client = aws_sdk_sqs::Client::from_conf(config.build());
    let made = client.create_queue().queue_name(format!("{}-messages", emulator::prefix())).send().await.unwrap();
    (client, made.queue_url().unwrap().to_owned())
}

fn entries(texts: &[&str]) -> Vec<SendMessageBatchRequestEntry> {
    let entry = |text: &&str| SendMessageBatchRequestEntry::builder().id(*text).message_body(*text).build().unwrap();
    texts.iter().map(entry).collect()
}

async fn receive(client: &aws_sdk_sqs::Client, queue: &str) -> Vec<String> {
    let received = client.receive_message().queue_url(queue).max_number_of_messages(10).send().await.unwrap();
    received.messages().iter().map(|message| message.body().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn messages_fail_alone_come_twice_out_of_order_and_late() {
    let emulator = emulator::lease();
    let proxy = Proxy::before(&emulator.url());
    let (client, queue) = queue(&proxy).await;
    let send = async |texts: &[&str]| {
        client.send_message_batch().queue_url(&queue).set_entries(Some(entries(texts))).send().await.unwrap()
    };
    proxy.add(On::operation("SendMessageBatch").queue("messages"), Trouble::First(1));
    let sent = send(&["a", "b", "c"]).await;
    assert_eq!(sent.successful().iter().map(|sent| sent.id()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(sent.failed().iter().map(|failed| failed.id()).collect::<Vec<_>>(), ["b", "c"]);
    proxy.add(On::operation("SendMessageBatch"), Trouble::First(0));
    assert_eq!(send(&["d"]).await.failed().len(), 1);

    proxy.add(On::operation("ReceiveMessage"), Trouble::Twice);
    assert_eq!(receive(&client, &queue).await, ["a"]);
    assert_eq!(receive(&client, &queue).await, ["a"], "although somebody works on it");
    assert!(receive(&client, &queue).await.is_empty());

    send(&["e", "f"]).await;
    proxy.add(On::operation("ReceiveMessage"), Trouble::Backwards);
    assert_eq!(receive(&client, &queue).await, ["f", "e"]);

    proxy.add(On::operation("SendMessageBatch"), Trouble::Delay(20));
    send(&["g"]).await;
    assert!(receive(&client, &queue).await.is_empty());
    emulator.advance(Duration::from_secs(21));
    assert_eq!(receive(&client, &queue).await, ["g"]);
    assert_eq!(proxy.left(), 0);
}

#[tokio::test]
async fn sqs_and_ses_refuse_in_their_own_words() {
    let proxy = Proxy::before(&emulator::shared_endpoints(Kind::Ministack).sqs.unwrap());
    let (client, queue) = queue(&proxy).await;
    for (refusal, code) in [
        (Refusal::Throttled, Some("RequestThrottled")),
        (Refusal::OverLimit, Some("OverLimit")),
        (Refusal::Internal, Some("InternalFailure")),
        (Refusal::Unavailable, None),
    ] {
        proxy.add_many(&On::operation("ReceiveMessage"), 5, || Trouble::Refuse(refusal));
        let error = client.receive_message().queue_url(&queue).send().await.unwrap_err().into_service_error();
        assert_eq!(error.code(), code, "{refusal:?}");
        proxy.clear();
    }
    let access = access(&proxy.url()).await;
    let config = aws_sdk_sesv2::config::Builder::from(access.config()).endpoint_url(proxy.url());
    let ses = aws_sdk_sesv2::Client::from_conf(config.build());
    let before = proxy.calls("GetAccount");
    proxy.add_many(&On::operation("GetAccount"), 4, || Trouble::Refuse(Refusal::Throttled));
    ses.get_account().send().await.unwrap();
    assert_eq!(proxy.calls("GetAccount"), before + 5, "tried again");
    proxy.add_many(&On::operation("GetAccount"), 5, || Trouble::Refuse(Refusal::Throttled));
    let error = ses.get_account().send().await.unwrap_err().into_service_error();
    assert!(error.is_too_many_requests_exception(), "{error:?}");
}
