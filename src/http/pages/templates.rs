//! Fills in templates. All values are escaped; a name without a value is an error. Messages are functions: `t("id", name=…)` gives text,
//! `h("id", name=…)` a message of ours with markup in it and its values escaped.

use std::{borrow::Cow, fmt::Write as _, io, sync::LazyLock};

use fluent_bundle::{FluentArgs, FluentValue};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, escape_formatter,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde, Value, ValueKind},
};
use serde::Serialize;

use super::{files, language::Language, messages, wording};
use crate::http::Problem;

/// The largest page, bytes: it holds a whole form that is shown again, even with each byte written as six.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Steps that a page may take: enough for thousands of rows.
const FUEL: u64 = 20_000_000;

static ENGLISH: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Language::English));
static GERMAN: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Language::German));

fn environment(language: Language) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    // Lines of block tags leave no empty lines.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // The default formatter writes each slash of an address as five characters.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => out.write_str(&escaped(text)).map_err(Error::from),
        _ => escape_formatter(out, state, value),
    });
    environment.add_function("t", move |id: &str, given: Kwargs| {
        let given = arguments(&given, |text| text)?;
        message(language, id, &given)
    });
    environment.add_function("h", move |id: &str, given: Kwargs| {
        let given = arguments(&given, |text| escaped(&text).into_owned())?;
        message(language, id, &given).map(Value::from_safe_string)
    });
    environment.add_function("reason", move |form: Value| {
        let (code, reason) = (form.get_attr("code")?, form.get_attr("reason")?);
        let id = format!("wrong-{}", code.as_str().unwrap_or_default());
        // A problem's detail is in English, as the interface is. Only kinds with a fixed text are translated.
        let said = messages::say(language, &id, &FluentArgs::new());
        Ok(said.unwrap_or_else(|| reason.as_str().unwrap_or_default().to_owned()))
    });
    environment.add_function("said", move |flash: Value| {
        let (id, with) = (flash.get_attr("id")?, flash.get_attr("with")?);
        let mut given = FluentArgs::new();
        if let Ok(names) = with.try_iter() {
            for name in names {
                let value = with.get_item(&name)?;
                given.set(name.to_string(), filled(&value, |text| text));
            }
        }
        message(language, id.as_str().unwrap_or_default(), &given)
    });
    environment.add_filter("number", move |value: Value| written(&value, language));
    environment.add_filter("bytes", move |value: f64| wording::bytes(value, language));
    environment.add_filter("day", move |value: &str| day(value, language));
    environment.add_filter("moment", move |value: Value| moment(&value, language));
    for (name, text) in files::templates() {
        if let Err(error) = environment.add_template(name, text) {
            tracing::error!(name, %error, "a template has a mistake");
        }
    }
    environment
}

fn message(language: Language, id: &str, given: &FluentArgs<'_>) -> Result<String, Error> {
    let missing = || Error::new(ErrorKind::InvalidOperation, format!("the message {id} cannot be said"));
    messages::say(language, id, given).ok_or_else(missing)
}

fn arguments(given: &Kwargs, text: impl Fn(String) -> String) -> Result<FluentArgs<'static>, Error> {
    let mut arguments = FluentArgs::new();
    for name in given.args() {
        let value: Value = given.get(name)?;
        arguments.set(name.to_owned(), filled(&value, &text));
    }
    Ok(arguments)
}

/// A value for a message.
fn filled(value: &Value, text: impl Fn(String) -> String) -> FluentValue<'static> {
    match f64::try_from(value.clone()) {
        Ok(number) if value.kind() == ValueKind::Number => FluentValue::from(number),
        // Safe values, such as a moment, are markup of ours.
        _ if value.is_safe() => FluentValue::from(value.to_string()),
        _ => FluentValue::from(text(value.to_string())),
    }
}

