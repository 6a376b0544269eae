//! An index that lags: for a while it answers as of when the lag began. The table is copied at that moment, and questions to the
//! index are put to the copy.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};

use super::{
    Shared,
    ask::{Ask, Service},
    wire::{Message, Upstream},
};

/// Writes of one batch.
const BATCH: usize = 25;
/// Looks at a copy that is being made.
const LOOKS_MAX: u32 = 1000;

/// Where questions to an index go instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shadow {
    table: String,
    index: String,
    copy: String,
}

impl Shadow {
    pub(super) fn redirect(&self, ask: &mut Ask) {
        if ask.service == Service::Dynamo && ask.body["TableName"] == self.table && ask.body["IndexName"] == self.index
        {
            ask.change()["TableName"] = self.copy.clone().into();
        }
    }
}

/// A lag. It ends when this is dropped: then the index has caught up.
pub(crate) struct Lag {
    shared: Arc<Shared>,
    shadow: Shadow,
}

impl Lag {
    pub(super) fn begin(shared: &Arc<Shared>, table: &str, index: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let copy = format!("{table}-lag-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        copy_table(&mut Upstream::to(&shared.emulator), table, &copy);
        let shadow = Shadow { table: table.to_owned(), index: index.to_owned(), copy };
        shared.lags.lock().unwrap().push(shadow.clone());
        Self { shared: Arc::clone(shared), shadow }
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.shared.lags.lock().unwrap().retain(|shadow| *shadow != self.shadow);
    }
}

fn copy_table(emulator: &mut Upstream, table: &str, copy: &str) {
    let described = call(emulator, "DescribeTable", &json!({ "TableName": table }))["Table"].take();
    let indexes = described["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
    let index = |index: &Value| {
        json!({
            "IndexName": index["IndexName"],
            "KeySchema": index["KeySchema"],
            "Projection": index["Projection"],
        })
    };
    let new = json!({
        "TableName": copy,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": described["AttributeDefinitions"],
        "KeySchema": described["KeySchema"],
        "GlobalSecondaryIndexes": indexes.map(index).collect::<Vec<_>>(),
    });
    call(emulator, "CreateTable", &new);
    let is_ready = |emulator: &mut Upstream| {
        call(emulator, "DescribeTable", &json!({ "TableName": copy }))["Table"]["TableStatus"] == "ACTIVE"
    };
    assert!((0..LOOKS_MAX).any(|_| is_ready(emulator)), "the copy of {table} does not become ready");
    let mut scan = json!({ "TableName": table, "ConsistentRead": true });
    loop {
        let page = call(emulator, "Scan", &scan);
        let items: Vec<Value> = page["Items"].as_array().expect("items").clone();
        for batch in items.chunks(BATCH) {
            let writes: Vec<_> = batch.iter().map(|item| json!({ "PutRequest": { "Item": item } })).collect();
            let done = call(emulator, "BatchWriteItem", &json!({ "RequestItems": { copy: writes } }));
            let left = &done["UnprocessedItems"];
            assert!(left.is_null() || *left == json!({}), "an emulator left something undone: {left}");
        }
        match page.get("LastEvaluatedKey").filter(|key| !key.is_null()) {
            Some(last) => scan["ExclusiveStartKey"] = last.clone(),
            None => return,
        }
    }
}

/// Calls DynamoDB. Emulators take any signature.
fn call(emulator: &mut Upstream, operation: &str, body: &Value) -> Value {
    let credential = "Credential=ANOTREAL/20260101/us-east-1/dynamodb/aws4_request";
    let headers = [
        ("Host", "localhost".to_owned()),
        ("Content-Type", "application/x-amz-json-1.0".to_owned()),
        ("X-Amz-Target", format!("DynamoDB_20120810.{operation}")),
        ("X-Amz-Date", "20260101T000000Z".to_owned()),
        ("Authorization", format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host;x-amz-date, Signature=0")),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let request = Message { first: "POST / HTTP/1.1".to_owned(), headers, body: body.to_string().into_bytes() };
    let answer = emulator.ask(&request).expect("an answer of the emulator");
    let document = serde_json::from_slice(&answer.body).expect("a document");
    assert_eq!(answer.word(1), "200", "{operation}: {document}");
    document
}
