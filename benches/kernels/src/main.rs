//! Measures permitd's loops over columns beside Arrow's kernels, on invented permits and one thread.
//!
//! `cargo run --release --manifest-path benches/kernels/Cargo.toml [ROWS]`; 1,000,000 unless told. Each line is the median of 25 runs.
//! What Arrow's kernels have to work on is made before: codes of a dictionary, and texts in lower case.

use std::{convert::Infallible, error::Error, hint::black_box, io::Cursor, sync::Arc, time::Instant};

use arrow_arith::boolean::and;
use arrow_array::{BooleanArray, Date32Array, DictionaryArray, Int64Array, Scalar, StringArray, types::Int32Type};
use arrow_ord::{
    cmp::{eq, gt_eq, lt},
    sort::{SortOptions, sort_to_indices},
};
use arrow_string::like::contains;
use jiff::civil::{Date, date};
use permitd_model::dataset::{
    Definition,
    columns::{
        self, BLOCK_ROWS, ChunkBounds, ChunkBuilder, Codes, ColumnBlocks, ColumnChunk, Dictionary, FirstWanted, Mask,
        Ranks,
    },
    cursor::CursorKey,
    query::{Query, QueryLimits, parse},
    sample::{SampleFormat, generate},
};

const RUNS: usize = 25;
const DEFINITION: &str = r#"
name = "permits"
key = { column = "number" }
record_id = "id"
[[column]]
name = "number"
headers = ["APPLICATION #"]
[[column]]
name = "id"
headers = ["ID"]
[[column]]
name = "status"
headers = ["STATUS"]
[[column]]
name = "cost"
type = "money"
headers = ["ESTIMATED COST"]
[[column]]
name = "filed"
type = "date"
headers = ["FILE_DATE"]
[[column]]
name = "description"
headers = ["DESCRIPTION"]
"#;
const NUMBER: usize = 0;
const ID: usize = 1;
const STATUS: usize = 2;
const COST: usize = 3;
const FILED: usize = 4;
const DESCRIPTION: usize = 5;

/// The values of the columns, row by row.
struct Values {
    number: Vec<String>,
    status: Vec<String>,
    cost: Vec<Option<i64>>,
    filed: Vec<Option<Date>>,
    description: Vec<String>,
}

fn values(rows: u64) -> Result<Values, Box<dyn Error>> {
    let mut report = Cursor::new(Vec::new());
    generate(rows, 1, SampleFormat::Csv, &mut report)?;
    report.set_position(0);
    let mut reader = csv::Reader::from_reader(report);
    let headers = reader.headers()?.clone();
    let place = |name: &str| headers.iter().position(|header| header == name).ok_or_else(|| format!("no {name}"));
    let places = [
        place("APPLICATION #")?,
        place("STATUS")?,
        place("ESTIMATED COST")?,
        place("FILE_DATE")?,
        place("DESCRIPTION")?,
    ];
    let mut values =
        Values { number: Vec::new(), status: Vec::new(), cost: Vec::new(), filed: Vec::new(), description: Vec::new() };
    for row in reader.into_records() {
        let row = row?;
        let [number, status, cost, filed, description] = places.map(|place| row.get(place).unwrap_or_default());
        values.number.push(number.to_owned());
        values.status.push(status.to_lowercase());
        values.cost.push(cents(cost));
        values.filed.push(day(filed));
        values.description.push(description.to_owned());
    }
    Ok(values)
}

fn cents(cell: &str) -> Option<i64> {
    let (whole, fraction) = cell.split_once('.').unwrap_or((cell, "0"));
    Some(whole.parse::<i64>().ok()? * 100 + fraction.parse::<i64>().ok()?)
}

