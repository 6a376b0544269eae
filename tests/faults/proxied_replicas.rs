//! Copies of records while AWS misbehaves: it throttles, loses answers, answers late, is away. The node says so, goes on with reads
//! by key, and heals.

use std::{io::Cursor, path::Path, sync::Arc, time::Duration};

use permitd::{
    actors::import::{ImportProgress, Order},
    app::{Node, Purpose},
    clock::{ManualClock, SystemClock},
    config::{LoadFrom, Settings},
    dataset::{
        query::{Format, Query},
        sample::{self, SampleFormat},
    },
    domain::{event::Origin, id::Who},
    secrets::SystemEntropy,
    store::{
        dynamodb::schema,
        records::{CopyProgress, RecordStoreError},
    },
};

use crate::support::{
    backend::Place,
    proxy::{Gate, On, Refusal, Trouble},
};

const ROWS: u64 = 300;

fn records() -> String {
    schema::records_table("permits")
}

/// A node of the deployment on a machine of its own.
async fn machine(place: &Place, folder: &Path, clock: permitd::clock::SharedClock) -> Node {
    let mut settings = place.settings();
    settings.retain(|(name, _)| *name != "data");
    settings.push(("data", folder.display().to_string()));
    let settings =
        Settings::load(LoadFrom { config_file: None, env: std::iter::empty(), overrides: &settings }).unwrap();
    let (address, aws) = (settings.listen, place.access().await);
    Node::open(settings, clock, Arc::new(SystemEntropy), Purpose::Command, address, aws).await.unwrap()
}

/// Imports the sample with so many rows.
async fn import(node: &Node, rows: u64) {
    let mut file = Cursor::new(Vec::new());
    sample::generate(rows, 1, SampleFormat::Csv, &mut file).unwrap();
    file.set_position(0);
    let order = Order {
        file: Box::new(file),
        file_name: "sample.csv".to_owned(),
        definition: Arc::clone(node.definition("permits").unwrap()),
        reading: Arc::clone(node.definition("permits").unwrap()),
        replace: true,
        confirmed: true,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: Origin { who: Who::system("test"), correlation_id: "import".to_owned(), causation_id: None },
        progress: Arc::new(ImportProgress::default()),
    };
    node.service.imports.import(order).await.unwrap();
}

/// Everything that a node has, as it exports it.
async fn exported(node: &Node) -> Result<Vec<u8>, RecordStoreError> {
    let records = &node.service.records;
    let query = Query { format: Some(Format::Ndjson), ..Query::everything(1000) };
    let mut export = records.export(&records.data_set("permits").unwrap(), &query).await?;
    let mut whole = Vec::new();
    while let Some(part) = export.parts.recv().await {
        whole.extend_from_slice(&part?);
    }
    Ok(whole)
}

fn copy(node: &Node) -> CopyProgress {
    node.service.records.copies().pop().expect("a data set")
}

