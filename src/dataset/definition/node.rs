//! Reads TOML so that every error names the file, the key path and what would have been valid.

use toml::{Table, Value};

/// Why a definition is not valid. The message names the file, the key and the valid values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {path}: {reason}")]
pub struct DefinitionError {
    /// The file's name.
    pub file: String,
    /// The place in the file, such as `column[3].type`; a line if the text is not TOML at all.
    pub path: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

/// A table of the definition with its place in the file.
pub(super) struct DefinitionTable<'a> {
    file: &'a str,
    path: String,
    table: &'a Table,
}

impl<'a> DefinitionTable<'a> {
    pub(super) fn root(file: &'a str, table: &'a Table) -> Self {
        Self { file, path: String::new(), table }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn error(&self, key: &str, reason: impl Into<String>) -> DefinitionError {
        DefinitionError { file: self.file.to_owned(), path: self.path_of(key), reason: reason.into() }
    }

    /// Refuses unknown keys, and suggests the nearest known one.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), DefinitionError> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(self.error(key, format!("unknown key{}", hint(key, known)))),
        }
    }

    fn wrong_type(&self, key: &str, expected: &str, found: &Value) -> DefinitionError {
        self.error(key, format!("expected {expected}, found {} {found}", found.type_str()))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, DefinitionError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(key, "a string in quotes", other)),
        }
    }

    pub(super) fn required_text(&self, key: &str) -> Result<&'a str, DefinitionError> {
        self.text(key)?.ok_or_else(|| self.error(key, "is missing: a string is needed here"))
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, DefinitionError> {
        match self.table.get(key) {
            None => Ok(default),
            Some(Value::Boolean(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong_type(key, "true or false", other)),
        }
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<usize>, DefinitionError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::Integer(number)) if (1..=100).contains(number) => {
                Ok(Some(usize::try_from(*number).unwrap_or(1)))
            }
            Some(other) => Err(self.wrong_type(key, "a whole number from 1 to 100", other)),
        }
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, DefinitionError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(*number)),
            Some(other) => Err(self.wrong_type(key, "a whole number", other)),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, DefinitionError> {
        let list = match self.table.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(self.wrong_type(key, "a list of strings", other)),
        };
        list.iter()
            .enumerate()
            .map(|(place, item)| match item {
                Value::String(text) => Ok(text.clone()),
                other => Err(self.wrong_type(&format!("{key}[{place}]"), "a string in quotes", other)),
            })
            .collect()
    }

    /// One of a closed set of words.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, DefinitionError> {
        let Some(word) = self.text(key)? else { return Ok(None) };
        let known: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        match choices.iter().find(|(name, _)| *name == word) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => Err(self.error(key, format!("unknown value {word:?}{}", hint(word, &known)))),
        }
    }

    pub(super) fn child(&self, key: &str) -> Result<Option<DefinitionTable<'a>>, DefinitionError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(DefinitionTable { file: self.file, path: self.path_of(key), table })),
            Some(other) => Err(self.wrong_type(key, "a table", other)),
        }
    }

    /// The tables of a list, each with its place, counted from 1.
    pub(super) fn children(&self, key: &str) -> Result<Vec<DefinitionTable<'a>>, DefinitionError> {
        let list = match self.table.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(self.wrong_type(key, "a list of tables", other)),
        };
        list.iter()
            .enumerate()
            .map(|(place, item)| {
                let name = format!("{key}[{}]", place + 1);
                match item {
                    Value::Table(table) => Ok(DefinitionTable { file: self.file, path: self.path_of(&name), table }),
                    other => Err(self.wrong_type(&name, "a table", other)),
                }
            })
            .collect()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }
}

/// "; did you mean …? Valid are …" for a word that is not known.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    let near = known.iter().map(|name| (strsim::jaro_winkler(word, name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    let suggestion = match near {
        Some((likeness, name)) if likeness > 0.75 => format!("; did you mean `{name}`?"),
        _ => ".".to_owned(),
    };
    format!("{suggestion} Valid are: {}", known.join(", "))
}
