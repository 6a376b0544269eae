//! The same imports: the same outcomes, counts, versions and records, whatever comes after whatever.

use std::sync::Arc;

use permitd::{
    clock::ManualClock,
    dataset::{
        Column, ColumnType, Definition, Index, Record, RecordIdRule, Value,
        query::{Position, Query},
    },
    store::records::{ImportOrder, ImportResult, RecordStore, RecordStoreError, Retention},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    TODAY, Tables, all_changes, all_states, beginning, data, find, finished, get, heard, key, samples, sqlite,
};
use crate::support;

fn column(name: &str, kind: ColumnType) -> Column {
    Column { name: name.to_owned(), kind, description: String::new(), personal: false, searchable: false }
}

fn index(partition: &str, sort: Option<&str>) -> Index {
    Index { partition: partition.to_owned(), sort: sort.map(str::to_owned) }
}

/// The definitions that one data set has in the course of time.
pub(super) fn definitions() -> Vec<Definition> {
    let plain = samples::definition();
    let mut other_indexes = plain.clone();
    other_indexes.indexes = vec![index("status", Some("cost")), index("latitude", None)];
    let mut other_columns = plain.clone();
    other_columns.columns[3].kind = ColumnType::Text;
    other_columns.columns.remove(5);
    other_columns.columns.insert(2, column("zip", ColumnType::Text));
    other_columns.indexes = vec![index("zip", Some("units")), index("units", Some("changed"))];
    let mut ids_of_the_file = plain.clone();
    ids_of_the_file.record_id_rule = RecordIdRule::Source;
    ids_of_the_file.columns[1].kind = ColumnType::Text;
    vec![plain, other_indexes, other_columns, ids_of_the_file]
}

/// A definition that declares all of their indexes, so that one table serves them all.
pub(super) fn for_the_table() -> Definition {
    let mut all = definitions();
    let others: Vec<Index> = all.iter().skip(1).flat_map(|definition| definition.indexes.clone()).collect();
    let mut first = all.remove(0);
    for index in others {
        if !first.indexes.contains(&index) {
            first.indexes.push(index);
        }
    }
    first
}

/// A row of a file: a record, or the key of one that was rejected.
#[derive(Debug, Clone)]
enum Row {
    Record(Record),
    Rejected(Option<String>),
}

#[derive(Debug, Clone)]
struct Import {
    definition: Definition,
    rows: Vec<Row>,
    replace: bool,
    is_given_up: bool,
    is_dry: bool,
    /// Columns that the file does not have, and whether they are kept.
    absent: Option<(Vec<usize>, bool)>,
}

fn any_record(definition: &Definition) -> BoxedStrategy<Record> {
    let values: Vec<BoxedStrategy<Value>> = definition
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            if place == definition.key {
                "[a-c]".prop_map(Value::Text).boxed()
            } else if place == definition.record_id && definition.record_id_rule == RecordIdRule::Source {
                "[1-4#]{1,2}".prop_map(Value::Text).boxed()
            } else if place == definition.record_id || Some(place) == definition.load_date {
                Just(Value::Null).boxed()
            } else {
                samples::any_value(column.kind)
            }
        })
        .collect();
    values.prop_map(|values| Record { values }).boxed()
}

fn any_import() -> impl Strategy<Value = Import> {
    let which = prop_oneof![4 => Just(0_usize), 2 => Just(1), 2 => Just(2), 1 => Just(3)];
    let ends = (proptest::bool::weighted(0.2), proptest::bool::weighted(0.2));
    let absent = proptest::option::of((proptest::collection::vec(0_usize..9, 0..4), any::<bool>()));
    (which, any::<bool>(), ends, absent).prop_flat_map(|(which, replace, (is_given_up, is_dry), absent)| {
        let definition = definitions().remove(which);
        let row = prop_oneof![
            8 => any_record(&definition).prop_map(Row::Record),
            1 => proptest::option::of("[a-c]").prop_map(Row::Rejected),
        ];
        proptest::collection::vec(row, 0..12).prop_map(move |rows| Import {
            definition: definition.clone(),
            rows,
            replace,
            is_given_up,
            is_dry,
            absent: absent.clone(),
        })
    })
}

/// Runs an import. What became of each row, and of all of it.
fn run(store: &Arc<dyn RecordStore>, import: &Import) -> (Vec<String>, Result<Option<ImportResult>, String>) {
    let mut outcomes = Vec::new();
    let (definition, id) = (&import.definition, Uuid::from_u128(7));
    let session = if import.is_dry {
        store.begin_import(ImportOrder::new(definition, id, TODAY, import.replace).dry())
    } else {
        store.begin_import(ImportOrder::new(definition, id, TODAY, import.replace))
    };
    let mut session = match session {
        Ok(session) => session,
        Err(error @ RecordStoreError::IdentityChanged { .. }) => return (outcomes, Err(error.to_string())),
        Err(error) => panic!("{error}"),
    };
    if let Some((columns, kept)) = &import.absent {
        session.absent(columns, *kept).unwrap();
    }
    for (line, row) in (1_u64..).zip(&import.rows) {
        match row {
            Row::Record(record) => {
                outcomes.push(format!("{:?}", session.put(line, key(record), record.clone()).unwrap()));
            }
            Row::Rejected(key) => session.reject(key.as_deref()).unwrap(),
        }
    }
    let outlook = session.settle().unwrap();
    outcomes.push(format!("{outlook:?}"));
    if import.is_given_up || import.is_dry {
        return (outcomes, Ok(None));
    }
    (outcomes, Ok(Some(session.commit().unwrap())))
}

