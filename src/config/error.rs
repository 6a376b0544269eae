//! Why a start is refused: every message names the setting, where it came from, and what would be right.

use std::path::PathBuf;

use thiserror::Error;

use super::origin::SettingOrigin;
use crate::private::PrivacyError;

/// A setting, or a source of settings, that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {source}; name another with --config or PERMITD_CONFIG", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// This process may not look into the data directory, which may hold a configuration file.
    #[error(transparent)]
    Closed(#[from] PrivacyError),
    /// The configuration file is not TOML.
    #[error(
        "{}, line {line}: this is no TOML. Lines are `name = value` under a [section], each name once, texts in quotes; \
         `permitd config --default` shows them all",
        .file.display()
    )]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line of the mistake, from 1. Its text is not repeated: it may hold a secret.
        line: usize,
    },
    /// There is no setting of this name.
    #[error("{origin}: there is no setting `{name}`; {}", suggestion(.nearest))]
    Unknown {
        /// The name, as written: a dotted path or a variable.
        name: String,
        /// The place of the setting.
        origin: SettingOrigin,
        /// The most similar existing name.
        nearest: Option<String>,
    },
    /// A value is of the wrong type, out of range or not one of the choices.
    #[error("{origin}: {path} = {value} is wrong: {expected}")]
    Invalid {
        /// The setting's dotted path.
        path: String,
        /// The place of the setting.
        origin: SettingOrigin,
        /// The value, or `***` when it is a secret.
        value: String,
        /// The expected value.
        expected: String,
    },
    /// Settings that are right alone but not together.
    #[error("{origin}: {path} = {value} does not go with another setting: {reason}")]
    Conflict {
        /// The setting's dotted path.
        path: String,
        /// The place of the setting.
        origin: SettingOrigin,
        /// The value, or `***` when it is a secret.
        value: String,
        /// The other setting, why the two conflict, and what to do.
        reason: String,
    },
    /// The built-in defaults are damaged: a defect of the program.
    #[error("the program's own defaults cannot be read: {0}; please report this")]
    Defaults(String),
}

fn suggestion(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`permitd config` lists them all".to_owned(),
    }
}
