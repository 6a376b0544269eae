//! Writes a definition as the text that a person would write for it.
//!
//! Omitted entries are those with default values. The text's comments and layout are lost, as well as the descriptions of unpublished
//! columns and whether they are personal.

use super::{
    Case, Column, ColumnType, DATE_ORDERS, DateOrder, Definition, Dialect, Extract, Field, FieldOrigin, Fold, Guard,
    Index, JoinPart, Quote, SelfDescription,
    about::hides,
    parse::{CASES, EXTRACTS, FOLDS},
    source::fill_down_place,
};

/// The width of a line before a text or list continues in the next, bytes.
const WIDTH: usize = 120;
/// The comment before the first unpublished column.
const NOT_PUBLISHED: &str = "\
# Columns with `publish = false` are recognised and dropped. Their descriptions, and whether they are personal, are not
# kept: say so again where you publish one.
";

impl Definition {
    /// Writes the definition as a person would. Reading it back gives the same definition, but for comments and what it said of unpublished
    /// columns.
    pub fn to_toml(&self) -> String {
        definition(self)
    }
}

fn definition(of: &Definition) -> String {
    let mut text = TomlText(String::new());
    head(&mut text, of);
    about(&mut text, &of.about);
    key(&mut text, of);
    let mut is_told = false;
    for field in &of.source.fields {
        if field.target.is_none() && !is_told {
            is_told = true;
            text.0.push('\n');
            text.0.push_str(NOT_PUBLISHED);
        } else {
            text.0.push('\n');
        }
        text.line("[[column]]");
        column(&mut text, of, field);
    }
    of.indexes.iter().for_each(|declared| index(&mut text, declared));
    guard(&mut text, of.guard);
    text.0
}

fn head(text: &mut TomlText, of: &Definition) {
    let source = &of.source;
    text.text("name", &of.name);
    // Written even if it equals the name: people change it first.
    text.text("title", &of.title);
    if of.column_name(of.record_id) != "record_id" {
        text.text("record_id", of.column_name(of.record_id));
    }
    if let Some(place) = of.load_date {
        text.text("load_date", of.column_name(place));
    }
    if source.date_order != DateOrder::default() {
        text.text("date_order", word_of(&DATE_ORDERS, source.date_order));
    }
    dialect(text, &source.dialect);
    text.list("blanks", &source.blanks);
    text.list("stop_at", &source.dialect.stop_at);
    let filled = source.fields.iter().enumerate().filter(|(_, field)| field.fill_down);
    text.list("fill_down", &filled.map(|(place, field)| filled_name(&source.fields, place, field)).collect::<Vec<_>>());
}

/// The name by which `fill_down` lists a column: its own, or a header if another column bears the name.
fn filled_name<'d>(fields: &'d [Field], place: usize, field: &'d Field) -> &'d str {
    let headers: &[String] = match &field.origin {
        FieldOrigin::Header { headers, .. } => headers,
        _ => &[],
    };
    let mut headers = headers.iter().map(String::as_str);
    let is_found = |name: &str| fill_down_place(fields, name) == Some(place);
    if is_found(&field.name) { &field.name } else { headers.find(|name| is_found(name)).unwrap_or(&field.name) }
}

fn dialect(text: &mut TomlText, of: &Dialect) {
    match of.delimiter {
        Some(b'\t') => text.text("delimiter", "tab"),
        Some(byte) => text.text("delimiter", char::from(byte).encode_utf8(&mut [0; 4])),
        None => {}
    }
    match of.quote {
        Some(Quote::None) => text.text("quote", "none"),
        Some(Quote::Byte(byte)) => text.text("quote", char::from(byte).encode_utf8(&mut [0; 4])),
        None => {}
    }
    text.said("encoding", of.encoding.as_deref());
    text.said("sheet", of.sheet.as_deref());
    text.said("decimal", of.decimal.map(super::Mark::as_str));
    text.said("thousands", of.thousands.map(super::Mark::as_str));
    text.said("time_zone", of.time_zone.as_deref());
    if of.skip_rows > 0 {
        text.value("skip_rows", of.skip_rows);
    }
}

fn about(text: &mut TomlText, of: &SelfDescription) {
    if of.is_default() {
        return;
    }
    text.line("\n[about]");
    text.said("description", of.description.as_deref());
    text.said("licence", of.licence.as_deref());
    text.said("licence_url", of.licence_url.as_deref());
    text.said("publisher", of.publisher.as_deref());
    text.said("publisher_url", of.publisher_url.as_deref());
    text.said("contact", of.contact.as_deref());
    text.said("frequency", of.frequency.as_deref());
    text.said("homepage", of.homepage.as_deref());
    text.list("keywords", &of.keywords);
    text.said("access", of.access.as_deref());
    text.flag("public", of.public);
}

fn key(text: &mut TomlText, of: &Definition) {
    let format = &of.source.key_format;
    text.line("\n[key]");
    text.text("column", of.column_name(of.key));
    if !format.prefix.is_empty() {
        text.text("prefix", &format.prefix);
    }
    text.list("strip", &format.strip);
    if format.fold != Fold::default() {
        text.text("fold", word_of(&FOLDS, format.fold));
    }
}

