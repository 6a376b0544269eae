//! Writes all matching records, row by row: NDJSON, CSV, GeoJSON, Parquet, a stream of Arrow, or a workbook.
//!
//! Each form takes bounded memory, however many rows there are. What breaks off is not taken for whole by readers of the form, but for
//! lines of text, whose end only HTTP knows.

mod arrow_stream;
mod batch;
mod error;
mod geojson_rows;
mod groups;
mod parquet_rows;
mod published;
#[cfg(test)]
mod tests;
mod text_rows;
mod workbook_rows;

pub use self::error::ExportError;
pub use self::groups::{groups_as_csv, groups_as_json};
pub use self::workbook_rows::{WORKBOOK_RECORDS_MAX, WorkbookPlace};
use self::{
    arrow_stream::StreamRows, geojson_rows::GeoRows, parquet_rows::ParquetRows, published::PublishedColumn,
    text_rows::TextRows, workbook_rows::SheetRows,
};
use super::{
    Column, Definition,
    query::{Format, Query},
};

/// Writes rows, each from the JSON of its values.
pub struct RowWriter(FormRows);

/// The rows in one of the forms.
enum FormRows {
    Text(TextRows),
    Geo(GeoRows),
    Stream(Box<StreamRows>),
    Parquet(Box<ParquetRows>),
    Sheet(Box<SheetRows>),
}

impl RowWriter {
    /// A writer with the columns and in the form that the query asks for; NDJSON by default. A workbook is made at this place.
    ///
    /// # Errors
    /// [`ExportError::NoGeometry`] where GeoJSON has no column of points; [`ExportError::Failed`] where a workbook cannot be begun at
    /// its place.
    pub fn new(definition: &Definition, query: &Query, place: &WorkbookPlace) -> Result<Self, ExportError> {
        let columns: Vec<&Column> = match &query.select {
            None => definition.columns.iter().collect(),
            Some(select) => select.iter().filter_map(|place| definition.columns.get(*place)).collect(),
        };
        let published = || columns.iter().map(|column| PublishedColumn::new(column, query.numbers_as_texts)).collect();
        Ok(Self(match query.format.unwrap_or(Format::Ndjson) {
            format @ (Format::Json | Format::Ndjson | Format::Csv) => {
                FormRows::Text(TextRows::new(&columns, query, format))
            }
            Format::Geojson => {
                let geometry = query.geometry(definition).map_err(ExportError::NoGeometry)?;
                FormRows::Geo(GeoRows::new(definition, query, geometry))
            }
            Format::Arrow => FormRows::Stream(Box::new(StreamRows::new(published())?)),
            Format::Parquet => FormRows::Parquet(Box::new(ParquetRows::new(published())?)),
            Format::Xlsx => FormRows::Sheet(Box::new(SheetRows::new(&definition.name, published(), place)?)),
        }))
    }

    /// The columns whose values a row consists of, by place, where these are others than the query selects.
    pub fn places(&self) -> Option<&[usize]> {
        match &self.0 {
            FormRows::Geo(rows) => Some(rows.places()),
            _ => None,
        }
    }

    /// Appends what precedes the first row, such as the names of the columns in CSV.
    ///
    /// # Errors
    /// [`ExportError::Failed`].
    pub fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        match &mut self.0 {
            FormRows::Text(rows) => rows.begin(out),
            FormRows::Geo(rows) => rows.begin(out),
            FormRows::Stream(rows) => rows.drain(out),
            FormRows::Parquet(rows) => rows.drain(out)?,
            FormRows::Sheet(_) => {}
        }
        Ok(())
    }

    /// Takes in a row of values, each as [`json::write_value`](crate::dataset::json::write_value) writes it, in the order of the columns,
    /// or of [`RowWriter::places`]. Appends what is ready: this row, several, or nothing yet.
    ///
    /// # Errors
    /// Where the form cannot hold the row; [`ExportError::OfAnotherType`]; [`ExportError::Failed`].
    pub fn row<'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        match &mut self.0 {
            FormRows::Text(rows) => {
                rows.row(values, out);
                Ok(())
            }
            FormRows::Geo(rows) => {
                rows.row(values, out);
                Ok(())
            }
            FormRows::Stream(rows) => rows.row(values, out),
            FormRows::Parquet(rows) => rows.row(values, out),
            FormRows::Sheet(rows) => rows.row(values),
        }
    }

    /// Appends the end to what is ready, and sends it, in one or many parts. Returns what `send` says: after an error of it, nothing more
    /// is sent.
    ///
    /// # Errors
    /// [`ExportError::Failed`].
    pub fn finish<E: Send>(
        self,
        mut ready: Vec<u8>,
        mut send: impl FnMut(Vec<u8>) -> Result<(), E> + Send,
    ) -> Result<Result<(), E>, ExportError> {
        match self.0 {
            FormRows::Text(_) => {}
            FormRows::Geo(rows) => rows.finish(&mut ready),
            FormRows::Stream(rows) => rows.finish(&mut ready)?,
            FormRows::Parquet(rows) => rows.finish(&mut ready)?,
            FormRows::Sheet(rows) => return rows.finish(send),
        }
        Ok(send(ready))
    }
}
