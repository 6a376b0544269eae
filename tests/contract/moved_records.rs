//! Records that are moved from one backend to the other, and back: every question is answered as before, and imports go on.

use std::{path::Path, sync::Arc};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp, civil::date};
use permitd::{
    app::{self, MovedDataSet, RecordsMoveError, RecordsMoveStep},
    aws::Access,
    clock::{Clock, ManualClock, SharedClock},
    config::{LoadFrom, Settings},
    dataset::{
        ColumnType, Definition, Point, Record, Value,
        cursor::{self, CursorKey},
        query::{self, PointInTime, QueryLimits, Since},
    },
    store::{
        dynamodb::{Dynamo, records::FillError, schema},
        records::{ImportOrder, RecordStore, RecordStoreError},
    },
};
use uuid::Uuid;

use crate::{
    backend::{advance, clock},
    support::emulator::{self, Kind},
};

/// Two deployments, or three: files, tables, and other tables.
struct World {
    folder: tempfile::TempDir,
    access: Access,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new() -> Self {
        let access = emulator::access(emulator::shared_endpoints(Kind::Dynoxide)).await;
        let folder = tempfile::Builder::new().prefix("permitd-test-").tempdir().unwrap();
        Self { folder, access, clock: clock() }
    }

    fn shared(&self) -> SharedClock {
        self.clock.clone()
    }

    fn settings(&self, name: &str, more: &[(&'static str, String)]) -> Settings {
        let data = self.folder.path().join(name).display().to_string();
        let overrides: Vec<_> = [("data", data), ("records.history_days", "2".to_owned())]
            .into_iter()
            .chain(more.iter().cloned())
            .collect();
        Settings::load(LoadFrom { config_file: None, env: std::iter::empty(), overrides: &overrides }).unwrap()
    }

    /// A deployment in files.
    fn files(&self, name: &str) -> Settings {
        let settings = self.settings(name, &[]);
        permitd::private::root(&settings.data).unwrap();
        settings
    }

    /// A deployment in tables.
    async fn tables(&self, name: &str) -> Settings {
        let prefix = emulator::prefix();
        emulator::make_tables(&Dynamo::new(&self.access, &prefix), &[]).await;
        let more = [("backend", "aws".to_owned()), ("aws.prefix", prefix), ("mail.transport", "file".to_owned())];
        self.settings(name, &more)
    }

    async fn open(&self, settings: &Settings) -> Arc<dyn RecordStore> {
        let store = app::open_records(settings, &self.shared(), Some(self.access.clone())).await.unwrap();
        while !store.copies().iter().all(|copy| copy.is_ready) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            store.refresh().await.unwrap();
        }
        store
    }

    async fn moved(
        &self,
        from: &Settings,
        to: &Settings,
    ) -> Result<(Vec<MovedDataSet>, Vec<RecordsMoveStep>), RecordsMoveError> {
        let mut steps = Vec::new();
        let workspace = self.folder.path().join("workspace");
        let mut report = |step| steps.push(step);
        let moved =
            app::move_records_with((from, to), &self.shared(), Some(self.access.clone()), &workspace, &mut report)
                .await?;
        Ok((moved, steps))
    }
}

/// A definition with columns of all types. `columns` are further ones.
fn definition(name: &str, columns: &[(&str, &str)]) -> Definition {
    let own = [
        ("number", "text"),
        ("record_id", "integer"),
        ("status", "text"),
        ("cost", "money"),
        ("latitude", "number"),
        ("filed", "date"),
        ("changed", "timestamp"),
        ("load_date", "date"),
        ("place", "point"),
    ];
    let columns: Vec<_> =
        own.iter().chain(columns).map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind })).collect();
    serde_json::from_value(serde_json::json!({
        "name": name, "title": "Things", "columns": columns, "key": 0, "record_id": 1, "record_id_rule": "ordinal",
        "load_date": 7, "indexes": [{ "partition": "status", "sort": "filed" }, { "partition": "cost" }],
    }))
    .unwrap()
}

