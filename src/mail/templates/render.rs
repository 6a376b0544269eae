//! Fills in templates, within bounds.

use std::{borrow::Cow, io, path::PathBuf};

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, value::Serde};
use serde::Serialize;

use super::{BUILT_IN, BuiltIn, LAYOUT, PARTS};

/// The largest template, bytes.
pub(super) const TEMPLATE_BYTES_MAX: u64 = 64 * 1024;
/// The largest part that a template may produce, bytes.
const PART_BYTES_MAX: usize = 1024 * 1024;
/// Steps that a template may take.
const FUEL: u64 = 1_000_000;
/// The longest subject, characters: a length that mail systems accept.
const SUBJECT_CHARS_MAX: usize = 200;

/// A template that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the mail template {place}{} cannot be filled in: {reason}; {}", .line.map(|line| format!(", line {line},")).unwrap_or_default(), self.advice())]
pub struct TemplateError {
    place: String,
    line: Option<usize>,
    /// The reason, without any filled-in value.
    reason: String,
}

impl TemplateError {
    pub(super) fn no_mail(name: &str) -> Self {
        Self { place: format!("{name} ({BUILT_IN})"), line: None, reason: "there is no such mail".to_owned() }
    }

    fn advice(&self) -> &'static str {
        if self.place.ends_with(')') {
            "please report this"
        } else {
            "`permitd config mails` tells what can be used in it"
        }
    }

    /// The line of the mistake, where it is known.
    pub(super) fn line(&self) -> Option<usize> {
        self.line
    }

    /// The reason.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

/// A template, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct TemplateSource {
    /// Its name, such as `invitation/body.txt`.
    pub(super) name: String,
    /// Its file; `None` for a built-in one.
    pub(super) file: Option<PathBuf>,
    /// Its text.
    pub(super) text: Cow<'static, str>,
}

impl TemplateSource {
    /// A part of a built-in mail.
    pub(super) fn built_in(mail: &BuiltIn, part: usize) -> Self {
        let (name, text) = (PARTS.get(part).unwrap_or(&""), mail.parts.get(part).copied().unwrap_or_default());
        Self { name: format!("{}/{name}", mail.name), file: None, text: Cow::Borrowed(text) }
    }

    /// Where it comes from.
    pub(super) fn place(&self) -> String {
        self.file.as_ref().map_or_else(|| BUILT_IN.to_owned(), |file| file.display().to_string())
    }

    /// Its file, or the name that its file would have.
    pub(super) fn file_name(&self) -> String {
        self.file.as_ref().map_or_else(|| self.name.clone(), |file| file.display().to_string())
    }

    /// The environment with the parsed template. It sees the frame, and no other template.
    pub(super) fn environment(&self) -> Result<Environment<'_>, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(FUEL));
        let escape = |name: &str| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None };
        environment.set_auto_escape_callback(escape);
        environment.add_template(LAYOUT.0, LAYOUT.1).map_err(|error| self.failed(&error))?;
        let added = environment.add_template(&self.name, &self.text);
        added.map_err(|error| self.failed(&error))?;
        Ok(environment)
    }

    pub(super) fn render<C: Serialize>(&self, context: &C) -> Result<String, TemplateError> {
        let environment = self.environment()?;
        let mut made = BoundedPart(Vec::new());
        let template = environment.get_template(&self.name).map_err(|error| self.failed(&error))?;
        let rendered = template.render_captured_to(Serde(context), &mut made);
        rendered.map_err(|error| self.failed(&error))?;
        String::from_utf8(made.0).map_err(|_| self.wrong(None, "it makes no text".to_owned()))
    }

    fn wrong(&self, line: Option<usize>, reason: String) -> TemplateError {
        let named = || format!("{} ({BUILT_IN})", self.name);
        TemplateError { place: self.file.as_ref().map_or_else(named, |file| file.display().to_string()), line, reason }
    }

    /// Describes an error without any filled-in value.
    fn failed(&self, error: &minijinja::Error) -> TemplateError {
        let reason = match error.kind() {
            // A parser's words concern only the template.
            ErrorKind::SyntaxError => format!("syntax error: {}", error.detail().unwrap_or("it cannot be read")),
            ErrorKind::UndefinedError => {
                "a variable is not there, or may be missing: {% if … %} asks for it".to_owned()
            }
            ErrorKind::TemplateNotFound => format!("there is no such template: {} is the only one", LAYOUT.0),
            ErrorKind::UnknownFilter => "there is no such filter".to_owned(),
            ErrorKind::UnknownFunction => "there is no such function".to_owned(),
            ErrorKind::UnknownTest => "there is no such test".to_owned(),
            ErrorKind::UnknownMethod => "there is no such method".to_owned(),
            ErrorKind::OutOfFuel => "it does not come to an end".to_owned(),
            ErrorKind::WriteFailure => format!("it makes more than {PART_BYTES_MAX} bytes"),
            kind => kind.to_string(),
        };
        self.wrong(error.line(), reason)
    }
}

/// A template's output, up to [`PART_BYTES_MAX`].
struct BoundedPart(Vec<u8>);

impl io::Write for BoundedPart {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > PART_BYTES_MAX {
            return Err(io::Error::other("too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A subject in one line: a line break in a name must not reach the headers, nor a long name stop the mail.
pub(super) fn in_one_line(subject: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let line = subject.split(is_break).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SUBJECT_CHARS_MAX) {
        Some((end, _)) => line.get(..end).unwrap_or_default().to_owned(),
        None => line,
    }
}
