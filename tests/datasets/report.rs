//! The city's real report, from the file to the answers.

use std::io::Cursor;

use jiff::civil::{Date, date};
use permitd::{
    clock::SystemClock,
    dataset::{
        Definition,
        cursor::{self, CursorKey},
        query::{self, QueryLimits},
        reader::{self, FileRow},
    },
    store::{
        records::{ImportOrder, ImportResult, RecordCatalog, RecordImports, RecordQuestions, Retention},
        sqlite::records::{ColumnSettings, FileRole, SqliteRecordSettings as Settings, SqliteRecordStore},
    },
};
use uuid::Uuid;

use crate::support::{builtin, shared_file};

const REPORT: &str = "December2016Issued.xlsx";

struct Permits {
    store: SqliteRecordStore,
    definition: Definition,
    _folder: tempfile::TempDir,
}

impl Permits {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let settings = Settings {
            role: FileRole::Truth,
            directory: folder.path().join("records"),
            cache_bytes: 1 << 20,
            find_threads: 1,
            find_waiting_max: 8,
            find_timeout_ms: 10_000,
            retention: Retention::default(),
            exports_max: 2,
            export_timeout_ms: 60_000,
            columns: ColumnSettings::NONE,
            export_stall_ms: 10_000,
            workbook_bytes_max: 1 << 30,
        };
        let store = SqliteRecordStore::open(settings, SystemClock::shared())?;
        Ok(Self { store, definition: builtin("permits"), _folder: folder })
    }

    fn import(&self, file: &[u8], today: Date, replace: bool) -> Result<ImportResult, Box<dyn std::error::Error>> {
        let limits = reader::ReadLimits::default();
        let rows = reader::open(Cursor::new(file.to_vec()), REPORT, &self.definition, &limits)?;
        let mut session =
            self.store.begin_import(ImportOrder::new(&self.definition, Uuid::from_u128(1), today, replace))?;
        for row in rows {
            match row? {
                FileRow::Record { line, key, record } => {
                    session.put(line, &key, record)?;
                }
                FileRow::Rejected { key, .. } => session.reject(key.as_deref())?,
            }
        }
        Ok(session.commit()?)
    }

    /// Every page of a query.
    async fn find(&self, raw_query: &str) -> Result<Vec<serde_json::Value>, Box<dyn std::error::Error>> {
        let data_set = self.store.data_set("permits").ok_or("nothing was imported")?;
        let key = CursorKey::new([1; 32]);
        let mut records: Vec<serde_json::Value> = Vec::new();
        let mut page_query = raw_query.to_owned();
        loop {
            let query = query::parse(&data_set.definition, &page_query, &QueryLimits::default(), &key)
                .map_err(|problems| format!("{problems:?}"))?;
            let page = self.store.find(&data_set, &query).await?;
            records.extend(data(&page.document.finish(&[], "permits", page.version))?);
            let Some(next) = page.next else { return Ok(records) };
            let cursor = cursor::seal(&key, &data_set.definition, &query, &next)?;
            page_query = format!("{raw_query}&cursor={cursor}");
        }
    }
}

/// The records of an answer.
fn data(document: &[u8]) -> Result<Vec<serde_json::Value>, serde_json::Error> {
    let mut document: serde_json::Value = serde_json::from_slice(document)?;
    serde_json::from_value(document.get_mut("data").map(serde_json::Value::take).unwrap_or_default())
}

#[tokio::test(flavor = "current_thread")]
async fn the_real_report_is_imported_once_and_found_again() -> Result<(), Box<dyn std::error::Error>> {
    let Some(file) = shared_file(REPORT) else { return Ok(()) };
    let permits = Permits::new()?;
    let first = permits.import(&file, date(2026, 11, 22), false)?;
    assert_eq!((first.version, first.inserted, first.updated, first.removed), (1, 2166, 0, 0));
    let again = permits.import(&file, date(2026, 11, 23), true)?;
    assert_eq!((again.version, again.changed, again.unchanged, again.removed), (1, false, 2166, 0));

    let reader = permits.store.reader();
    let found = reader.get("permits", "#201612013997", None).await?.ok_or("the reference permit is missing")?;
    let record = data(&found.document)?.pop().ok_or("the answer is empty")?;
    assert_eq!(record.pointer("/address"), Some(&"235 Bella Vista Wy".into()));
    assert_eq!(record.pointer("/load_date"), Some(&"2026-11-22".into()));

    let all = permits.find("limit=100").await?;
    let number = |record: &serde_json::Value| record.pointer("/application_number").map(ToString::to_string);
    let numbers: std::collections::BTreeSet<Option<String>> = all.iter().map(number).collect();
    assert_eq!((all.len(), numbers.len()), (2166, 2015));
    let latest = permits.find("sort=-estimated_cost&limit=1000&select=application_number,estimated_cost").await?;
    let costs: Vec<f64> = latest.iter().filter_map(|record| record.pointer("/estimated_cost")?.as_f64()).collect();
    assert!(costs.is_sorted_by(|left, right| left >= right));
    assert_eq!((latest.len(), costs.len()), (2166, 2165), "the blank cost comes last");
    assert_eq!(permits.find("application_number=201612013997").await?, [record]);
    Ok(())
}