async fn until(node: &Node, is_so: impl Fn(&CopyProgress) -> bool) {
    while !is_so(&copy(node)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The key of a record.
async fn key(node: &Node) -> String {
    let whole = exported(node).await.unwrap();
    let first: serde_json::Value = serde_json::from_slice(whole.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    first["application_number"].as_str().unwrap().to_owned()
}

async fn reads(node: &Node, key: &str) -> bool {
    node.service.records.reader().get("permits", key, None).await.unwrap().is_some()
}

#[actix_web::test]
async fn a_copy_that_waits_for_dynamodb_answers_reads_by_key() {
    let (place, folders) = (Place::behind_a_proxy().await, [0, 1].map(|_| tempfile::tempdir().unwrap()));
    let importing = machine(&place, folders[0].path(), SystemClock::shared()).await;
    import(&importing, ROWS).await;
    let scans = On::operation("Scan").table(&records());
    let (mut gate, hold) = Gate::new();
    place.proxy().add(scans.clone(), Trouble::After(hold));
    let copying = machine(&place, folders[1].path(), SystemClock::shared()).await;
    gate.reached().await;
    assert!(reads(&copying, &key(&importing).await).await);
    let refused = exported(&copying).await.unwrap_err();
    assert!(matches!(refused, RecordStoreError::Copying { percent: 0..100, .. }), "{refused}");
    assert!(refused.to_string().contains("percent are there"), "{refused}");
    // A version that comes to be meanwhile is what reads by key are of, and what questions are of in the end.
    import(&importing, ROWS + 20).await;
    copying.service.records.refresh().await.unwrap();
    assert_eq!(copying.service.records.data_set("permits").unwrap().records, ROWS + 20);
    gate.open();
    until(&copying, |copy| copy.is_ready).await;
    assert_eq!(exported(&copying).await.unwrap(), exported(&importing).await.unwrap());
}

#[actix_web::test]
async fn a_copy_goes_on_where_dynamodb_throttles_and_loses_answers() {
    let (place, folders) = (Place::behind_a_proxy().await, [0, 1].map(|_| tempfile::tempdir().unwrap()));
    let importing = machine(&place, folders[0].path(), SystemClock::shared()).await;
    import(&importing, ROWS).await;
    let scans = On::operation("Scan").table(&records());
    place.proxy().add_many(&scans, 2, || Trouble::Refuse(Refusal::Throttled));
    place.proxy().add_many(&scans, 2, || Trouble::LoseAnswer);
    place.proxy().add(scans, Trouble::Refuse(Refusal::Internal));
    let copying = machine(&place, folders[1].path(), SystemClock::shared()).await;
    until(&copying, |copy| copy.is_ready).await;
    assert_eq!(place.proxy().left(), 0);
    assert_eq!(exported(&copying).await.unwrap(), exported(&importing).await.unwrap());
    // The same while it follows: the list of what changed, and what it names.
    import(&importing, ROWS + 50).await;
    let (lists, named) =
        (On::operation("Query").table(schema::CHANGES), On::operation("BatchGetItem").table(&records()));
    place.proxy().add(lists.clone(), Trouble::LoseAnswer);
    place.proxy().add(lists, Trouble::Refuse(Refusal::Throttled));
    place.proxy().add(named.clone(), Trouble::First(7));
    place.proxy().add(named, Trouble::LoseAnswer);
    copying.service.records.refresh().await.unwrap();
    assert_eq!(place.proxy().left(), 0);
    assert_eq!(exported(&copying).await.unwrap(), exported(&importing).await.unwrap());
}

#[actix_web::test]
async fn a_copy_that_cannot_be_made_says_why_and_is_tried_again() {
    let (place, folders) = (Place::behind_a_proxy().await, [0, 1].map(|_| tempfile::tempdir().unwrap()));
    let importing = machine(&place, folders[0].path(), SystemClock::shared()).await;
    import(&importing, ROWS).await;
    place.proxy().add_many(&On::operation("Scan").table(&records()), 1000, || Trouble::Cut);
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let copying = machine(&place, folders[1].path(), clock.clone()).await;
    until(&copying, |copy| copy.trouble.is_some()).await;
    let told = copy(&copying).trouble.unwrap();
    assert!(told.contains("records-permits"), "{told}");
    assert!(reads(&copying, &key(&importing).await).await, "the others go on");
    assert!(matches!(exported(&copying).await, Err(RecordStoreError::Unavailable { .. })));
    place.proxy().clear();
    copying.service.records.refresh().await.unwrap();
    assert!(!copy(&copying).is_ready, "not before a while");
    clock.advance_us(1_000_001);
    copying.service.records.refresh().await.unwrap();
    until(&copying, |copy| copy.is_ready).await;
    assert_eq!(copy(&copying).trouble, None);
    assert_eq!(exported(&copying).await.unwrap(), exported(&importing).await.unwrap());
}

#[actix_web::test]
async fn a_node_that_cannot_follow_goes_on_with_what_it_has() {
    let (place, folders) = (Place::behind_a_proxy().await, [0, 1].map(|_| tempfile::tempdir().unwrap()));
    let importing = machine(&place, folders[0].path(), SystemClock::shared()).await;
    import(&importing, ROWS).await;
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let following = machine(&place, folders[1].path(), clock.clone()).await;
    until(&following, |copy| copy.is_ready).await;
    let before = exported(&following).await.unwrap();
    import(&importing, ROWS + 50).await;
    place.proxy().add_many(&On::operation("BatchGetItem").table(&records()), 1000, || Trouble::Cut);
    following.service.records.refresh().await.unwrap_err();
    clock.advance_us(3_000_000);
    let behind = copy(&following);
    assert_eq!((behind.is_ready, behind.versions_behind, behind.seconds_behind), (true, 1, 3.0));
    assert!(behind.trouble.is_some_and(|trouble| trouble.contains("records-permits")));
    assert_eq!(exported(&following).await.unwrap(), before);
    assert!(reads(&following, &key(&importing).await).await);
    place.proxy().clear();
    following.service.records.refresh().await.unwrap();
    let there = copy(&following);
    assert_eq!((there.versions_behind, there.seconds_behind, there.trouble), (0, 0.0, None));
    assert_eq!(exported(&following).await.unwrap(), exported(&importing).await.unwrap());
}