/// A value that follows from its column, its record and the file.
fn value(name: &str, kind: ColumnType, of: i64, file: i64) -> Value {
    // Some records are the same in all files.
    let file = if of % 4 == 0 { 1 } else { file };
    if (of + file) % 7 == 3 {
        return Value::Null;
    }
    let mixed = of * 31 + file * 17;
    match kind {
        ColumnType::Text => Value::Text(format!("{name} \"{}\"\n\u{e9}\u{1F600}#{mixed}", mixed % 5)),
        ColumnType::Integer => Value::Integer(if mixed % 5 == 0 { i64::MIN + of } else { mixed - 300 }),
        ColumnType::Money => Value::Money(mixed * 7 - 900),
        ColumnType::Number => {
            Value::Number([-0.0, 0.1, 1e300, 5e-324, -122.419_415_500_000_01][usize::try_from(mixed % 5).unwrap()])
        }
        ColumnType::Date => Value::Date(date(2016, 12, 1).saturating_add(jiff::Span::new().days(mixed))),
        ColumnType::Timestamp => Value::Timestamp(
            Timestamp::from_nanosecond(1_480_550_400_000_000_000 + i128::from(mixed) * 250_000_001).unwrap(),
        ),
        ColumnType::Point => {
            Value::Point(Point::of_degrees(37.7 + f64::from(i32::try_from(mixed % 90).unwrap()) / 1e3, -122.4).unwrap())
        }
    }
}

/// Imports `rows` records of a file; every third key has two. Its id is its number.
fn import(store: &Arc<dyn RecordStore>, number: u128, definition: &Definition, (file, rows): (i64, i64)) -> u64 {
    let day = date(2026, 3, 1);
    let mut session = store.begin_import(ImportOrder::new(definition, Uuid::from_u128(number), day, true)).unwrap();
    for of in 0..rows {
        let key = format!("k{}#", of - i64::from(of % 3 == 1));
        let values = definition.columns.iter().map(|column| match column.name.as_str() {
            "number" => Value::Text(key.clone()),
            "record_id" | "load_date" => Value::Null,
            name => value(name, column.kind, of, file),
        });
        let record = Record { values: values.collect() };
        session.put(u64::try_from(of + 1).unwrap(), &key, record).unwrap();
    }
    session.reject(Some("k1000")).unwrap();
    session.commit().unwrap().version
}

/// Imports with all that may have been: values that change, records that go and come back, columns that are withdrawn, renamed, of
/// another type, and published again; a past that is given up in part, an import that changes nothing, and a data set that is withdrawn.
fn fill(world: &World, store: &Arc<dyn RecordStore>) {
    let a = |name| definition(name, &[("secret", "text"), ("units", "integer")]);
    let b = |name| definition(name, &[("units", "text"), ("note", "text")]);
    let c = |name| definition(name, &[("remark", "text"), ("secret", "text"), ("units", "text")]);
    for (number, file) in [(1, (1, 30)), (2, (2, 24)), (3, (1, 30))] {
        import(store, number, &a("short"), file);
    }
    advance(&world.clock, std::time::Duration::from_secs(5 * 24 * 3600));
    import(store, 4, &a("short"), (3, 27));
    assert!(store.data_set("short").unwrap().changes_from > 1, "a part of the past is given up");
    import(store, 5, &b("short"), (4, 28));
    for (number, definition, file) in [
        (11, a("kept"), (1, 30)),
        (12, a("kept"), (2, 24)),
        (13, a("kept"), (1, 30)),
        (14, b("kept"), (3, 28)),
        (15, b("kept"), (4, 20)),
        (16, c("kept"), (4, 26)),
        (17, c("kept"), (5, 22)),
        (18, c("kept"), (6, 29)),
        (19, c("kept"), (6, 29)),
    ] {
        advance(&world.clock, std::time::Duration::from_secs(60));
        import(store, number, &definition, file);
    }
    // Its columns are other ones, and no record is another one.
    for (number, definition) in [(21, a("hidden")), (22, definition("hidden", &[("units", "integer")]))] {
        import(store, number, &definition, (1, 9));
    }
    store.hold("hidden", Uuid::from_u128(23)).unwrap().withdraw(true).unwrap();
    let kept = store.data_set("kept").unwrap();
    assert_eq!((kept.version, kept.changes_from, kept.generation, kept.last_import.id.as_u128()), (8, 1, 3, 19));
}

