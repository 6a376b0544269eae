//! Record batches of Arrow: some rows, column by column, each column of the type that the definition says.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{
        ArrayBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder, StructBuilder,
        TimestampMicrosecondBuilder,
    },
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use jiff::civil::Date;

use super::{
    error::ExportError,
    published::{PublishedColumn, PublishedValue},
};
use crate::dataset::{ColumnType, Point};

/// The most rows of a batch.
const ROWS_MAX: usize = 8 * 1024;
/// The most bytes of the rows of a batch, as JSON, but for the last row.
const BYTES_MAX: usize = 256 * 1024;
/// Amounts are 64-bit numbers of hundredths, which have up to 19 digits.
const MONEY_DIGITS: u8 = 19;
const MONEY_DECIMALS: i8 = 2;
const UTC: &str = "UTC";
const EPOCH: Date = Date::constant(1970, 1, 1);
const NANOSECONDS_OF_MICROSECOND: i32 = 1_000;

/// Rows that become a batch.
#[derive(Debug)]
pub(super) struct BatchRows {
    schema: SchemaRef,
    columns: Vec<BatchColumn>,
    rows: usize,
    bytes: usize,
}

#[derive(Debug)]
struct BatchColumn {
    published: PublishedColumn,
    values: ColumnValues,
}

/// The values of a column.
#[derive(Debug)]
enum ColumnValues {
    Text(StringBuilder),
    Integer(Int64Builder),
    Money(Decimal128Builder),
    Number(Float64Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Point(PointsBuilder),
}

/// Points in the separated form of GeoArrow: two lists of degrees.
#[derive(Debug)]
struct PointsBuilder(StructBuilder);

impl PointsBuilder {
    fn new() -> Self {
        let degrees = || Box::new(Float64Builder::with_capacity(0)) as Box<dyn ArrayBuilder>;
        Self(StructBuilder::new(coordinate_fields(), vec![degrees(), degrees()]))
    }

    fn push(&mut self, point: Option<Point>) {
        let degrees = [point.map_or(0.0, Point::longitude), point.map_or(0.0, Point::latitude)];
        for (nth, degrees) in degrees.into_iter().enumerate() {
            if let Some(builder) = self.0.field_builder::<Float64Builder>(nth) {
                builder.append_value(degrees);
            }
        }
        self.0.append(point.is_some());
    }
}

/// The fields of a point: degrees east, then degrees north.
fn coordinate_fields() -> Fields {
    ["x", "y"].map(|name| Field::new(name, DataType::Float64, false)).into_iter().collect()
}

impl ColumnValues {
    fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Text => Self::Text(StringBuilder::with_capacity(0, 0)),
            ColumnType::Integer => Self::Integer(Int64Builder::with_capacity(0)),
            ColumnType::Money => Self::Money(Decimal128Builder::with_capacity(0).with_data_type(data_type(kind))),
            ColumnType::Number => Self::Number(Float64Builder::with_capacity(0)),
            ColumnType::Date => Self::Date(Date32Builder::with_capacity(0)),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(0).with_timezone(UTC)),
            ColumnType::Point => Self::Point(PointsBuilder::new()),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Money(builder) => Arc::new(builder.finish()),
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Point(builder) => Arc::new(builder.0.finish()),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Text(builder) => builder.append_null(),
            Self::Integer(builder) => builder.append_null(),
            Self::Money(builder) => builder.append_null(),
            Self::Number(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Point(builder) => builder.push(None),
        }
    }
}

impl BatchColumn {
    fn push(&mut self, value: &[u8]) -> Result<(), ExportError> {
        let name = &self.published.name;
        let of_another_type = || ExportError::OfAnotherType { column: name.clone() };
        match (&mut self.values, self.published.read(value).ok_or_else(of_another_type)?) {
            (values, PublishedValue::Null) => values.push_null(),
            (ColumnValues::Text(builder), PublishedValue::Text(text)) => builder.append_value(text),
            (ColumnValues::Integer(builder), PublishedValue::Integer(number)) => builder.append_value(number),
            (ColumnValues::Money(builder), PublishedValue::Money(cents)) => builder.append_value(i128::from(cents)),
            (ColumnValues::Number(builder), PublishedValue::Number(number)) => builder.append_value(number),
            (ColumnValues::Point(builder), PublishedValue::Point(point)) => builder.push(Some(point)),
            (ColumnValues::Date(builder), PublishedValue::Date(date)) => {
                builder.append_value(
                    date.since(EPOCH).map_err(|error| ExportError::failed("write a date", &error))?.get_days(),
                );
            }
            (ColumnValues::Timestamp(builder), PublishedValue::Timestamp(moment)) => {
                if moment.subsec_nanosecond() % NANOSECONDS_OF_MICROSECOND != 0 {
                    return Err(ExportError::TooPrecise { column: name.clone() });
                }
                builder.append_value(moment.as_microsecond());
            }
            _ => return Err(of_another_type()),
        }
        Ok(())
    }
}

impl BatchRows {
    pub(super) fn new(columns: Vec<PublishedColumn>) -> Self {
        let fields: Vec<Field> = columns.iter().map(|column| field(&column.name, column.kind)).collect();
        let columns =
            columns.into_iter().map(|published| BatchColumn { values: ColumnValues::new(published.kind), published });
        Self { schema: Arc::new(Schema::new(fields)), columns: columns.collect(), rows: 0, bytes: 0 }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes in a row. Returns a batch once there are enough rows for one.
    pub(super) fn row<'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v [u8]>,
    ) -> Result<Option<RecordBatch>, ExportError> {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value)?;
            self.bytes += value.len();
        }
        self.rows += 1;
        if self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX { self.rest() } else { Ok(None) }
    }

    /// The rows that are in no batch yet, if there are any.
    pub(super) fn rest(&mut self) -> Result<Option<RecordBatch>, ExportError> {
        if self.rows == 0 {
            return Ok(None);
        }
        (self.rows, self.bytes) = (0, 0);
        let columns = self.columns.iter_mut().map(|column| column.values.finish()).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        batch.map(Some).map_err(|error| failed(&error))
    }
}

pub(super) fn failed(error: &ArrowError) -> ExportError {
    ExportError::failed("make a batch of records", error)
}

/// A column of a type. Points say that they are those of GeoArrow, in degrees of WGS 84, longitude first.
fn field(name: &str, kind: ColumnType) -> Field {
    let field = Field::new(name, data_type(kind), true);
    if kind != ColumnType::Point {
        return field;
    }
    let metadata = [
        ("ARROW:extension:name", "geoarrow.point"),
        ("ARROW:extension:metadata", "{\"crs\":\"OGC:CRS84\",\"crs_type\":\"authority_code\"}"),
    ];
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    field.with_metadata(metadata)
}

fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Money => DataType::Decimal128(MONEY_DIGITS, MONEY_DECIMALS),
        ColumnType::Number => DataType::Float64,
        ColumnType::Point => DataType::Struct(coordinate_fields()),
        ColumnType::Date => DataType::Date32,
        // Microseconds reach over all years; nanoseconds would end in 2262.
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
    }
}
