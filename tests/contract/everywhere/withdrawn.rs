//! Values of columns that are not published any more: shown nowhere, and in no item of any table.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::types::AttributeValue;
use permitd::{
    clock::ManualClock,
    dataset::{Definition, Index, Record, Value, query::Query},
    store::records::{ImportOrder, RecordStore, Retention},
};
use uuid::Uuid;

use super::{TODAY, Tables, beginning, data, find, heard, imports::past, key, put_all, samples, sqlite, wait};
use crate::support;

const STATUS: usize = 2;

/// The definition of the samples, with an index of its own for each time.
fn indexed(sort: &str) -> Definition {
    let mut definition = samples::definition();
    definition.indexes = vec![Index { partition: "status".to_owned(), sort: Some(sort.to_owned()) }];
    definition
}

fn for_the_table() -> Definition {
    let mut definition = indexed("cost");
    definition.indexes.extend(indexed("filed").indexes);
    definition
}

/// The definition without the column `status`.
fn withdrawn() -> Definition {
    let mut definition = indexed("filed");
    definition.columns.remove(STATUS);
    definition.load_date = definition.load_date.map(|place| place - 1);
    definition.indexes.clear();
    definition
}

fn record(number: usize, status: &str) -> Record {
    let mut values = vec![Value::Null; samples::definition().columns.len()];
    values[0] = Value::Text(format!("k{number:03}"));
    values[STATUS] = Value::Text(status.to_owned());
    values[3] = Value::Integer(i64::try_from(number).unwrap());
    Record { values }
}

fn without_status(number: usize, units: i64) -> Record {
    let mut record = record(number, "");
    record.values[3] = Value::Integer(units);
    record.values.remove(STATUS);
    record
}

fn import(store: &Arc<dyn RecordStore>, definition: &Definition, records: &[Record], replace: bool) {
    let mut session = store.begin_import(ImportOrder::new(definition, Uuid::now_v7(), TODAY, replace)).unwrap();
    put_all(&mut *session, records);
    assert!(session.commit().unwrap().changed);
}

type Items = Vec<HashMap<String, AttributeValue>>;

/// How many items of any table hold a secret value.
fn secrets(tables: &Tables) -> usize {
    let tables = ["records-things", "changes", "state"].map(|table| tables.items_of(table));
    tables.iter().flatten().filter(|item| format!("{item:?}").contains("secret-")).count()
}

/// A store of each kind, with records of the past and of each index that the column was in.
struct Deployment {
    tables: Tables,
    clock: Arc<ManualClock>,
    embedded: Arc<dyn RecordStore>,
    shared: Arc<dyn RecordStore>,
    _folder: tempfile::TempDir,
}

impl Deployment {
    fn with_secrets() -> Self {
        let (tables, folder) = (Tables::new(&for_the_table()), support::data_dir());
        let clock = ManualClock::at(beginning());
        let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), Retention::default()));
        let shared: Arc<dyn RecordStore> = tables.store(clock.clone());
        let deployment = Self { tables, clock, embedded, shared, _folder: folder };
        let records = |what: &str| (0..40).map(|n| record(n, &format!("secret-{what}{n}"))).collect::<Vec<_>>();
        deployment.import(&indexed("cost"), &records("old"), false);
        deployment.import(&indexed("filed"), &records("new")[..25], false);
        deployment.import(&indexed("filed"), &records("new")[..30], true);
        assert!(secrets(&deployment.tables) > 40, "the test looks in the right place");
        deployment
    }

    fn import(&self, definition: &Definition, records: &[Record], replace: bool) {
        for store in [&self.embedded, &self.shared] {
            import(store, definition, records, replace);
        }
        self.clock.advance_us(1_000_000);
    }

    /// Withdraws the column: some records stay, one is updated, some are removed, one comes new.
    fn withdraw(&self) {
        let mut records: Vec<Record> = (0..20).map(|n| without_status(n, i64::try_from(n).unwrap())).collect();
        records[3] = without_status(3, 333);
        records.push(without_status(99, 1));
        self.import(&withdrawn(), &records, true);
    }

    fn check(&self) {
        assert_eq!(secrets(&self.tables), 0);
        let told = past(&self.shared);
        assert_eq!(past(&self.embedded), told);
        assert!(!format!("{told:?}").contains("secret-"));
        let elsewhere: Arc<dyn RecordStore> = self.tables.store(self.clock.clone());
        assert_eq!(past(&elsewhere), told);
        let all = |store| data(find(store, &Query::everything(1000)).unwrap());
        assert_eq!(all(&self.shared), all(&self.embedded));
    }
}