/// Everything that can be read of the data set.
fn seen(store: &Arc<dyn RecordStore>) -> Option<(String, Vec<serde_json::Value>, Vec<Vec<u8>>)> {
    let data_set = store.data_set("things")?;
    let records = data(find(store, &Query::everything(1000)).unwrap());
    let mut documents = Vec::new();
    for key in ["a", "b", "c"] {
        documents.push(get(store, key, None).map(|found| found.document.to_vec()).unwrap_or_default());
    }
    Some((format!("{data_set:?}"), records, documents))
}

/// The same rows through each index of the definition.
fn indexes_agree(store: &Arc<dyn RecordStore>) {
    let Some(data_set) = store.data_set("things") else { return };
    let definition = &data_set.definition;
    let ask = |raw_query: &str| {
        let key = permitd::dataset::cursor::CursorKey::new([7; 32]);
        let limits = permitd::dataset::query::QueryLimits::default();
        let query = permitd::dataset::query::parse(definition, raw_query, &limits, &key).unwrap();
        data(find(store, &query).unwrap())
    };
    let all = ask("limit=1000");
    assert_eq!(all.len() as u64, data_set.records);
    for index in &definition.indexes {
        let (name, sort) = (&index.partition, index.sort.as_ref().map(|sort| format!("&sort={sort}")));
        let mut values: Vec<&serde_json::Value> = all.iter().map(|record| &record[name.as_str()]).collect();
        values.sort_by_key(|value| value.to_string());
        values.dedup();
        let mut found = 0;
        for value in values {
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let filter = match value {
                serde_json::Value::Null => format!("{name}__isnull=true"),
                serde_json::Value::String(text) => format!("{name}={}", encode(text)),
                other => format!("{name}={}", encode(&other.to_string())),
            };
            found += ask(&format!("limit=1000&{filter}{}", sort.clone().unwrap_or_default())).len();
        }
        assert_eq!(found, all.len(), "{name}");
    }
}

/// A question, and every page of its answer.
pub(super) type Answered = (String, Result<Option<Vec<String>>, String>);

/// Everything that is known of the past.
pub(super) fn past(store: &Arc<dyn RecordStore>) -> Vec<Answered> {
    let Some(data_set) = store.data_set("things") else { return Vec::new() };
    let mut past = Vec::new();
    let id = match data_set.definition.columns[data_set.definition.record_id].kind {
        ColumnType::Integer => Value::Integer(i64::MIN),
        _ => Value::Text(String::new()),
    };
    for version in 0..=data_set.version + 1 {
        // No record comes before this place.
        let after = Some(Position { version, values: vec![Value::Text(String::new()), id.clone()] });
        let page = find(store, &Query { after, count: true, ..Query::everything(1000) });
        let page = page.map(|page| Some(vec![page.count.unwrap().to_string(), finished(page.document, page.version)]));
        past.push((format!("version {version}"), page.map_err(|error| error.to_string())));
        for limit in [3, 1000] {
            let changes = all_changes(store, version, limit).map(Some);
            past.push((format!("changes since {version}, {limit} on a page"), changes));
        }
    }
    for key in ["a", "b", "c", "nothing"] {
        for id in [None, Some("1"), Some("01"), Some("1#2")] {
            past.push((format!("history of {key} {id:?}"), all_states(store, key, id, 2)));
        }
    }
    past
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]
    #[test]
    fn every_store_makes_the_same_of_imports(
        imports in proptest::collection::vec(
            (any_import(), prop_oneof![Just(45_000_000_i64), Just(86_400_000_000)], any::<bool>(), any::<bool>()),
            1..7,
        ),
        retention in prop_oneof![Just(Retention::default()), Just(Retention { days: 2, changes_max: 12 })],
    ) {
        let (tables, folder) = (Tables::new(&for_the_table()), support::data_dir());
        let clock = ManualClock::at(beginning());
        let embedded: Arc<dyn RecordStore> = Arc::new(sqlite(&folder, clock.clone(), retention));
        // Two nodes that import in turns, and one that hears of some versions late and of several at once.
        let nodes: [Arc<dyn RecordStore>; 2] = std::array::from_fn(|_| {
            let node: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
            node
        });
        let late: Arc<dyn RecordStore> = tables.store_with(clock.clone(), retention);
        for (import, time_us, is_second, late_hears) in imports {
            let [shared, other] = if is_second { [&nodes[1], &nodes[0]] } else { [&nodes[0], &nodes[1]] };
            prop_assert_eq!(run(&embedded, &import), run(shared, &import), "{:?}", import);
            // Some of what nobody needs any more is cleared away by the next import, some is not yet.
            clock.advance_us(time_us);
            prop_assert_eq!(seen(&embedded), seen(shared), "{:?}", import);
            prop_assert_eq!(past(&embedded), past(shared), "{:?}", import);
            indexes_agree(shared);
            for node in [shared, other].into_iter().chain(late_hears.then_some(&late)) {
                heard(node);
                prop_assert_eq!(seen(node), seen(&embedded));
                prop_assert_eq!(past(node), past(&embedded));
            }
            let elsewhere: Arc<dyn RecordStore> = tables.store(clock.clone());
            prop_assert_eq!(seen(&elsewhere), seen(shared));
            prop_assert_eq!(past(&elsewhere), past(shared));
        }
    }
}
