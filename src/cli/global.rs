//! The options of every command.

use std::path::PathBuf;

use clap::Args;

/// What every command takes.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// The data directory [variable: PERMITD_DATA] [default: ./permitd-data]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    pub(super) data: Option<PathBuf>,
    /// The configuration file [variable: PERMITD_CONFIG] [default: permitd.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub(super) config: Option<PathBuf>,
    /// Where everything is kept, sqlite or aws [variable: PERMITD_BACKEND] [default: sqlite]
    #[arg(long, global = true, value_name = "BACKEND", help_heading = "Common options")]
    pub(super) backend: Option<String>,
    /// Print one JSON document
    #[arg(long, global = true, help_heading = "Common options")]
    pub(super) json: bool,
}