/// A question, with all that it takes to ask it anywhere.
#[derive(Debug, Clone)]
enum Question {
    State,
    Page(String),
    Export(String),
    Facets,
    Stats,
    Changes(Since),
    History(String),
    At(String, u64),
    Now(String),
    Moment(Timestamp),
}

fn cursor_key() -> CursorKey {
    CursorKey::new([1; 32])
}

/// The answer, and the cursor of what follows.
async fn ask(store: &Arc<dyn RecordStore>, name: &str, question: &Question) -> (String, Option<Question>) {
    let asked = asked(store, name, question).await;
    asked.unwrap_or_else(|error| (format!("refused: {error}"), None))
}

async fn asked(
    store: &Arc<dyn RecordStore>,
    name: &str,
    question: &Question,
) -> Result<(String, Option<Question>), RecordStoreError> {
    let data_set = store.data_set(name).expect("a data set");
    let limits = QueryLimits::default();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ok(match question {
        Question::State => (format!("{data_set:?}"), None),
        Question::Page(raw) => {
            let query = query::parse(&data_set.definition, raw, &limits, &cursor_key()).unwrap();
            let page = store.find(&data_set, &query).await?;
            let next =
                page.next.as_ref().map(|next| cursor::seal(&cursor_key(), &data_set.definition, &query, next).unwrap());
            let bare = raw.split("&cursor=").next().unwrap();
            let next = next.map(|cursor| Question::Page(format!("{bare}&cursor={cursor}")));
            (format!("{:?} {}", page.count, text(page.document.finish(&[], name, page.version))), next)
        }
        Question::Export(raw) => {
            let query = query::parse(&data_set.definition, raw, &limits, &cursor_key()).unwrap();
            let mut export = store.export(&data_set, &query).await?;
            let mut whole = Vec::new();
            while let Some(part) = export.parts.recv().await {
                whole.extend_from_slice(&part?);
            }
            (format!("{} {}", export.version, text(whole)), None)
        }
        Question::Facets => {
            let facets = query::parse_facets(&data_set.definition, "columns=status,filed", &limits).unwrap();
            (format!("{:?}", store.facets(&data_set, &facets).await?), None)
        }
        Question::Stats => {
            let stats = query::parse_stats(&data_set.definition, "columns=cost,latitude,changed", &limits).unwrap();
            (format!("{:?}", store.stats(&data_set, &stats).await?), None)
        }
        Question::Changes(since) => {
            let past = store.changes(&data_set, since, 7).await?;
            let next = past.next.map(|next| Question::Changes(Since::Change(next)));
            (text(past.document.finish(&[], name, past.version)), next)
        }
        Question::History(key) => {
            let past = store.history(&data_set, key, None, None, 100).await?;
            (past.map(|past| text(past.document.finish(&[], name, past.version))).unwrap_or_default(), None)
        }
        Question::At(key, version) => {
            let found = store.get_at(&data_set, key, None, PointInTime::Version(*version)).await?;
            (format!("{found:?}"), None)
        }
        Question::Now(key) => (format!("{:?}", store.reader().get(name, key, None).await?), None),
        Question::Moment(moment) => {
            (store.version_at(&data_set, PointInTime::Moment(*moment)).await?.to_string(), None)
        }
    })
}

/// Every question, with the cursors that follow, and its answer.
async fn answers(world: &World, store: &Arc<dyn RecordStore>) -> Vec<(String, Question, String)> {
    let mut answers = Vec::new();
    let mut names: Vec<String> = store.data_sets().iter().map(|data_set| data_set.definition.name.clone()).collect();
    names.sort();
    for name in names {
        let version = store.data_set(&name).unwrap().version;
        let mut questions = vec![Question::State, Question::Facets, Question::Stats];
        for sort in ["", "&sort=-cost", "&sort=status,-filed", "&sort=changed"] {
            questions.push(Question::Page(format!("limit=7&count=exact{sort}")));
        }
        questions.push(Question::Export("sort=latitude".to_owned()));
        for version in 0..=version + 1 {
            questions.push(Question::Page(format!("limit=20&as_of={version}&sort=cost")));
            questions.push(Question::Export(format!("as_of={version}")));
            questions.push(Question::Changes(Since::Version(version)));
        }
        for of in 0..31 {
            let key = format!("k{of}#");
            questions.extend((0..=version).map(|version| Question::At(key.clone(), version)));
            questions.extend([Question::History(key.clone()), Question::Now(key)]);
        }
        let now = world.clock.now();
        for minutes in [0, 1, 2, 3, 4, 6, 9, 60, 8000] {
            questions.push(Question::Moment(now - SignedDuration::from_secs(minutes * 60 - 1)));
        }
        for question in questions {
            let mut next = Some(question);
            while let Some(question) = next {
                let (answer, following) = ask(store, &name, &question).await;
                answers.push((name.clone(), question, answer));
                next = following;
            }
        }
    }
    answers
}

