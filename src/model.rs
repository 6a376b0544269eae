//! The pure part of permitd: its decisions, and data sets. A package of its own (`model/Cargo.toml`), so that it cannot refer to the rest.

pub mod dataset;
pub mod domain;
