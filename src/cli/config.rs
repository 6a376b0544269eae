//! `permitd config`: the settings in force, or their defaults.

use clap::Args;
use serde_json::json;

use super::{Answer, Common, Failure, output::Table};
use crate::config::DEFAULTS;

/// Show the settings in force and where each came from
///
/// A later place wins: the defaults, the configuration file, the environment variable, the flag.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd config
  permitd config --default > permitd.toml      the commented defaults: the manual of every setting")]
pub(super) struct Config {
    /// Print the commented default configuration file instead
    #[arg(long)]
    default: bool,
}

impl Config {
    pub(super) fn run(self, common: &Common) -> Result<Answer, Failure> {
        if self.default {
            return Ok(Answer::new(json!({ "toml": DEFAULTS }), DEFAULTS));
        }
        let settings = common.settings(&[])?.describe();
        let mut table = Table::new(&["SETTING", "VALUE", "FROM", "VARIABLE"]);
        for setting in &settings {
            table.row([&setting.path, &setting.value, &setting.origin, &setting.variable].map(Clone::clone));
        }
        Ok(Answer::new(json!({ "settings": settings }), table.render()))
    }
}