/// Checks that a store gives these answers.
async fn same(store: &Arc<dyn RecordStore>, expected: &[(String, Question, String)]) {
    assert!(expected.len() > 500, "{}", expected.len());
    for (name, question, answer) in expected {
        let given = ask(store, name, question).await.0;
        assert_eq!(&given, answer, "{name}: {question:?}");
    }
}

fn refused(answers: &[(String, Question, String)]) -> usize {
    answers.iter().filter(|(_, _, answer)| answer.starts_with("refused")).count()
}

/// The next imports: one into the columns of before, one with other columns.
fn go_on(world: &World, store: &Arc<dyn RecordStore>, number: u128) {
    let kept = store.data_set("kept").unwrap().version;
    let c = definition("kept", &[("remark", "text"), ("secret", "text"), ("units", "text")]);
    let d = definition("kept", &[("remark", "text"), ("note", "text"), ("units", "integer")]);
    assert_eq!(import(store, number, &c, (7, 25)), kept + 1);
    assert_eq!(import(store, number + 1, &d, (8, 27)), kept + 2);
    assert_eq!(import(store, number + 2, &c, (9, 28)), kept + 3);
    // The past of all is given up now, and what tables hold of it is cleared away.
    advance(&world.clock, std::time::Duration::from_secs(5 * 24 * 3600));
    let b = definition("short", &[("units", "text"), ("note", "text")]);
    let short = store.data_set("short").unwrap().version;
    for (nth, file) in (1..).zip([10, 11, 12]) {
        assert_eq!(import(store, number + 10 + nth, &b, (file, 29)), short + u64::try_from(nth).unwrap());
        advance(&world.clock, std::time::Duration::from_secs(3 * 24 * 3600));
    }
}

fn whole(moved: &[MovedDataSet]) -> Vec<(&str, u64, u64)> {
    moved.iter().map(|moved| (moved.name.as_str(), moved.version, moved.records)).collect()
}

