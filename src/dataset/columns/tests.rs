//! Columns against values: what a chunk says of its rows, what is read back, and parts of memory.

mod groups;
mod words;

use std::{cell::RefCell, convert::Infallible, sync::Arc};

use jiff::{Timestamp, civil::date};
use proptest::prelude::*;

use super::*;
use crate::dataset::{
    ColumnType, Definition, Point, Value,
    place::{Area, Circle, GeoBox, Polygon},
    query::{Filter, SortTerm, Term, Test, ascending},
    samples,
    summary::FacetTally,
    text::folded,
};

const KINDS: [ColumnType; 7] = [
    ColumnType::Text,
    ColumnType::Integer,
    ColumnType::Money,
    ColumnType::Number,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Point,
];

/// Values that lie close together, far apart, and at the ends of their types.
fn any_value(kind: ColumnType) -> BoxedStrategy<Value> {
    let whole = prop_oneof![-3_i64..3, any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    let value = match kind {
        ColumnType::Text => {
            prop_oneof!["[aAbBßéÉ]{0,3}", "2016[0-9]{0,9}", "[a-c]{60,70}", "\\PC{0,3}"].prop_map(Value::Text).boxed()
        }
        ColumnType::Integer => whole.prop_map(Value::Integer).boxed(),
        ColumnType::Money => whole.prop_map(Value::Money).boxed(),
        ColumnType::Number => {
            let finite = any::<f64>().prop_filter("finite", |number| number.is_finite());
            prop_oneof![Just(0.0), Just(-0.0), -2.0..2.0, finite].prop_map(Value::Number).boxed()
        }
        ColumnType::Date => prop_oneof![
            (1_i8..=5).prop_map(|day| date(2016, 12, day)),
            (-9999_i16..=9999, 1_i8..=12, 1_i8..=28).prop_map(|(year, month, day)| date(year, month, day)),
        ]
        .prop_map(Value::Date)
        .boxed(),
        ColumnType::Timestamp => {
            prop_oneof![0_i128..3, Just(Timestamp::MIN.as_nanosecond()), -1_i128 << 66..1_i128 << 66]
                .prop_map(|moment| Value::Timestamp(Timestamp::from_nanosecond(moment).unwrap()))
                .boxed()
        }
        ColumnType::Point => {
            let near = (37.7..37.8, -122.5..-122.4);
            prop_oneof![near, (-90.0..=90.0, -180.0..=180.0), (37.0..37.0001, Just(-122.0))]
                .prop_map(|(latitude, longitude)| Value::Point(Point::of_degrees(latitude, longitude).unwrap()))
                .boxed()
        }
    };
    prop_oneof![1 => Just(Value::Null), 6 => value].boxed()
}

/// Areas around, between and on points.
fn areas(values: &[Value]) -> Vec<Test> {
    let points: Vec<Point> =
        values.iter().filter_map(|value| if let Value::Point(point) = value { Some(*point) } else { None }).collect();
    let mut areas = Vec::new();
    for (nth, point) in points.iter().enumerate() {
        let other = points[(nth + 1) % points.len()];
        for radius in [0, 50_000, point.distance_cm(other)] {
            areas.push(Area::Near(Circle::new(*point, radius)));
        }
        let (south, north) = (*point.min(&other), *point.max(&other));
        let boxed = |west: Point, east: Point| {
            format!("{},{},{},{}", west.longitude(), south.latitude(), east.longitude(), north.latitude())
        };
        areas.push(Area::Box(GeoBox::parse(&boxed(*point, other)).unwrap()));
        areas.push(Area::Box(GeoBox::parse(&boxed(other, *point)).unwrap()));
    }
    for corners in points.windows(3) {
        let corner = |point: &Point| format!("{} {}", point.longitude(), point.latitude());
        let text = format!("POLYGON (({}))", corners.iter().map(corner).collect::<Vec<_>>().join(", "));
        areas.extend(Polygon::parse(&text, 3).map(Area::Polygon));
    }
    areas.into_iter().map(Test::Inside).collect()
}

fn any_column() -> impl Strategy<Value = (ColumnType, Vec<Value>, Vec<Value>)> {
    proptest::sample::select(KINDS.to_vec()).prop_flat_map(|kind| {
        let values = || proptest::collection::vec(any_value(kind), 0..24);
        (Just(kind), values(), values())
    })
}

fn chunk(kind: ColumnType, values: &[Value]) -> ColumnChunk {
    let mut builder = ChunkBuilder::new(kind);
    values.iter().for_each(|value| builder.push(value));
    builder.finish()
}

/// All tests that values of a column can make.
fn tests(kind: ColumnType, values: &[Value]) -> Vec<Test> {
    let values: Vec<Value> = values.iter().filter(|value| !value.is_null()).cloned().collect();
    let mut tests = vec![Test::Null(true), Test::Null(false)];
    tests.extend(areas(&values));
    for value in &values {
        for make in [Test::Equal, Test::NotEqual, Test::Less, Test::LessOrEqual, Test::Greater, Test::GreaterOrEqual] {
            tests.push(make(value.clone()));
        }
        if let (ColumnType::Text, Value::Text(text)) = (kind, value) {
            let beginning: String = text.chars().take(2).collect();
            let end: String = text.chars().skip(1).collect();
            tests.push(Test::StartsWith(beginning));
            tests.push(Test::Contains(folded(&end).into_owned()));
        }
    }
    for pair in values.windows(2) {
        let mut pair = pair.to_vec();
        pair.sort_by(ascending);
        tests.push(Test::Between(pair[0].clone(), pair[1].clone()));
        tests.push(Test::In(pair.clone()));
        tests.push(Test::NotIn(pair));
    }
    tests
}

/// Blocks in memory, with columns of one value a row: a key, a record id, and others.
pub(super) struct ValueBlocks {
    blocks: Vec<Vec<ColumnChunk>>,
    bounds: Option<Vec<Vec<ChunkBounds>>>,
    are_kept: bool,
    /// The blocks that were read, one after the other.
    read: RefCell<Vec<usize>>,
}

impl ValueBlocks {
    /// The same as blocks that have to be read again each time.
    fn not_kept(self) -> Self {
        Self { are_kept: false, read: RefCell::default(), ..self }
    }

    /// Tells whether blocks that are not kept were read once each since this was asked.
    fn were_read_once(&self) -> bool {
        self.read.take().len() <= self.count() || self.are_kept
    }

    fn block(&self, block: usize) -> &[ColumnChunk] {
        if self.read.borrow().last() != Some(&block) {
            self.read.borrow_mut().push(block);
        }
        &self.blocks[block]
    }

    pub(super) fn new(definition: &Definition, rows: &[Vec<Value>], block_rows: usize, bounded: bool) -> Self {
        let column = |rows: &[Vec<Value>], place: usize| {
            let values: Vec<Value> = rows.iter().map(|row| row[place].clone()).collect();
            chunk(definition.column_kind(place), &values)
        };
        let blocks: Vec<Vec<ColumnChunk>> = rows
            .chunks(block_rows)
            .map(|rows| (0..definition.columns.len()).map(|place| column(rows, place)).collect())
            .collect();
        let bounds = || blocks.iter().map(|block| block.iter().map(|chunk| chunk.bounds()).collect()).collect();
        Self { bounds: bounded.then(bounds), blocks, are_kept: true, read: RefCell::default() }
    }
}

impl ColumnBlocks for ValueBlocks {
    type Failure = Infallible;

    fn are_kept(&self) -> bool {
        self.are_kept
    }

    fn count(&self) -> usize {
        self.blocks.len()
    }

    fn rows(&self, block: usize) -> Result<usize, Infallible> {
        Ok(self.block(block)[0].rows())
    }

    fn visible(&self, _block: usize) -> Result<Mask, Infallible> {
        Ok(Mask::Everything)
    }

    fn bounds(&self, block: usize, column: usize) -> Option<&ChunkBounds> {
        self.bounds.as_ref().map(|bounds| &bounds[block][column])
    }

    fn chunk(&self, block: usize, column: usize) -> Result<ColumnChunk, Infallible> {
        Ok(self.block(block)[column].clone())
    }

    fn codes(&self, block: usize, column: usize) -> Result<Arc<Codes>, Infallible> {
        Ok(Arc::clone(&self.block(block)[column].codes))
    }

    fn folded(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, Infallible> {
        Ok(Arc::new(self.block(block)[column].dictionary.folded()))
    }

    fn bare(&self, block: usize, column: usize) -> Result<Arc<Dictionary>, Infallible> {
        Ok(Arc::new(self.block(block)[column].dictionary.bare()))
    }

    fn folded_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        (self.are_kept && block.is_multiple_of(2)).then(|| Arc::new(self.block(block)[column].dictionary.folded()))
    }

    fn bare_at_hand(&self, block: usize, column: usize) -> Option<Arc<Dictionary>> {
        (self.are_kept && block.is_multiple_of(2)).then(|| Arc::new(self.block(block)[column].dictionary.bare()))
    }

    fn ranks(&self, block: usize) -> Result<Arc<Ranks>, Infallible> {
        Ok(Arc::new(Ranks::new(&self.block(block)[0], &self.block(block)[1])))
    }
}

/// Negative zero is kept as zero.
fn kept(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(number + 0.0),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn a_chunk_has_the_values_of_its_rows((kind, values, _) in any_column()) {
        let chunk = chunk(kind, &values);
        let kept: Vec<Value> = values.iter().map(kept).collect();
        prop_assert_eq!((0..chunk.rows()).map(|row| chunk.value(row)).collect::<Vec<_>>(), kept);
        let mut written = Vec::new();
        chunk.write(&mut written);
        prop_assert_eq!(ColumnChunk::read(&written, values.len()).unwrap(), chunk);
        for cut in 0..written.len() {
            prop_assert!(ColumnChunk::read(&written[..cut], values.len()).is_err());
        }
    }

    #[test]
    fn no_bytes_are_read_as_more_than_they_are(bytes in proptest::collection::vec(any::<u8>(), 0..60), rows in 0_usize..9) {
        if let Ok(chunk) = ColumnChunk::read(&bytes, rows) {
            prop_assert_eq!(chunk.rows(), rows);
            (0..=rows).for_each(|row| drop(chunk.value(row)));
        }
    }

    #[test]
    fn a_test_of_a_chunk_means_what_it_means_for_each_value((kind, values, others) in any_column()) {
        let definition = samples::definition("things", &[("key", "text"), ("id", "integer"), ("value", kind.as_str())]);
        let rows: Vec<Vec<Value>> =
            values.iter().map(|value| vec![Value::Text("k".into()), Value::Integer(1), value.clone()]).collect();
        for test in tests(kind, &[values.as_slice(), &others].concat()) {
            let expected = values.iter().filter(|value| test.accepts(value)).count() as u64;
            for bounded in [false, true] {
                let blocks = ValueBlocks::new(&definition, &rows, 5, bounded);
                let filter = Filter::Term(Term { column: 2, test: test.clone() });
                prop_assert_eq!(count(&blocks, &filter).unwrap(), expected, "{:?}", test);
                let others = Filter::Not(Box::new(filter));
                prop_assert_eq!(count(&blocks, &others).unwrap(), values.len() as u64 - expected, "not {:?}", test);
            }
        }
    }

    #[test]
    fn the_first_of_an_order_are_those_of_a_sort(
        (kind, values, _) in any_column(),
        keys in proptest::collection::vec("[ab]{1,2}", 24),
        directions in any::<(bool, bool)>(),
        (sorted, most, block_rows) in (any::<bool>(), 1_usize..9, 1_usize..9),
        (bounded, are_kept) in any::<(bool, bool)>(),
    ) {
        let definition = samples::definition("things", &[("key", "text"), ("id", "integer"), ("value", kind.as_str())]);
        let row = |(nth, (value, key)): (usize, (&Value, &String))| {
            vec![Value::Text(key.clone()), Value::Integer(nth as i64), value.clone()]
        };
        let rows: Vec<Vec<Value>> = values.iter().zip(&keys).enumerate().map(row).collect();
        let mut order = vec![SortTerm { column: 0, descending: directions.1 }, SortTerm { column: 1, descending: directions.1 }];
        if sorted {
            order.insert(0, SortTerm { column: 2, descending: directions.0 });
        }
        let mut expected: Vec<&Vec<Value>> = rows.iter().collect();
        expected.sort_by(|left, right| order.iter().fold(std::cmp::Ordering::Equal, |so_far, term| {
            let (left, right) = (&left[term.column], &right[term.column]);
            let next = ascending(left, right);
            so_far.then(if term.descending && !left.is_null() && !right.is_null() { next.reverse() } else { next })
        }));
        let (blocks, filter) = (ValueBlocks::new(&definition, &rows, block_rows, bounded), Filter::All(Vec::new()));
        let blocks = if are_kept { blocks } else { blocks.not_kept() };
        let (mut gathered, mut after): (Vec<&Vec<Value>>, Option<Vec<Value>>) = (Vec::new(), None);
        loop {
            let wanted =
                FirstWanted { definition: &definition, filter: &filter, ranking: None, order: &order, after: after.as_deref(), most };
            let found = first::first_collecting(&blocks, &wanted, 2).unwrap();
            prop_assert!(blocks.were_read_once());
            gathered.extend(found.iter().map(|found| &rows[found.block * block_rows + found.row]));
            if found.len() < most {
                break;
            }
            let last = gathered.last().unwrap();
            after = Some(order.iter().map(|term| last[term.column].clone()).collect());
            prop_assert!(gathered.len() <= rows.len());
        }
        prop_assert_eq!(gathered, expected);
    }

    #[test]
    fn a_front_that_is_enough_has_the_first_of_all(
        (kind, values, _) in any_column(),
        keys in proptest::collection::vec("[ab]{1,2}", 24),
        (descending, bounded) in any::<(bool, bool)>(),
        (nth, most, block_rows) in (any::<proptest::sample::Index>(), 1_usize..4, 1_usize..9),
        (front_rows, after) in (1_u64..6, proptest::option::of(("[ab]{1,2}", 0_i64..24))),
    ) {
        let definition = samples::definition("things", &[("key", "text"), ("id", "integer"), ("value", kind.as_str())]);
        let row = |(nth, (value, key)): (usize, (&Value, &String))| {
            vec![Value::Text(key.clone()), Value::Integer(nth as i64), value.clone()]
        };
        let rows: Vec<Vec<Value>> = values.iter().zip(&keys).enumerate().map(row).collect();
        let order = [0, 1].map(|column| SortTerm { column, descending });
        let tests = tests(kind, &values);
        let filter = Filter::Term(Term { column: 2, test: tests[nth.index(tests.len())].clone() });
        let blocks = ValueBlocks::new(&definition, &rows, block_rows, bounded);
        let after = after.map(|(key, id)| [Value::Text(key), Value::Integer(id)]);
        let after = after.as_ref().map(<[Value; 2]>::as_slice);
        let wanted = FirstWanted { definition: &definition, filter: &filter, ranking: None, order: &order, after, most };
        if let Some(found) = front::first_within(&blocks, &wanted, (front_rows, 1)).unwrap() {
            prop_assert_eq!(found, first::first_of_all(&blocks, &wanted).unwrap());
        }
    }

    #[test]
    fn facets_are_the_same_in_any_memory((kind, values, _) in any_column(), limit in 1_u32..5, bytes_max in 0_usize..900) {
        let definition = samples::definition("things", &[("key", "text"), ("id", "integer"), ("value", kind.as_str())]);
        let rows: Vec<Vec<Value>> =
            values.iter().map(|value| vec![Value::Text("k".into()), Value::Integer(1), value.clone()]).collect();
        let blocks = ValueBlocks::new(&definition, &rows, 5, false);
        let mut tally = FacetTally::new(2);
        values.iter().for_each(|value| tally.add(value));
        let found = summary::facets_within(&blocks, &Filter::All(Vec::new()), &[2], limit, bytes_max).unwrap();
        prop_assert_eq!(&found, &(values.len() as u64, vec![tally.finish(limit)]));
        let blocks = blocks.not_kept();
        prop_assert_eq!(summary::facets(&blocks, &Filter::All(Vec::new()), &[2], limit).unwrap(), found);
        prop_assert!(blocks.were_read_once());
    }

    #[test]
    fn a_search_in_some_rows_finds_what_a_search_in_all_finds(
        texts in proptest::collection::vec(proptest::option::of("[aAbBßé]{0,3}"), 0..12),
        (needle, wanted) in ("[abß]{0,2}", proptest::collection::vec(0_u8..2, 12)),
    ) {
        let values: Vec<Value> = texts.into_iter().map(|text| text.map_or(Value::Null, Value::Text)).collect();
        let needle = folded(&needle).into_owned();
        let (chunk, wanted) = (chunk(ColumnType::Text, &values), Mask::Rows(wanted[..values.len()].to_vec()));
        let all = chunk.passing(&Test::Contains(needle.clone()));
        prop_assert_eq!(all.clone().and(wanted.clone()).count(values.len()), chunk.containing(&needle, &wanted).count(values.len()));
        prop_assert_eq!(all.count(values.len()), chunk.containing(&needle, &Mask::Everything).count(values.len()));
    }

    #[test]
    fn texts_are_found_within_each_alone(texts in proptest::collection::vec("[ab]{0,4}", 0..12), needle in "[ab]{0,3}") {
        let mut list = TextList::default();
        texts.iter().for_each(|text| list.push(text));
        let expected: Vec<u8> = texts.iter().map(|text| u8::from(text.contains(&needle))).collect();
        prop_assert_eq!(list.containing(&needle), expected);
    }
}

#[test]
fn a_block_has_room_for_as_many_values_as_rows() {
    for nulls in [0, 1] {
        let mut values: Vec<Value> = (0..BLOCK_ROWS as i64 - nulls).map(|n| Value::Integer(n * 1_000_003)).collect();
        values.extend((0..nulls).map(|_| Value::Null));
        let chunk = chunk(ColumnType::Integer, &values);
        assert_eq!((0..BLOCK_ROWS).map(|row| chunk.value(row)).collect::<Vec<_>>(), values);
        let dense: Vec<Value> = (0..BLOCK_ROWS as i64).map(Value::Integer).collect();
        let chunk = super::tests::chunk(ColumnType::Integer, &dense);
        assert_eq!(chunk.value(BLOCK_ROWS - 1), dense[BLOCK_ROWS - 1]);
    }
}
