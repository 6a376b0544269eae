//! Tries templates with examples, and reports their variables and mistakes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    MAILS, PARTS, Rendered, Templates,
    error::{Mistake, TemplatesError},
    render::{TemplateError, TemplateSource, in_one_line},
};
use crate::dataset::suggest;

/// A variable of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name, such as `limits.burst`, or `datasets[].title` for a list's entries.
    pub name: String,
    /// An example of its value.
    pub example: String,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A mail as its templates are now.
#[derive(Debug, Serialize)]
pub struct CheckedMail {
    /// Its name.
    pub mail: &'static str,
    /// Its description.
    pub about: &'static str,
    /// The variables that its templates can use.
    pub variables: Vec<Variable>,
    /// Where each part comes from.
    pub parts: BTreeMap<&'static str, String>,
    /// The mail with the first example; `None` when a template has a mistake.
    #[serde(serialize_with = "shown")]
    pub example: Option<Rendered>,
}

fn shown<S: serde::Serializer>(example: &Option<Rendered>, to: S) -> Result<S::Ok, S::Error> {
    let parts = example
        .as_ref()
        .map(|Rendered { subject, text, html }| serde_json::json!({ "subject": subject, "text": text, "html": html }));
    parts.serialize(to)
}

/// All mails with the templates of a directory, if one is named, and all mistakes in these.
///
/// # Errors
/// When the directory cannot be read.
pub fn check(folder: Option<&std::path::Path>) -> Result<(Vec<CheckedMail>, Vec<Mistake>), TemplatesError> {
    let (templates, mut found) = match folder {
        Some(folder) => Templates::read(folder)?,
        None => (Templates::default(), Vec::new()),
    };
    found.extend(mistakes(&templates));
    let checked = MAILS.iter().zip(templates.mails.iter()).map(|(mail, parts)| {
        let examples = (mail.examples)();
        CheckedMail {
            mail: mail.name,
            about: mail.about.trim(),
            variables: variables(&examples),
            parts: PARTS.into_iter().zip(parts.iter().map(TemplateSource::place)).collect(),
            example: examples.first().and_then(|example| templates.render(mail.name, example).ok()),
        }
    });
    Ok((checked.collect(), found))
}

/// The first mistake of each template.
pub(super) fn mistakes(templates: &Templates) -> Vec<Mistake> {
    let mails = MAILS.iter().zip(templates.mails.iter());
    let of_mail = |(mail, parts): (&super::BuiltIn, &[TemplateSource; 3])| {
        let examples = (mail.examples)();
        parts.iter().filter_map(|part| mistake(part, &examples)).collect::<Vec<_>>()
    };
    mails.flat_map(of_mail).collect()
}

fn mistake(source: &TemplateSource, examples: &[Value]) -> Option<Mistake> {
    let wrong = |line, reason: String| Some(Mistake { file: source.file_name(), line, reason });
    let told = |error: TemplateError| wrong(error.line(), error.reason().to_owned());
    let environment = match source.environment() {
        Ok(environment) => environment,
        Err(error) => return told(error),
    };
    let whole = united(examples);
    let used = environment.get_template(&source.name).map(|template| template.undeclared_variables(true));
    let mut unknown: Vec<String> =
        used.into_iter().flatten().filter(|name| !is_known(&whole, name) && !is_global(&environment, name)).collect();
    unknown.sort();
    if let Some(name) = unknown.first() {
        let names: Vec<String> = variables(examples).into_iter().map(|variable| variable.name).collect();
        let meant = suggest::nearest(name, names.iter().map(String::as_str));
        let meant = meant.map(|meant| format!(", perhaps {meant} is meant")).unwrap_or_default();
        return wrong(
            line_of(&source.text, name),
            format!("there is no variable {name}{meant}; there are {}", names.join(", ")),
        );
    }
    for example in examples {
        match source.render(example) {
            Ok(made) if source.name.ends_with("subject.txt") && in_one_line(&made).is_empty() => {
                return wrong(None, "the subject is empty".to_owned());
            }
            Ok(made) if made.trim().is_empty() => return wrong(None, "the part is empty".to_owned()),
            Ok(_) => {}
            Err(error) => return told(error),
        }
    }
    None
}

/// Whether the examples have the variable, or the value that it is a member of.
fn is_known(example: &Value, name: &str) -> bool {
    let mut at = example;
    for field in name.split('.') {
        match at {
            Value::Object(fields) => match fields.get(field) {
                Some(value) => at = value,
                None => return false,
            },
            // It may be a method, such as of a text or a list: rendering shows whether it exists.
            _ => return true,
        }
    }
    true
}

fn is_global(environment: &minijinja::Environment<'_>, name: &str) -> bool {
    environment.globals().any(|(global, _)| name.split('.').next() == Some(global))
}

/// The first line on which a variable stands.
fn line_of(text: &str, name: &str) -> Option<usize> {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let stands = |line: &str| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (line.get(..at).unwrap_or_default(), line.get(at + name.len()..).unwrap_or_default());
            !before.ends_with(is_of_word) && !after.starts_with(is_of_word)
        })
    };
    text.lines().position(stands).map(|line| line + 1)
}

/// All members that occur in any of the examples.
fn united(examples: &[Value]) -> Value {
    let mut whole = serde_json::Map::new();
    for (name, value) in examples.iter().filter_map(Value::as_object).flatten() {
        whole.entry(name).or_insert_with(|| value.clone());
    }
    Value::Object(whole)
}

fn variables(examples: &[Value]) -> Vec<Variable> {
    let mut found = Vec::new();
    collect(&united(examples), "", &mut found);
    for variable in &mut found {
        // The entries of a list all have the same members; only the list itself may be missing.
        let path = variable.name.split('[').next().unwrap_or_default();
        variable.optional = examples.iter().any(|example| !is_known(example, path));
    }
    found
}

fn collect(value: &Value, name: &str, found: &mut Vec<Variable>) {
    let join = |field: &str| if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| collect(value, &join(field), found)),
        Value::Array(items) => items.iter().take(1).for_each(|item| collect(item, &format!("{name}[]"), found)),
        value => {
            let example = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            found.push(Variable { name: name.to_owned(), example, optional: false });
        }
    }
}
