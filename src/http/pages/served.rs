//! The data sets that are served.

use std::sync::Arc;

use crate::{http::state::Service, store::records::DataSet};

/// All data sets that are not withdrawn.
pub(super) fn served(service: &Service) -> Vec<Arc<DataSet>> {
    let mut data_sets = service.records.data_sets();
    data_sets.retain(|data_set| !data_set.standing.withdrawn);
    data_sets
}
