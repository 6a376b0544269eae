//! store.

pub mod records;
pub mod sqlite;
