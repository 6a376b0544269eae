//! Writes for an import: in batches, several requests at a time, with bounded memory and a bounded number of tries.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use tokio::sync::Semaphore;

use super::row::{ERASED, Layout};
use crate::{
    aws::Bridge,
    store::{
        StoreError,
        dynamodb::{
            BATCH_WRITES_MAX, Dynamo,
            item::{self, Item, number},
            unavailable,
        },
    },
};

/// The size at which a batch is sent before it is full, bytes. DynamoDB takes 16 MB.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Tries of the part of a batch that DynamoDB left undone.
const TRIES_MAX: u32 = 12;
/// The first pause before another try; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Attributes that one update removes, at most: DynamoDB's limit on expressions allows few more.
const REMOVED_AT_A_TIME: usize = 100;

/// The names of a table to write to.
#[derive(Debug, Clone)]
pub(in crate::store::dynamodb) struct WriteTarget {
    /// Its whole name.
    pub(in crate::store::dynamodb) table: String,
    /// The name of its partition key.
    pub(in crate::store::dynamodb) key: String,
    /// The name of its sort key.
    pub(in crate::store::dynamodb) id: String,
}

impl WriteTarget {
    /// A table of records.
    pub(super) fn new(table: String, layout: &Layout) -> Self {
        Self { table, key: layout.key_attribute().to_owned(), id: layout.id_attribute().to_owned() }
    }

    /// The key of an item.
    pub(in crate::store::dynamodb) fn key_of(&self, key: &str, sort_key: &str) -> Item {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        [(self.key.clone(), text(key)), (self.id.clone(), text(sort_key))].into()
    }
}

/// Takes writes from a blocking thread, and sends them on a bridge.
pub(in crate::store::dynamodb) struct BatchWriter {
    bridge: Arc<Bridge>,
    dynamo: Dynamo,
    target: Arc<WriteTarget>,
    parallel: u32,
    permits: Arc<Semaphore>,
    failure: Arc<Mutex<Option<StoreError>>>,
    batch: Vec<WriteRequest>,
    batch_bytes: usize,
}

impl BatchWriter {
    pub(in crate::store::dynamodb) fn new(
        bridge: Arc<Bridge>,
        dynamo: Dynamo,
        target: WriteTarget,
        parallel_requests: usize,
    ) -> Self {
        let parallel = u32::try_from(parallel_requests.clamp(1, 1024)).unwrap_or(1);
        Self {
            bridge,
            dynamo,
            target: Arc::new(target),
            parallel,
            permits: Arc::new(Semaphore::new(parallel_requests.clamp(1, 1024))),
            failure: Arc::default(),
            batch: Vec::with_capacity(BATCH_WRITES_MAX),
            batch_bytes: 0,
        }
    }

    pub(in crate::store::dynamodb) fn target(&self) -> &WriteTarget {
        &self.target
    }

    /// Writes an item.
    pub(in crate::store::dynamodb) fn put(&mut self, item: Item) -> Result<(), StoreError> {
        let bytes = item::bytes(&item);
        let put = PutRequest::builder().set_item(Some(item)).build().map_err(built)?;
        self.add(WriteRequest::builder().put_request(put).build(), bytes)
    }

    /// Deletes an item.
    pub(in crate::store::dynamodb) fn delete(&mut self, key: Item) -> Result<(), StoreError> {
        let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(built)?;
        self.add(WriteRequest::builder().delete_request(delete).build(), 0)
    }

    /// Removes attributes from an item, and notes the epoch in it. An item that was cleared away meanwhile stays away.
    pub(in crate::store::dynamodb) fn erase(
        &self,
        key: Item,
        attributes: &[String],
        epoch: u64,
    ) -> Result<(), StoreError> {
        for some in attributes.chunks(REMOVED_AT_A_TIME) {
            let places: Vec<String> = (0..some.len()).map(|place| format!("#n{place}")).collect();
            let names = places.iter().cloned().zip(some.iter().cloned());
            let own = [("#e".to_owned(), ERASED.to_owned()), ("#k".to_owned(), self.target.key.clone())];
            let request = self
                .dynamo
                .client()
                .update_item()
                .table_name(&self.target.table)
                .set_key(Some(key.clone()))
                .update_expression(format!("SET #e = :e REMOVE {}", places.join(", ")))
                .condition_expression("attribute_exists(#k)")
                .set_expression_attribute_names(Some(names.chain(own).collect()))
                .expression_attribute_values(":e", number(epoch));
            let table = self.target.table.clone();
            self.spawn(async move {
                match request.send().await {
                    Ok(_) => Ok(()),
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
                    {
                        Ok(())
                    }
                    Err(error) => Err(unavailable(&table, &error)),
                }
            })?;
        }
        Ok(())
    }

