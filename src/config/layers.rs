//! Lays the sources of settings over one another, by dotted path, and remembers where each value came from.
//!
//! The defaults file holds every setting, so its leaves define the known names and the expected types.

use std::{collections::BTreeMap, fmt, path::Path};

use toml::{Table, Value};

use super::{error::ConfigError, origin::SettingOrigin};

/// The commented default configuration file.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Settings whose values are never shown.
pub(super) const SECRET_PATHS: &[&str] = &["mail.smtp.password", "oidc.client_secret"];

/// The prefix of permitd's environment variables.
pub const VARIABLE_PREFIX: &str = "PERMITD_";
/// The prefix of variables that belong to tests and are ignored.
pub const TEST_VARIABLE_PREFIX: &str = "PERMITD_TEST_";
/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "PERMITD_CONFIG";

const CONFIG_FILE_BYTES_MAX: u64 = 1024 * 1024;
const NEAREST_SIMILARITY_MIN: f64 = 0.75;

/// A setting's value and where it came from.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: SettingOrigin,
}

/// All settings by dotted path.
#[derive(Clone)]
pub(super) struct Layers {
    entries: BTreeMap<String, Entry>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|(path, entry)| (path, shown(path, &entry.value)))).finish()
    }
}

impl Layers {
    /// The defaults.
    pub(super) fn defaults() -> Result<Self, ConfigError> {
        let table: Table = DEFAULTS.parse().map_err(|e: toml::de::Error| ConfigError::Defaults(e.to_string()))?;
        let mut leaves = Vec::new();
        flatten("", table, &mut leaves);
        let entries =
            leaves.into_iter().map(|(path, value)| (path, Entry { value, origin: SettingOrigin::Default })).collect();
        Ok(Self { entries })
    }

    pub(super) fn empty() -> Self {
        Self { entries: BTreeMap::new() }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Lays a configuration file over the present layers.
    pub(super) fn add_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
        let length = std::fs::metadata(file).map_err(unreadable)?.len();
        if length > CONFIG_FILE_BYTES_MAX {
            let reason = format!("it has {length} bytes, at most {CONFIG_FILE_BYTES_MAX} are read");
            return Err(unreadable(std::io::Error::other(reason)));
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let table: Table = text.parse().map_err(|e: toml::de::Error| {
            let start = e.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(start).filter(|b| *b == b'\n').count();
            ConfigError::Syntax { file: file.to_owned(), line }
        })?;
        let mut leaves = Vec::new();
        flatten("", table, &mut leaves);
        leaves.into_iter().try_for_each(|(path, value)| self.set(&path, value, SettingOrigin::File(file.to_owned())))
    }

    /// Lays environment variables over the present layers. Variables without permitd's prefix are ignored.
    pub(super) fn add_variables<'a>(
        &mut self,
        variables: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), ConfigError> {
        let paths: BTreeMap<String, String> = self.entries.keys().map(|path| (variable(path), path.clone())).collect();
        for (name, text) in variables {
            let is_ours = name.starts_with(VARIABLE_PREFIX) && !name.starts_with(TEST_VARIABLE_PREFIX);
            if !is_ours || name == CONFIG_VARIABLE {
                continue;
            }
            let origin = SettingOrigin::Variable(name.to_owned());
            let Some(path) = paths.get(name) else {
                let nearest = nearest(name, paths.keys().map(String::as_str).chain([CONFIG_VARIABLE]));
                return Err(ConfigError::Unknown { name: name.to_owned(), origin, nearest });
            };
            self.set_text(path, text, origin)?;
        }
        Ok(())
    }

    /// Lays a value written as text over the present layers; the default's type decides how the text is read.
    pub(super) fn set_text(&mut self, path: &str, text: &str, origin: SettingOrigin) -> Result<(), ConfigError> {
        let value = match self.entries.get(path).map(|entry| &entry.value) {
            Some(Value::Integer(_)) => {
                text.trim().parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
            }
            Some(Value::Boolean(_)) => {
                text.trim().parse().map_or_else(|_| Value::String(text.to_owned()), Value::Boolean)
            }
            Some(Value::Array(_)) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
            _ => Value::String(text.to_owned()),
        };
        self.set(path, value, origin)
    }

    fn set(&mut self, path: &str, value: Value, origin: SettingOrigin) -> Result<(), ConfigError> {
        let Some(entry) = self.entries.get_mut(path) else {
            let nearest = nearest(path, self.entries.keys().map(String::as_str));
            return Err(ConfigError::Unknown { name: path.to_owned(), origin, nearest });
        };
        if entry.value.type_str() != value.type_str() {
            let expected = match entry.value.type_str() {
                "string" => "a text in quotes is expected".to_owned(),
                "integer" => "a whole number is expected".to_owned(),
                "array" => "a list of texts is expected".to_owned(),
                "boolean" => "true or false is expected".to_owned(),
                _ => "another kind of value is expected".to_owned(),
            };
            return Err(ConfigError::Invalid { path: path.to_owned(), origin, value: shown(path, &value), expected });
        }
        *entry = Entry { value, origin };
        Ok(())
    }

    pub(super) fn invalid(&self, path: &str, expected: String) -> ConfigError {
        let (origin, value) = self.provenance(path);
        ConfigError::Invalid { path: path.to_owned(), origin, value, expected }
    }

    pub(super) fn conflict(&self, path: &str, reason: &str) -> ConfigError {
        let (origin, value) = self.provenance(path);
        ConfigError::Conflict { path: path.to_owned(), origin, value, reason: reason.to_owned() }
    }

    fn provenance(&self, path: &str) -> (SettingOrigin, String) {
        match self.entries.get(path) {
            Some(entry) => (entry.origin.clone(), shown(path, &entry.value)),
            None => (SettingOrigin::Default, String::new()),
        }
    }

    /// The settings as one nested table, ready to be read into typed structs.
    pub(super) fn to_table(&self) -> Table {
        let mut root = Table::new();
        for (path, entry) in &self.entries {
            let (sections, name) = path.rsplit_once('.').map_or((None, path.as_str()), |(s, n)| (Some(s), n));
            let mut table = &mut root;
            for section in sections.into_iter().flat_map(|s| s.split('.')) {
                let child = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                // A name cannot be both a section and a setting: the defaults file, which has all names, is one TOML table.
                let Value::Table(child) = child else { return root };
                table = child;
            }
            table.insert(name.to_owned(), entry.value.clone());
        }
        root
    }
}

/// The environment variable of a setting: `mail.smtp.host` is `PERMITD_MAIL_SMTP_HOST`.
pub fn variable(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.replace('.', "_").to_ascii_uppercase())
}

/// A value as it may be shown: a secret that is set is `***`.
pub(super) fn shown(path: &str, value: &Value) -> String {
    let is_empty = value.as_str().is_some_and(str::is_empty);
    if SECRET_PATHS.contains(&path) && !is_empty { "***".to_owned() } else { value.to_string() }
}

fn flatten(prefix: &str, table: Table, leaves: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(child) => flatten(&path, child, leaves),
            leaf => leaves.push((path, leaf)),
        }
    }
}

fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= NEAREST_SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
