//! The pure part of permitd: what it decides, and what a data set is. A package of its own (`model/Cargo.toml`), so that nothing in it
//! can name the rest.

pub mod dataset;
pub mod domain;