fn written(value: &Value, language: Language) -> String {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => String::new(),
        ValueKind::Number if value.is_integer() => wording::decimal(&value.to_string(), language),
        ValueKind::Number => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), |n| wording::number(n, language))
        }
        _ => wording::decimal(&value.to_string(), language),
    }
}

/// A day, given as `2026-11-29`.
fn day(text: &str, language: Language) -> Value {
    match text.parse::<Date>() {
        Ok(date) => time(text, &wording::day(date, language), ""),
        Err(_) => Value::from(text),
    }
}

/// A moment, given as RFC 3339 text. The script shows it in the reader's own time.
fn moment(value: &Value, language: Language) -> Value {
    match value.as_str().map(str::parse::<Timestamp>) {
        Some(Ok(at)) => {
            let exact = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            time(&exact, &wording::moment(at, language), " data-local")
        }
        _ if value.is_none() => Value::from(""),
        _ => value.clone(),
    }
}

fn time(exact: &str, shown: &str, more: &str) -> Value {
    Value::from_safe_string(format!("<time datetime=\"{}\"{more}>{}</time>", escaped(exact), escaped(shown)))
}

/// Text escaped for HTML, also within quotes.
pub(in crate::http) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut markup = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => markup.push_str("&amp;"),
            '<' => markup.push_str("&lt;"),
            '>' => markup.push_str("&gt;"),
            '"' => markup.push_str("&quot;"),
            '\'' => markup.push_str("&#39;"),
            c => markup.push(c),
        }
    }
    Cow::Owned(markup)
}

/// Renders a page.
///
/// # Errors
/// A fault of ours: a template with a mistake. The error names the template and the line, and no value.
pub(super) fn render<C: Serialize>(language: Language, name: &str, context: &C) -> Result<String, Problem> {
    let environment = match language {
        Language::English => &*ENGLISH,
        Language::German => &*GERMAN,
    };
    let mut page = BoundedPage(Vec::new());
    let rendered = environment.get_template(name).and_then(|template| {
        template.render_captured_to(Serde(context), &mut page)?;
        Ok(())
    });
    rendered.map_err(|error| Problem::internal(cause(name, &error)))?;
    String::from_utf8(page.0).map_err(Problem::internal)
}

fn cause(name: &str, error: &Error) -> String {
    let mut text = format!("the page {name} cannot be made: {}", error.kind());
    if let (Some(place), Some(line)) = (error.name(), error.line()) {
        // Writing into a text does not fail.
        write!(text, " in {place}, line {line}").ok();
    }
    if matches!(error.kind(), ErrorKind::InvalidOperation | ErrorKind::SyntaxError | ErrorKind::TemplateNotFound) {
        write!(text, ": {}", error.detail().unwrap_or_default()).ok();
    }
    text
}

/// The functions that templates call.
const FUNCTIONS: [&str; 4] = ["t", "h", "reason", "said"];

/// The template function that a page could not call any more, because a value of the page has its name.
pub(super) fn hidden_by(given: &serde_json::Value) -> Option<&'static str> {
    FUNCTIONS.into_iter().find(|name| given.get(name).is_some())
}

/// The output of a template, up to [`PAGE_BYTES_MAX`].
struct BoundedPage(Vec<u8>);

impl io::Write for BoundedPage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > PAGE_BYTES_MAX {
            return Err(io::Error::other("too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_read() {
        for language in Language::ALL {
            let mut environment = environment(language);
            for (name, text) in files::templates() {
                environment.add_template(name, text).unwrap_or_else(|error| panic!("{error:#}"));
            }
        }
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
        let mut environment = environment(Language::English);
        environment.add_template("x.html", "{{ x }}|{{ h(\"sign-in-locked-out\", contact=x) }}").unwrap();
        let made = environment.get_template("x.html").unwrap().render(minijinja::context!(x => "<i>'")).unwrap();
        assert!(!made.contains("<i>"), "{made}");
        assert!(made.contains("&lt;i&gt;"), "{made}");
    }
}
