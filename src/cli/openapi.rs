//! `permitd openapi`: the description of the HTTP interface, without a server.

use std::path::PathBuf;

use clap::Args;

use super::{Answer, Common, Failure};
use crate::{app, http::openapi};

/// Print the OpenAPI 3.1 document of the HTTP interface, for all data sets that are defined
///
/// A server has the same at /openapi.json, for the data sets that it serves.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd openapi > openapi.json
  permitd openapi --datasets definitions")]
pub(super) struct OpenApi {
    /// A folder of further definitions [variable: PERMITD_DATASETS] [default: none]
    #[arg(long, value_name = "DIR")]
    datasets: Option<PathBuf>,
}

impl OpenApi {
    pub(super) fn run(self, common: &Common) -> Result<Answer, Failure> {
        let datasets = self.datasets.map(|folder| folder.display().to_string());
        let settings = common.settings(&[("datasets", datasets)])?;
        let definitions = app::definitions(settings.datasets())?;
        let document = openapi::document(&settings.mail.brand, &definitions);
        let text = serde_json::to_string_pretty(&document).map_err(|error| Failure::unavailable(error.to_string()))?;
        Ok(Answer::new(document, text))
    }
}