fn day(cell: &str) -> Option<Date> {
    let mut parts = cell.split('/').map(|part| part.parse::<i16>());
    let (month, day, year) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Blocks as a server has them in memory, folded texts included.
struct Kept {
    chunks: Vec<Vec<ColumnChunk>>,
    bounds: Vec<Vec<ChunkBounds>>,
    folded: Vec<Arc<Dictionary>>,
    ranks: Vec<Arc<Ranks>>,
}

impl Kept {
    fn new(definition: &Definition, values: &Values) -> Self {
        let mut kept = Self { chunks: Vec::new(), bounds: Vec::new(), folded: Vec::new(), ranks: Vec::new() };
        for begin in (0..values.number.len()).step_by(BLOCK_ROWS) {
            let rows = begin..values.number.len().min(begin + BLOCK_ROWS);
            let mut builders: Vec<ChunkBuilder> =
                definition.columns.iter().map(|column| ChunkBuilder::new(column.kind)).collect();
            for row in rows {
                builders[NUMBER].push_text(&values.number[row]);
                builders[ID].push_text(&format!("{row:09}"));
                builders[STATUS].push_text(&values.status[row]);
                match values.cost[row] {
                    Some(cents) => builders[COST].push_whole(cents),
                    None => builders[COST].push_null(),
                }
                match values.filed[row] {
                    Some(date) => builders[FILED].push_date(date),
                    None => builders[FILED].push_null(),
                }
                builders[DESCRIPTION].push_text(&values.description[row]);
            }
            let chunks: Vec<ColumnChunk> = builders.into_iter().map(ChunkBuilder::finish).collect();
            kept.bounds.push(chunks.iter().map(ColumnChunk::bounds).collect());
            kept.folded.push(Arc::new(chunks[DESCRIPTION].dictionary.folded()));
            kept.ranks.push(Arc::new(Ranks::new(&chunks[NUMBER], &chunks[ID])));
            kept.chunks.push(chunks);
        }
        kept
    }
}

impl ColumnBlocks for Kept {
    type Failure = Infallible;

    fn are_kept(&self) -> bool {
        true
    }

    fn count(&self) -> usize {
        self.chunks.len()
    }

    fn rows(&self, block: usize) -> Result<usize, Infallible> {
        Ok(self.chunks[block][NUMBER].rows())
    }

    fn visible(&self, _: usize) -> Result<Mask, Infallible> {
        Ok(Mask::Everything)
    }

    fn bounds(&self, block: usize, column: usize) -> Option<&ChunkBounds> {
        Some(&self.bounds[block][column])
    }

    fn chunk(&self, block: usize, column: usize) -> Result<ColumnChunk, Infallible> {
        Ok(self.chunks[block][column].clone())
    }

    fn codes(&self, block: usize, column: usize) -> Result<Arc<Codes>, Infallible> {
        Ok(Arc::clone(&self.chunks[block][column].codes))
    }

    fn folded(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, Infallible> {
        Ok(self
            .folded_at_hand(block, column)
            .unwrap_or_else(|| Arc::new(self.chunks[block][column].dictionary.folded())))
    }

    fn bare(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, Infallible> {
        Ok(Arc::new(self.chunks[block][column].dictionary.bare()))
    }

    fn folded_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        (column == DESCRIPTION).then(|| Arc::clone(&self.folded[block]))
    }

    fn bare_at_hand(&self, _: usize, _: usize) -> Option<Arc<Dictionary>> {
        None
    }

    fn ranks(&self, block: usize) -> Result<Arc<Ranks>, Infallible> {
        Ok(Arc::clone(&self.ranks[block]))
    }
}

/// The median time of a run in milliseconds, and what the last run found.
fn timed<T>(mut run: impl FnMut() -> T) -> (f64, T) {
    let mut times = Vec::new();
    let mut found = run();
    for _ in 0..RUNS {
        let began = Instant::now();
        found = black_box(run());
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    (times[RUNS / 2], found)
}

fn beside<T: PartialEq + std::fmt::Debug>(question: &str, ours: (f64, T), kernels: (f64, T)) {
    assert_eq!(ours.1, kernels.1, "{question}");
    println!("| {question} | {:.3} | {:.3} | {:.1} |", ours.0, kernels.0, kernels.0 / ours.0);
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let values = values(rows)?;
    let definition = Definition::from_toml(DEFINITION, "the definition of this bench")?;
    let blocks = Kept::new(&definition, &values);
    let asked = |query: &str| -> Result<Query, Box<dyn Error>> {
        let limits = QueryLimits::default();
        parse(&definition, query, &limits, &CursorKey::new([7; 32]))
            .map_err(|wrong| format!("{query}: {wrong:?}").into())
    };
    let count = |query: &Query| timed(|| columns::count(&blocks, &query.filter).unwrap_or_else(|never| match never {}));
    let counted = |mask: &BooleanArray| mask.true_count() as u64;

    let days = |day: Date| day.since(date(1970, 1, 1)).map(|span| span.get_days());
    let status: DictionaryArray<Int32Type> = values.status.iter().map(String::as_str).collect();
    let status_texts: StringArray = values.status.iter().map(|text| Some(text.as_str())).collect();
    let cost: Int64Array = values.cost.iter().copied().collect();
    let filed: Date32Array = values.filed.iter().map(|day| days((*day)?).ok()).collect();
    let description: StringArray = values.description.iter().map(|text| Some(text.to_lowercase())).collect();

    println!("| question, {rows} records, ms | loops | kernels | times |\n|---|---|---|---|");
    let issued = Scalar::new(StringArray::from(vec!["issued"]));
    let query = asked("status=issued")?;
    let kernels = || timed(|| eq(&status, &issued).map(|mask| counted(&mask)).ok());
    beside("a text of few values, by codes", some(count(&query)), kernels());
    let kernels = || timed(|| eq(&status_texts, &issued).map(|mask| counted(&mask)).ok());
    beside("a text of few values, by texts", some(count(&query)), kernels());

    let query = asked("cost__gte=10000&cost__lt=50000")?;
    let (from, until) =
        (Scalar::new(Int64Array::from(vec![1_000_000])), Scalar::new(Int64Array::from(vec![5_000_000])));
    let kernels =
        || timed(|| and(&gt_eq(&cost, &from).ok()?, &lt(&cost, &until).ok()?).map(|mask| counted(&mask)).ok());
    beside("an amount between two", some(count(&query)), kernels());

    let query = asked("status=issued&filed__gte=2016-07-01")?;
    let since = Scalar::new(Date32Array::from(vec![days(date(2016, 7, 1))?]));
    let kernels =
        || timed(|| and(&eq(&status, &issued).ok()?, &gt_eq(&filed, &since).ok()?).map(|mask| counted(&mask)).ok());
    beside("a text of few values and a date", some(count(&query)), kernels());

    let query = asked("description__contains=qqzz")?;
    let nothing = Scalar::new(StringArray::from(vec!["qqzz"]));
    let kernels = || timed(|| contains(&description, &nothing).map(|mask| counted(&mask)).ok());
    beside("a text that nothing contains", some(count(&query)), kernels());

    let query = asked("sort=-cost&limit=100")?;
    let order = query.order(&definition);
    let first = timed(|| {
        let wanted = FirstWanted {
            definition: &definition,
            filter: &query.filter,
            ranking: None,
            order: &order,
            after: None,
            most: 100,
        };
        columns::first(&blocks, &wanted).unwrap_or_else(|never| match never {}).len()
    });
    let options = SortOptions { descending: true, nulls_first: false };
    let kernels = timed(|| sort_to_indices(&cost, Some(options), Some(100)).map_or(0, |places| places.len()));
    beside("the 100 largest of an amount (kernels: in no order where they are alike)", first, kernels);
    Ok(())
}

fn some<T>((time, found): (f64, T)) -> (f64, Option<T>) {
    (time, Some(found))
}