fn column(text: &mut TomlText, of: &Definition, field: &Field) {
    text.text("name", &field.name);
    if field.kind != ColumnType::Text {
        text.text("type", field.kind.as_str());
    }
    let published = field.target.and_then(|place| of.columns.get(place));
    let Column { description, personal, searchable, .. } = published.unwrap_or(&NOTHING_SAID);
    if !description.is_empty() {
        text.text("description", description);
    }
    match &field.origin {
        FieldOrigin::Header { headers, occurrence, extract } => {
            text.list("headers", headers);
            if *occurrence != 1 {
                text.value("occurrence", occurrence);
            }
            text.said("extract", extract.map(|extract: Extract| word_of(&EXTRACTS, extract)));
        }
        FieldOrigin::Join { parts } => {
            text.line("join = [");
            parts.iter().for_each(|part| text.line(&format!("    {{ {} }},", joined(part, &of.source.fields))));
            text.line("]");
        }
        FieldOrigin::Coordinates { latitude, longitude } => {
            let name = |place: &usize| of.source.fields.get(*place).map_or("", |field| field.name.as_str());
            text.text("latitude", name(latitude));
            text.text("longitude", name(longitude));
        }
        FieldOrigin::Import => text.flag("import", true),
    }
    // The key is always required.
    text.flag("required", field.required && field.target != Some(of.key));
    text.said("default", field.default.as_deref());
    text.said("date_order", field.date_order.map(|order| word_of(&DATE_ORDERS, order)));
    if field.fold != Fold::default() {
        text.text("fold", word_of(&FOLDS, field.fold));
    }
    text.list("blanks", &field.blanks);
    text.flag("personal", *personal);
    text.flag("searchable", *searchable);
    if field.target.is_none() {
        text.value("publish", false);
    }
}

/// For an unpublished column nothing else is known.
static NOTHING_SAID: Column = Column {
    name: String::new(),
    kind: ColumnType::Text,
    description: String::new(),
    personal: false,
    searchable: false,
};

fn joined(part: &JoinPart, fields: &[Field]) -> String {
    let name = fields.get(part.field).map_or("", |field| field.name.as_str());
    let mut written = vec![format!("column = {}", quoted(name))];
    if part.before != " " {
        written.push(format!("before = {}", quoted(&part.before)));
    }
    if !part.prefix.is_empty() {
        written.push(format!("prefix = {}", quoted(&part.prefix)));
    }
    if part.case != Case::default() {
        written.push(format!("case = {}", quoted(word_of(&CASES, part.case))));
    }
    if !part.omit.is_empty() {
        let omit: Vec<String> = part.omit.iter().map(|text| quoted(text)).collect();
        written.push(format!("omit = [{}]", omit.join(", ")));
    }
    written.join(", ")
}

fn index(text: &mut TomlText, of: &Index) {
    text.line("\n[[index]]");
    text.text("partition", &of.partition);
    text.said("sort", of.sort.as_deref());
}

fn guard(text: &mut TomlText, of: Guard) {
    if of.is_default() {
        return;
    }
    text.line("\n[guard]");
    let limits = [("removed_max", of.removed_max), ("rejected_max", of.rejected_max), ("nulled_max", of.nulled_max)];
    for (key, limit) in limits {
        if let Some(percent) = limit {
            text.value(key, percent);
        }
    }
}

/// The word that definitions use for a value of a closed set.
fn word_of<T: Copy + PartialEq>(words: &[(&'static str, T)], meant: T) -> &'static str {
    words.iter().find(|(_, one)| *one == meant).map_or("", |(word, _)| word)
}

/// The text being written.
struct TomlText(String);

impl TomlText {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn value(&mut self, key: &str, value: impl std::fmt::Display) {
        self.line(&format!("{key} = {value}"));
    }

    /// A flag, written only if true.
    fn flag(&mut self, key: &str, flag: bool) {
        if flag {
            self.value(key, flag);
        }
    }

    fn said(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        let line = format!("{key} = {}", quoted(text));
        if text.contains('\n') || line.len() > WIDTH {
            self.value(key, lines(text));
        } else {
            self.line(&line);
        }
    }

    fn list<T: AsRef<str>>(&mut self, key: &str, texts: &[T]) {
        if texts.is_empty() {
            return;
        }
        let texts: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
        let line = format!("{key} = [{}]", texts.join(", "));
        if line.len() <= WIDTH {
            return self.line(&line);
        }
        self.line(&format!("{key} = ["));
        texts.iter().for_each(|text| self.line(&format!("    {text},")));
        self.line("]");
    }
}

/// A text in one line between quotation marks. Characters that do not show are written by their numbers.
fn quoted(text: &str) -> String {
    let is_plain = !text.chars().any(hides);
    if is_plain && text.contains(['"', '\\']) && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\n' => quoted.push_str("\\n"),
            letter => escape(&mut quoted, letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A text in lines of its own. A long line is broken at the end of a word; the break is no part of the text.
fn lines(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut before = '\n';
    while let Some(letter) = letters.next() {
        match letter {
            // Three quotation marks, or one before the closing ones, would end the text.
            '"' if before == '"' || letters.peek().is_none() => escaped.push_str("\\\""),
            '"' | '\n' => escaped.push(letter),
            letter => escape(&mut escaped, letter),
        }
        before = letter;
    }
    let mut out = String::from("\"\"\"\n");
    for (place, line) in escaped.split('\n').enumerate() {
        if place > 0 {
            out.push('\n');
        }
        let mut width = 0;
        for word in line.split_inclusive(' ') {
            // Blanks at the beginning of a continued line would be dropped.
            if width > 0 && width + word.len() > WIDTH && !word.starts_with(' ') {
                out.push_str("\\\n");
                width = 0;
            }
            out.push_str(word);
            width += word.len();
        }
    }
    out.push_str("\"\"\"");
    out
}

fn escape(out: &mut String, letter: char) {
    match letter {
        '\\' => out.push_str("\\\\"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        letter if hides(letter) => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
        letter => out.push(letter),
    }
}

#[cfg(test)]
mod tests;
