//! From the rows of a file to records: the header is matched once, then every row is converted by place.

pub(in crate::dataset) mod convert;
mod dates;
mod header;
mod mapper;
mod title;

pub use header::{FoundHeader, HeaderSearch};
pub use mapper::Mapper;
pub use title::title_case;
