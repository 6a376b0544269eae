//! Parquet: groups of rows, column by column, and a footer that says where they are. Without the footer no reader reads the file.

use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
};

use super::{batch::BatchRows, error::ExportError, published::PublishedColumn};
use crate::dataset::ColumnType;

/// The most rows of a group: readers skip and share out whole groups.
const GROUP_ROWS_MAX: usize = 1024 * 1024;
/// The most bytes of a group, compressed. It is kept in memory until it is whole.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most memory for a group with what its columns need to be encoded. Where there are many columns it ends a group early.
const GROUP_MEMORY_MAX: usize = 32 * 1024 * 1024;
/// The most bytes of a page, and of a column's dictionary, and the most rows of a page. Each column holds one of each.
const PAGE_BYTES_MAX: usize = 128 * 1024;
const PAGE_ROWS_MAX: usize = 8 * 1024;
/// Each column of a group has a compressor of its own, which takes some hundred kilobytes: more columns are not compressed.
const COMPRESSED_COLUMNS_MAX: usize = 200;

/// Writes rows as a Parquet file.
pub(super) struct ParquetRows {
    rows: BatchRows,
    file: ArrowWriter<Vec<u8>>,
}

impl ParquetRows {
    pub(super) fn new(columns: Vec<PublishedColumn>) -> Result<Self, ExportError> {
        let compression = match columns.len() <= COMPRESSED_COLUMNS_MAX {
            true => Compression::ZSTD(ZstdLevel::default()),
            false => Compression::UNCOMPRESSED,
        };
        let geometries = geometries(&columns);
        let rows = BatchRows::new(columns);
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_data_page_size_limit(PAGE_BYTES_MAX)
            .set_data_page_row_count_limit(PAGE_ROWS_MAX)
            .set_dictionary_page_size_limit(PAGE_BYTES_MAX)
            .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
            // The least and greatest value of each group, for readers that filter. Those of pages, and where pages are, would be kept
            // in memory until the end.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_key_value_metadata(geometries.map(|text| vec![KeyValue::new("geo".to_owned(), text)]))
            .build();
        let file = ArrowWriter::try_new(Vec::new(), rows.schema().clone(), Some(properties));
        Ok(Self { rows, file: file.map_err(|error| failed(&error))? })
    }

    /// Moves what is ready to the end of `out`.
    pub(super) fn drain(&mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        self.file.sync().map_err(|error| failed(&error.into()))?;
        out.append(self.file.inner_mut());
        Ok(())
    }

    pub(super) fn row<'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        let Some(batch) = self.rows.row(values)? else { return Ok(()) };
        self.file.write(&batch).map_err(|error| failed(&error))?;
        if self.file.in_progress_size() >= GROUP_BYTES_MAX || self.file.memory_size() >= GROUP_MEMORY_MAX {
            self.file.flush().map_err(|error| failed(&error))?;
        }
        self.drain(out)
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if let Some(batch) = self.rows.rest()? {
            self.file.write(&batch).map_err(|error| failed(&error))?;
        }
        self.file.finish().map_err(|error| failed(&error))?;
        self.drain(out)
    }
}

/// What the file says of its points, in the form of GeoParquet 1.1; nothing where there are none. The first such column is the main one.
fn geometries(columns: &[PublishedColumn]) -> Option<String> {
    let points = || columns.iter().filter(|column| column.kind == ColumnType::Point).map(|column| &column.name);
    let first = points().next()?;
    let column = serde_json::json!({ "encoding": "point", "geometry_types": ["Point"] });
    let described: serde_json::Map<String, _> = points().map(|name| (name.clone(), column.clone())).collect();
    Some(serde_json::json!({ "version": "1.1.0", "primary_column": first, "columns": described }).to_string())
}

fn failed(error: &ParquetError) -> ExportError {
    ExportError::failed("write a Parquet file", error)
}