#[actix_web::test]
async fn records_move_into_tables_and_back_and_every_question_is_answered_as_before() {
    let world = World::new().await;
    let (source, target, back) = (world.files("source"), world.tables("target").await, world.files("back"));
    let store = world.open(&source).await;
    fill(&world, &store);
    let expected = answers(&world, &store).await;
    assert!(refused(&expected) > 5, "versions that are not held are refused");
    store.close().await.unwrap();
    drop(store);

    let sizes = app::measure_records_with(&source, &world.shared(), None).await.unwrap();
    let sized: Vec<_> = sizes.iter().map(|size| (size.name.as_str(), size.records, size.versions)).collect();
    assert_eq!(sized, [("hidden", 9, 2), ("kept", 29, 8), ("short", 28, 3)]);
    assert!(
        sizes.iter().all(|size| size.bytes > 10_000) && sizes[1].changes > 50 && sizes[0].changes == 0,
        "{sizes:?}"
    );

    let (moved, steps) = world.moved(&source, &target).await.unwrap();
    assert_eq!(whole(&moved), [("hidden", 2, 9), ("kept", 8, 29), ("short", 5, 28)]);
    assert!(steps.iter().filter(|step| matches!(step, RecordsMoveStep::Moved(_))).count() == 3, "{steps:?}");
    let in_tables = world.open(&target).await;
    same(&in_tables, &expected).await;
    drop(in_tables);
    let (again, steps) = world.moved(&source, &target).await.unwrap();
    assert_eq!(whole(&again), whole(&moved));
    assert!(steps.iter().all(|step| matches!(step, RecordsMoveStep::Left(_))), "{steps:?}");
    let measured = app::measure_records_with(&target, &world.shared(), Some(world.access.clone())).await.unwrap();
    let counted = |sizes: &[app::DataSetSize]| -> Vec<_> {
        sizes.iter().map(|size| (size.name.clone(), size.records, size.changes, size.versions)).collect()
    };
    assert_eq!(counted(&measured), counted(&sizes));

    let (moved_back, _) = world.moved(&target, &back).await.unwrap();
    assert_eq!(whole(&moved_back), whole(&moved));
    let in_files = world.open(&back).await;
    same(&in_files, &expected).await;
    let (again, steps) = world.moved(&target, &back).await.unwrap();
    assert_eq!(whole(&again), whole(&moved));
    assert!(steps.iter().any(|step| matches!(step, RecordsMoveStep::Left(_))), "{steps:?}");
    drop(in_files);

    // Imports go on on either side, and come to the same.
    let mut outcomes = Vec::new();
    let begun = world.clock.now();
    for settings in [&source, &target, &back] {
        let store = world.open(settings).await;
        world.clock.shift_wall_us(begun.as_microsecond() - world.clock.now().as_microsecond());
        go_on(&world, &store, 100);
        outcomes.push(answers(&world, &store).await);
        if outcomes.len() > 1 {
            same(&store, &outcomes[0]).await;
        }
        store.close().await.unwrap();
    }
    assert_eq!(outcomes[0].len(), outcomes[1].len());

    // A node without a copy makes one of what is in the tables by now.
    let mut elsewhere = target.clone();
    elsewhere.data = world.folder.path().join("elsewhere");
    same(&world.open(&elsewhere).await, &outcomes[0]).await;

    let other = world.files("other");
    world.moved(&target, &other).await.unwrap();
    same(&world.open(&other).await, &outcomes[0]).await;
    // Of the states that were moved and are given up since, no row is left.
    let file = rusqlite::Connection::open(other.data.join("records/short.db")).unwrap();
    let states =
        "SELECT (SELECT count(*) FROM records WHERE \"$from\" <= 5) + (SELECT count(*) FROM changes WHERE was <= 5)";
    let states: i64 = file.query_row(states, [], |row| row.get(0)).unwrap();
    let dynamo = Dynamo::new(&world.access, &target.aws.prefix);
    let scan = dynamo.client().scan().table_name(dynamo.table("records-short")).send().await.unwrap();
    let is_early = |version: &AttributeValue| version.as_n().unwrap().parse::<u64>().unwrap() <= 5;
    let early = scan.items().iter().filter(|item| is_early(&item["$version"])).count();
    assert!(early > 0 && scan.items().len() > early);
    assert_eq!(i64::try_from(early).unwrap(), states);
}

#[actix_web::test]
async fn records_that_are_not_those_to_be_moved_are_left_alone() {
    let world = World::new().await;
    let (source, target, other) = (world.files("source"), world.tables("target").await, world.files("other"));
    for (settings, number) in [(&source, 1), (&other, 2)] {
        let store = world.open(settings).await;
        import(&store, number, &definition("things", &[]), (1, 5));
        store.close().await.unwrap();
    }
    world.moved(&source, &target).await.unwrap();
    let before = answers(&world, &world.open(&target).await).await;
    let refused = world.moved(&other, &target).await.unwrap_err();
    assert!(matches!(&refused, RecordsMoveError::Fill(FillError::Taken { name }) if name == "things"), "{refused}");
    let refused = world.moved(&target, &other).await.unwrap_err();
    assert!(matches!(&refused, RecordsMoveError::Records(RecordStoreError::NameTaken { .. })), "{refused}");
    assert!(matches!(world.moved(&source, &other).await, Err(RecordsMoveError::SameBackend)));
    let store = world.open(&target).await;
    for (_, question, answer) in &before {
        assert_eq!(&ask(&store, "things", question).await.0, answer);
    }
    // What was imported since makes it another one, too.
    let store = world.open(&source).await;
    import(&store, 3, &definition("things", &[]), (2, 6));
    store.close().await.unwrap();
    assert!(matches!(world.moved(&source, &target).await, Err(RecordsMoveError::Fill(FillError::Taken { .. }))));
}