#[test]
fn what_is_withdrawn_is_in_no_item() {
    let deployment = Deployment::with_secrets();
    deployment.withdraw();
    deployment.check();
    // Published again, the column begins with nothing.
    deployment.import(&indexed("filed"), &[record(3, "filed"), record(30, "filed")], false);
    deployment.check();
    deployment.import(&withdrawn(), &[], false);
    deployment.import(&indexed("cost"), &[record(4, "secret-again")], true);
    assert_eq!(secrets(&deployment.tables), 1);
    deployment.withdraw();
    deployment.check();
}

#[test]
fn records_that_are_identified_in_another_way_leave_nothing() {
    let deployment = Deployment::with_secrets();
    let mut definition = withdrawn();
    definition.record_id_rule = permitd::dataset::RecordIdRule::Source;
    let mut record = without_status(1, 1);
    record.values[1] = Value::Integer(7);
    deployment.import(&definition, &[record], true);
    deployment.check();
}

#[test]
fn an_import_that_is_given_up_erases_nothing() {
    let deployment = Deployment::with_secrets();
    let (items, told) = (secrets(&deployment.tables), past(&deployment.shared));
    let mut session =
        deployment.shared.begin_import(ImportOrder::new(&withdrawn(), Uuid::now_v7(), TODAY, true)).unwrap();
    put_all(&mut *session, &[without_status(1, 2)]);
    drop(session);
    assert_eq!((secrets(&deployment.tables), past(&deployment.shared)), (items, told));
    // Nor does the next one, of the same columns.
    deployment.import(&indexed("filed"), &[record(1, "secret-other")], false);
    assert!(secrets(&deployment.tables) >= items);
    assert_eq!(past(&deployment.embedded), past(&deployment.shared));
}

/// As an import leaves the table that dies right after it has become visible: everything is still there.
fn undo_erasure(tables: &Tables, before: &Items) {
    let id = |item: &HashMap<String, AttributeValue>| format!("{:?} {:?}", item["number"], item["record_id"]);
    let before: HashMap<String, &HashMap<_, _>> = before.iter().map(|item| (id(item), item)).collect();
    let (client, table) = (tables.dynamo.client().clone(), tables.dynamo.table("records-things"));
    for mut item in tables.items() {
        let Some(was) = before.get(&id(&item)) else { continue };
        if item.remove("$erased").is_none() {
            continue;
        }
        for (name, value) in *was {
            item.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let put = client.put_item().table_name(&table).set_item(Some(item));
        wait(async move { put.send().await.unwrap() });
    }
    let key = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
    let owed = client.update_item().table_name(tables.dynamo.table("state"));
    let owed =
        owed.set_key(Some([key("k", "dataset"), key("r", "things")].into())).update_expression("SET owed = epoch");
    wait(async move { owed.send().await.unwrap() });
}

#[test]
fn what_an_import_that_died_has_not_erased_is_by_the_next() {
    for next in [withdrawn(), indexed("filed"), indexed("cost")] {
        let deployment = Deployment::with_secrets();
        let before = deployment.tables.items();
        deployment.withdraw();
        undo_erasure(&deployment.tables, &before);
        assert!(secrets(&deployment.tables) >= 40);
        let told = past(&deployment.shared);
        assert_eq!(past(&deployment.embedded), told, "it is shown to nobody meanwhile");
        // It need not change anything, nor come to its end.
        let session = deployment.shared.begin_import(ImportOrder::new(&next, Uuid::now_v7(), TODAY, false)).unwrap();
        drop(session);
        assert_eq!(past(&deployment.shared), told);
        deployment.check();
        let all = [record(5, "filed"), record(6, "filed")];
        let records: Vec<Record> = match next == withdrawn() {
            true => vec![without_status(5, 55)],
            false => all.to_vec(),
        };
        deployment.import(&next, &records, false);
        deployment.check();
    }
}

#[test]
fn who_has_not_heard_of_a_withdrawal_takes_nothing_for_null() {
    let deployment = Deployment::with_secrets();
    let there: Arc<dyn RecordStore> = deployment.tables.store(deployment.clock.clone());
    let reading: Arc<dyn RecordStore> = deployment.tables.store(deployment.clock.clone());
    let before = data(find(&there, &Query::everything(1000)).unwrap());
    deployment.withdraw();
    assert_eq!(data(find(&there, &Query::everything(1000)).unwrap()), before, "it answers as of what it has heard of");
    heard(&there);
    assert_eq!(data(find(&there, &Query::everything(1000)).unwrap()).len(), 21, "it has heard of it now");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let get = |of: &Record| runtime.block_on(reading.reader().get("things", key(of), None));
    // A read by key looks again by itself.
    let found = get(&record(1, "")).unwrap().unwrap().document;
    assert!(!String::from_utf8_lossy(&found).contains("status"));
}
