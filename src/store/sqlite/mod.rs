//! sqlite.

pub mod records;
