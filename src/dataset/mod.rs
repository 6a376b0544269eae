//! Data sets: definitions, typed values and records, the questions about them, and the readers and writers of files. Pure: everything here
//! works on values and on readers passed in.

pub mod cell;
pub mod columns;
pub mod cursor;
pub mod definition;
mod document;
pub mod export;
pub mod figures;
pub mod infer;
pub mod json;
pub mod last_rows;
pub mod mapping;
pub mod place;
pub mod query;
pub mod reader;
pub mod sample;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "this is for tests")]
mod samples;
pub mod suggest;
pub mod summary;
pub mod text;
pub mod value;

pub use definition::{Column, ColumnType, Definition, Index, RecordIdRule};
pub use document::Document;
pub use place::Point;
pub use value::{RECORD_BYTES_MAX, Record, Value, ValueError};
