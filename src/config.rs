//! Settings: defaults < configuration file < environment < flags. The commented default file is the manual.
//!
//! The layers are merged by hand over TOML tables, because errors must name the variable, file or flag with the wrong value, and `permitd
//! config` must show each value's origin; a merging crate would lose both.

pub mod accounts;
mod check;
mod error;
mod layers;
mod oidc;
mod origin;
pub mod pages;
mod settings;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::layers::{Layers, SECRET_PATHS};
pub use self::{
    error::ConfigError,
    layers::{CONFIG_VARIABLE, DEFAULTS, TEST_VARIABLE_PREFIX, VARIABLE_PREFIX, variable},
    origin::SettingOrigin,
    settings::{
        ActorsSection, AdmissionSection, AwsSection, Backend, CommandsSection, ConfigurationFile, HttpSection,
        ImportSection, LogFormat, LogSection, OpsSection, ProxyHeader, QueueSection, RecordsSection, RelaySection,
        Settings, UsersSection,
    },
};
use crate::{domain::misfit, mail::settings::MailTransport, private};

/// The configuration file that is read from the data directory when no other is named.
pub const FILE_NAME: &str = "permitd.toml";

/// The sources of settings besides the defaults.
#[derive(Debug)]
pub struct LoadFrom<'a, E> {
    /// The file named by `--config`; without it, `PERMITD_CONFIG`, then `permitd.toml` in the data directory if it exists.
    pub config_file: Option<PathBuf>,
    /// The environment, as `std::env::vars` gives it.
    pub env: E,
    /// Values from flags: dotted path and value as text.
    pub overrides: &'a [(&'a str, String)],
}

/// One setting as `permitd config` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DescribedSetting {
    /// The dotted path.
    pub path: String,
    /// The value in TOML; `"***"` for a secret that is set.
    pub value: String,
    /// Where the value came from.
    pub origin: String,
    /// The environment variable that sets it.
    pub variable: String,
}

impl Settings {
    /// The same settings with another backend.
    #[must_use]
    pub fn with_backend(&self, backend: Backend) -> Self {
        let mut other = self.clone();
        other.backend = backend;
        other
    }

    /// Reads and checks all settings.
    ///
    /// # Errors
    /// Reports the first wrong setting, with its name, its place, its value unless secret, and the expected value.
    pub fn load<E: Iterator<Item = (String, String)>>(from: LoadFrom<'_, E>) -> Result<Self, ConfigError> {
        let variables: Vec<(String, String)> = from.env.filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)).collect();
        let add_outer_layers = |layers: &mut Layers| {
            layers.add_variables(variables.iter().map(|(name, text)| (name.as_str(), text.as_str())))?;
            from.overrides.iter().try_for_each(|(path, text)| layers.set_text(path, text, SettingOrigin::Flag))
        };
        let config_variable = variables.iter().find(|(name, text)| name == CONFIG_VARIABLE && !text.is_empty());
        let named_file = from.config_file.or_else(|| config_variable.map(|(_, text)| PathBuf::from(text)));

        let mut layers = Layers::defaults()?;
        let mut read = named_file.clone().map(|path| ConfigurationFile { path, in_data_directory: false });
        if let Some(file) = &named_file {
            layers.add_file(file)?;
        }
        add_outer_layers(&mut layers)?;
        if named_file.is_none() {
            let data = PathBuf::from(layers.get("data").and_then(|entry| entry.value.as_str()).unwrap_or_default());
            private::is_open(&data)?;
            let implied_file = data.join(FILE_NAME);
            if implied_file.is_file() {
                layers = Layers::defaults()?;
                layers.add_file(&implied_file)?;
                let data_is_from_file = layers.get("data").is_some_and(|entry| entry.origin != SettingOrigin::Default);
                if data_is_from_file {
                    let reason = "the file was found in the data directory; name that by --data or PERMITD_DATA";
                    return Err(layers.conflict("data", reason));
                }
                add_outer_layers(&mut layers)?;
                read = Some(ConfigurationFile { path: implied_file, in_data_directory: true });
            }
        }
        Ok(Self { file: read, ..Self::from_layers(layers)? })
    }

    fn from_layers(layers: Layers) -> Result<Self, ConfigError> {
        check::ranges(&layers)?;
        check::addresses(&layers)?;
        let table = toml::Value::Table(layers.to_table());
        let mut settings: Self = serde_path_to_error::deserialize(table).map_err(|e| {
            let path = e.path().to_string();
            layers.invalid(&path, misfit::told(e.into_inner().message()))
        })?;
        settings.layers = layers;
        settings.check_values()?;
        settings.check_combinations()?;
        Ok(settings)
    }

    /// Every setting in force with its origin, sorted by path.
    pub fn describe(&self) -> Vec<DescribedSetting> {
        let describe = |(path, entry): (&String, &layers::Entry)| DescribedSetting {
            path: path.clone(),
            value: layers::shown(path, &entry.value),
            origin: entry.origin.to_string(),
            variable: variable(path),
        };
        self.layers.entries().map(describe).collect()
    }

    /// The base of links, without a slash at its end. `bound` is the address that the server listens on; an address for all interfaces
    /// becomes `localhost`.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        if bound.ip().is_unspecified() {
            format!("http://localhost:{}", bound.port())
        } else {
            format!("http://{bound}")
        }
    }

    /// The directory that the file transport writes mail to.
    pub fn outbox(&self) -> PathBuf {
        if self.mail.outbox.as_os_str().is_empty() { self.data.join("outbox") } else { self.mail.outbox.clone() }
    }

    /// The transport in force.
    pub fn mail_transport(&self) -> MailTransport {
        match (self.mail.transport, self.backend) {
            (MailTransport::Auto, Backend::Aws) => MailTransport::Ses,
            (MailTransport::Auto, Backend::Sqlite) => MailTransport::File,
            (named, _) => named,
        }
    }

    /// The configuration file that was read, if there was one.
    pub fn configuration(&self) -> Option<&ConfigurationFile> {
        self.file.as_ref()
    }

    /// Whether the configuration file holds a secret.
    pub fn has_secret_in_file(&self) -> bool {
        let is_in_file = |path: &&str| {
            let entry = self.layers.get(path);
            entry
                .is_some_and(|entry| matches!(entry.origin, SettingOrigin::File(_)) && entry.value.as_str() != Some(""))
        };
        SECRET_PATHS.iter().any(is_in_file)
    }

    /// The directory of further data set definitions, if there is one.
    pub fn datasets(&self) -> Option<&Path> {
        (!self.datasets.as_os_str().is_empty()).then_some(self.datasets.as_path())
    }
}

#[cfg(test)]
mod tests;