    fn add(&mut self, request: WriteRequest, bytes: usize) -> Result<(), StoreError> {
        if self.batch_bytes + bytes > BATCH_BYTES_MAX {
            self.send_batch()?;
        }
        self.batch.push(request);
        self.batch_bytes += bytes;
        if self.batch.len() >= BATCH_WRITES_MAX { self.send_batch() } else { Ok(()) }
    }

    fn send_batch(&mut self) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH_WRITES_MAX));
        self.batch_bytes = 0;
        let (dynamo, table) = (self.dynamo.clone(), self.target.table.clone());
        self.spawn(async move { write_batch(&dynamo, &table, batch, FIRST_PAUSE).await })
    }

    /// Starts a write as soon as there is room for one more request.
    fn spawn(&self, work: impl Future<Output = Result<(), StoreError>> + Send + 'static) -> Result<(), StoreError> {
        self.check()?;
        let (permits, failure) = (Arc::clone(&self.permits), Arc::clone(&self.failure));
        let started = self.bridge.run(async move {
            let permit = permits.acquire_owned().await;
            tokio::spawn(async move {
                if let Err(error) = work.await {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
                drop(permit);
            });
        });
        started.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    fn check(&self) -> Result<(), StoreError> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Waits until everything is written.
    pub(in crate::store::dynamodb) fn finish(&mut self) -> Result<(), StoreError> {
        self.send_batch()?;
        let (permits, parallel) = (Arc::clone(&self.permits), self.parallel);
        // Holding all permits means that nothing is under way.
        let waited = self.bridge.run(async move { permits.acquire_many(parallel).await.map(drop) });
        match waited {
            Ok(Ok(())) => self.check(),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }
}

fn built(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Writes a batch, and repeats its undone part with growing pauses.
async fn write_batch(
    dynamo: &Dynamo,
    table: &str,
    batch: Vec<WriteRequest>,
    first_pause: Duration,
) -> Result<(), StoreError> {
    let mut left: HashMap<String, Vec<WriteRequest>> = [(table.to_owned(), batch)].into();
    let mut pause = first_pause;
    for nth in 0..TRIES_MAX {
        if nth > 0 {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        let request = dynamo.client().batch_write_item().set_request_items(Some(left));
        let written = request.send().await.map_err(|error| unavailable(table, &error))?;
        left = written.unprocessed_items.unwrap_or_default();
        left.retain(|_, requests| !requests.is_empty());
        if left.is_empty() {
            return Ok(());
        }
    }
    let reason = format!("table {table}: it is written to faster than it takes it; {TRIES_MAX} tries were not enough");
    Err(StoreError::Unavailable(reason))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use aws_sdk_dynamodb::Client;
    use aws_smithy_runtime_api::{
        client::{
            http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
            orchestrator::{HttpRequest, HttpResponse},
        },
        http::StatusCode,
    };
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::{
        aws::{Access, Endpoints},
        store::dynamodb::item::text,
    };

    /// Answers requests with its answers in order, the last one repeatedly, and keeps the requests.
    #[derive(Debug, Clone)]
    struct Scripted {
        answers: Arc<Mutex<VecDeque<(u16, String)>>>,
        sent: Arc<Mutex<Vec<String>>>,
    }

    impl Scripted {
        fn new(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
            Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), sent: Arc::default() }
        }

        async fn dynamo(&self) -> Dynamo {
            let access =
                Access::to_endpoints(Endpoints { dynamodb: Some("http://test".to_owned()), ..Endpoints::default() });
            let access = access.await;
            let connector = SharedHttpConnector::new(self.clone());
            let config = aws_sdk_dynamodb::config::Builder::from(access.config())
                .http_client(http_client_fn(move |_, _| connector.clone()))
                .endpoint_url("http://test");
            let new = Dynamo::new(&access, "test");
            Dynamo { client: Client::from_conf(config.build()), ..new }
        }

        fn sent(&self) -> Vec<String> {
            self.sent.lock().unwrap().clone()
        }
    }

    impl HttpConnector for Scripted {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let body = request.body().bytes().unwrap_or_default();
            self.sent.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
            let mut answers = self.answers.lock().unwrap();
            let (status, body) = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
            let status = StatusCode::try_from(status).unwrap();
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
        }
    }

    fn puts(numbers: std::ops::Range<u32>) -> Vec<WriteRequest> {
        let put = |number: u32| {
            let item: Item = [("k".to_owned(), text(format!("key{number}")))].into();
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        };
        numbers.map(put).collect()
    }

    fn undone(numbers: std::ops::Range<u32>) -> String {
        let put =
            |number: u32| serde_json::json!({ "PutRequest": { "Item": { "k": { "S": format!("key{number}") } } } });
        serde_json::json!({ "UnprocessedItems": { "things": numbers.map(put).collect::<Vec<_>>() } }).to_string()
    }

    #[actix_web::test]
    async fn what_is_left_undone_is_sent_again_and_nothing_else() {
        let all_done = serde_json::json!({ "UnprocessedItems": {} }).to_string();
        let scripted = Scripted::new([(200, undone(1..3)), (200, undone(2..3)), (200, all_done)]);
        let dynamo = scripted.dynamo().await;
        write_batch(&dynamo, "things", puts(0..3), Duration::ZERO).await.unwrap();
        let keys = |body: &String| (0..3).filter(|number| body.contains(&format!("key{number}"))).collect::<Vec<_>>();
        assert_eq!(scripted.sent().iter().map(keys).collect::<Vec<_>>(), [vec![0, 1, 2], vec![1, 2], vec![2]]);
    }

    #[actix_web::test]
    async fn a_table_that_takes_nothing_is_given_up_at_last() {
        let scripted = Scripted::new([(200, undone(0..1))]);
        let dynamo = scripted.dynamo().await;
        let refused = write_batch(&dynamo, "things", puts(0..1), Duration::ZERO).await.unwrap_err().to_string();
        assert!(refused.contains("things") && refused.contains("12 tries"), "{refused}");
        assert_eq!(scripted.sent().len(), 12);
    }

    #[actix_web::test]
    async fn a_throttled_batch_is_sent_again() {
        let throttled = serde_json::json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": "slow down",
        });
        let scripted = Scripted::new([(400, throttled.to_string()), (200, "{}".to_owned())]);
        let dynamo = scripted.dynamo().await;
        write_batch(&dynamo, "things", puts(0..2), Duration::ZERO).await.unwrap();
        assert_eq!(scripted.sent().len(), 2);
    }

    #[test]
    fn what_failed_in_the_background_is_told_before_the_end() {
        let error = serde_json::json!({ "__type": "ValidationException", "message": "no such thing" });
        let scripted = Scripted::new([(400, error.to_string())]);
        let bridge = Arc::new(Bridge::start("test").unwrap());
        let making = scripted.clone();
        let dynamo = bridge.run(async move { making.dynamo().await }).unwrap();
        let target = WriteTarget { table: "things".to_owned(), key: "k".to_owned(), id: "r".to_owned() };
        let mut writer = BatchWriter::new(bridge, dynamo, target, 2);
        writer.put([("k".to_owned(), text("key"))].into()).unwrap();
        assert!(writer.finish().unwrap_err().to_string().contains("no such thing"));
        let key = writer.target().key_of("k", "r");
        assert!(writer.delete(key.clone()).and_then(|()| writer.finish()).is_err(), "nothing more is begun");
        assert!(writer.erase(key, &["a".to_owned()], 1).is_err());
    }

    #[test]
    fn what_was_cleared_away_meanwhile_needs_no_erasing() {
        let refused = serde_json::json!({ "__type": "ConditionalCheckFailedException", "message": "refused" });
        let scripted = Scripted::new([(400, refused.to_string())]);
        let bridge = Arc::new(Bridge::start("test").unwrap());
        let making = scripted.clone();
        let dynamo = bridge.run(async move { making.dynamo().await }).unwrap();
        let target = WriteTarget { table: "things".to_owned(), key: "k".to_owned(), id: "r".to_owned() };
        let mut writer = BatchWriter::new(bridge, dynamo, target, 2);
        writer.erase(writer.target().key_of("k", "r"), &["a".to_owned()], 1).unwrap();
        writer.finish().unwrap();
        assert_eq!(scripted.sent().len(), 1);
    }
}
