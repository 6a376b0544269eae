//! Turns the rows of a file into records: the header is matched once, then every row is converted by place.

mod above;
pub(in crate::dataset) mod convert;
pub(in crate::dataset) mod dates;
mod header;
mod mapper;
pub(in crate::dataset) mod numbers;
mod point;
pub(in crate::dataset) mod reading;
mod title;

pub use header::{FoundHeader, HeaderSearch};
pub use mapper::{FileReading, Mapper};
pub(in crate::dataset) use mapper::{is_blank, is_ruler, is_scientific, stops_at};
pub use title::title_case;
