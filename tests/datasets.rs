//! Data sets from the bytes of a file to records: the real files, the ways in which files drift, and files that are hostile.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "datasets/cases.rs"]
mod cases;
#[path = "datasets/compared.rs"]
mod compared;
#[path = "datasets/drift.rs"]
mod drift;
#[path = "datasets/excel_97.rs"]
mod excel_97;
#[path = "datasets/hostile.rs"]
mod hostile;
#[path = "datasets/points.rs"]
mod points;
#[path = "datasets/real.rs"]
mod real;
#[path = "datasets/report.rs"]
mod report;
#[path = "datasets/round_trip.rs"]
mod round_trip;
#[path = "datasets/sectors.rs"]
mod sectors;
#[path = "datasets/support.rs"]
mod support;
#[path = "support/tools.rs"]
mod tools;

/// The repository's root.
fn repository() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
