//! What follows from the columns and indexes of a data set.

use std::sync::Arc;

use super::{
    render::Rendering,
    schema::{self, IndexShape},
};
use crate::dataset::Definition;

/// What follows from the columns and indexes of a data set, computed once for each definition.
pub(super) struct Shape {
    /// The definition behind it. Other indexes may be declared without other columns.
    pub(super) definition: Arc<Definition>,
    pub(super) generation: u64,
    pub(super) rendering: Rendering,
    pub(super) indexes: Vec<IndexShape>,
    /// The columns' names in SQL.
    pub(super) names: Vec<String>,
}

impl Shape {
    pub(super) fn of(definition: &Arc<Definition>, generation: u64) -> Self {
        Self {
            definition: Arc::clone(definition),
            generation,
            rendering: Rendering::new(definition, None),
            indexes: schema::indexes(definition),
            names: (0..definition.columns.len()).map(|place| schema::column_name(definition, place)).collect(),
        }
    }

    pub(super) fn name(&self, column: usize) -> &str {
        // Queries are checked against the definition of these names.
        self.names.get(column).map_or("NULL", String::as_str)
    }
}