#[actix_web::test]
async fn rows_that_something_has_left_under_the_name_are_seen_by_nobody() {
    let world = World::new().await;
    let (source, target) = (world.files("source"), world.tables("target").await);
    let dynamo = Dynamo::new(&world.access, &target.aws.prefix);
    emulator::make_tables(&dynamo, &[definition("things", &[])]).await;
    let store = world.open(&target).await;
    for (number, file) in [(1, (7, 40)), (2, (8, 33)), (3, (7, 41))] {
        import(&store, number, &definition("things", &[]), file);
    }
    drop(store);
    let delete = dynamo.client().delete_item().table_name(dynamo.table(schema::STATE));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    delete.key("k", text("dataset")).key("r", text("things")).send().await.unwrap();
    let items = async || {
        let scan = dynamo.client().scan().table_name(dynamo.table("records-things")).consistent_read(true);
        scan.send().await.unwrap().items().len()
    };
    let left = items().await;
    let store = world.open(&source).await;
    for (number, file) in [(4, (1, 20)), (5, (2, 24))] {
        import(&store, number, &definition("things", &[]), file);
    }
    let expected = answers(&world, &store).await;
    drop(store);
    world.moved(&source, &target).await.unwrap();
    let store = world.open(&target).await;
    for (name, question, answer) in &expected {
        assert_eq!(&ask(&store, name, question).await.0, answer, "{question:?}");
    }
    let filled = items().await - left;
    assert!(left > 50 && filled > 24, "{left} {filled}");
    // It changes nothing, and sweeps.
    assert_eq!(import(&store, 6, &definition("things", &[]), (2, 24)), 2);
    assert_eq!(items().await, filled);
}

#[actix_web::test]
async fn an_import_under_way_and_what_does_not_fit_refuse_a_move_before_anything_is_written() {
    let world = World::new().await;
    let (source, target) = (world.files("source"), world.tables("target").await);
    let store = world.open(&source).await;
    import(&store, 1, &definition("first", &[]), (1, 5));
    import(&store, 2, &definition("things", &[]), (1, 5));
    let running =
        store.begin_import(ImportOrder::new(&definition("things", &[]), Uuid::from_u128(3), date(2026, 3, 1), false));
    let refused = world.moved(&source, &target).await.unwrap_err();
    assert!(matches!(refused, RecordsMoveError::Records(RecordStoreError::ImportRunning { .. })), "{refused}");
    drop(running);
    let long = "x".repeat(3000);
    let mut session = store
        .begin_import(ImportOrder::new(&definition("things", &[]), Uuid::from_u128(4), date(2026, 3, 1), false))
        .unwrap();
    let mut values = vec![Value::Null; 9];
    values[0] = Value::Text(long.clone());
    session.put(1, &long, Record { values }).unwrap();
    session.commit().unwrap();
    store.close().await.unwrap();
    let too_long = |refused: &RecordsMoveError| {
        let RecordsMoveError::Fill(FillError::DoesNotFit { name, bytes, version: None, .. }) = refused else {
            panic!("{refused}")
        };
        assert_eq!((name.as_str(), *bytes), ("things", 3000));
        let text = refused.to_string();
        assert!(text.contains("the value of number") && text.contains("--replace") && text.len() < 600, "{text}");
    };
    too_long(&app::measure_records_with(&source, &world.shared(), None).await.unwrap_err());
    too_long(&world.moved(&source, &target).await.unwrap_err());
    let dynamo = Dynamo::new(&world.access, &target.aws.prefix);
    let state = dynamo.client().scan().table_name(dynamo.table(schema::STATE)).send().await.unwrap();
    assert!(state.items().is_empty(), "{:?}", state.items());

    // An import under way in tables refuses, too.
    let tables = world.open(&target).await;
    emulator::make_tables(&dynamo, &[definition("things", &[])]).await;
    import(&tables, 5, &definition("things", &[]), (1, 5));
    let running = tables
        .begin_import(ImportOrder::new(&definition("things", &[]), Uuid::from_u128(6), date(2026, 3, 1), false))
        .unwrap();
    let refused = world.moved(&target, &world.files("other")).await.unwrap_err();
    assert!(matches!(refused, RecordsMoveError::Records(RecordStoreError::ImportRunning { .. })), "{refused}");
    drop(running);
    world.moved(&target, &world.files("other")).await.unwrap();
    assert!(Path::new(&world.files("other").data).join("records/things.db").exists());
}
