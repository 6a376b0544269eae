//! Imports while AWS misbehaves: batches that are done in part, answers that are lost.

use std::{io::Cursor, sync::Arc};

use permitd::{
    actors::import::{ImportError, ImportProgress, Order, Summary},
    app::Node,
    dataset::sample::{self, SampleFormat},
    domain::{event::Origin, id::Who},
    store::dynamodb::schema,
};

use crate::{
    importing::node,
    support::{
        backend::Place,
        proxy::{On, Refusal, Trouble},
    },
};

const ROWS: u64 = 200;
/// Tries that the SDK makes of one call.
const ATTEMPTS: usize = 5;

fn records() -> String {
    schema::records_table("permits")
}

/// What an import is given: the same rows each time.
fn order(node: &Node) -> Order {
    let mut file = Cursor::new(Vec::new());
    sample::generate(ROWS, 1, SampleFormat::Csv, &mut file).unwrap();
    file.set_position(0);
    Order {
        file: Box::new(file),
        file_name: "sample.csv".to_owned(),
        definition: Arc::clone(node.definition("permits").unwrap()),
        reading: Arc::clone(node.definition("permits").unwrap()),
        replace: false,
        confirmed: true,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: Origin { who: Who::system("test"), correlation_id: "import".to_owned(), causation_id: None },
        progress: Arc::new(ImportProgress::default()),
    }
}

async fn import(node: &Node) -> Result<Summary, ImportError> {
    node.service.imports.import(order(node)).await
}

/// How many records another node sees.
async fn seen(place: &Place) -> Option<u64> {
    let other = node(place).await;
    other.service.records.refresh().await.unwrap();
    other.service.records.data_set("permits").map(|data_set| data_set.records)
}

/// The same file again changes nothing: every row is there as it is in the file, once.
async fn check_all_is_there(place: &Place) {
    assert_eq!(seen(place).await, Some(ROWS));
    let counts = import(&node(place).await).await.unwrap().counts;
    assert_eq!((counts.unchanged, counts.inserted, counts.updated, counts.removed), (ROWS, 0, 0, 0));
}

#[actix_web::test]
async fn row_07_batch_write_is_done_in_parts() {
    let place = Place::behind_a_proxy().await;
    let importing = node(&place).await;
    let writes = On::operation("BatchWriteItem").table(&records());
    for first in [3, 0, 24, 1, 0] {
        place.proxy().add(writes.clone(), Trouble::First(first));
    }
    place.proxy().add_many(&writes, 2, || Trouble::Refuse(Refusal::Throttled));
    place.proxy().add_many(&writes, 2, || Trouble::LoseAnswer);
    place.proxy().add(writes, Trouble::Refuse(Refusal::Internal));
    assert_eq!(import(&importing).await.unwrap().counts.inserted, ROWS);
    assert_eq!(place.proxy().left(), 0);
    check_all_is_there(&place).await;
}

#[actix_web::test]
async fn row_02_the_write_that_makes_an_import_visible_is_not_heard_of() {
    let place = Place::behind_a_proxy().await;
    let importing = node(&place).await;
    let visible = On::operation("TransactWriteItems").table(schema::STATE).holding("\"import\"");
    place.proxy().add(visible.clone(), Trouble::LoseAnswer);
    place.proxy().add_many(&visible, ATTEMPTS - 1, || Trouble::Cut);
    assert_eq!(import(&importing).await.unwrap().counts.inserted, ROWS, "it finds out that it was done");
    assert_eq!(place.proxy().left(), 0);
    check_all_is_there(&place).await;
}

#[actix_web::test]
async fn row_03_the_write_that_makes_an_import_visible_meets_a_transaction() {
    let place = Place::behind_a_proxy().await;
    let importing = node(&place).await;
    let visible = On::operation("TransactWriteItems").table(schema::STATE).holding("\"import\"");
    place.proxy().add_many(&visible, 2, || Trouble::Refuse(Refusal::Conflict));
    assert_eq!(import(&importing).await.unwrap().counts.inserted, ROWS);
    assert_eq!(place.proxy().left(), 0);
    check_all_is_there(&place).await;
}

#[actix_web::test]
async fn an_import_whose_writes_are_cut_leaves_nothing_to_be_seen() {
    let place = Place::behind_a_proxy().await;
    let importing = node(&place).await;
    let writes = On::operation("BatchWriteItem").table(&records());
    place.proxy().add(writes.clone(), Trouble::First(20));
    place.proxy().add_many(&writes, 1000, || Trouble::Cut);
    let failed = import(&importing).await;
    let told = failed.expect_err("DynamoDB is away").to_string();
    assert!(told.contains("records-permits") && told.contains("cannot be reached"), "{told}");
    place.proxy().clear();
    assert_eq!(seen(&place).await, None);
    assert_eq!(import(&importing).await.unwrap().counts.inserted, ROWS, "the next one begins from what is visible");
    check_all_is_there(&place).await;
}
