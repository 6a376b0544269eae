//! Parses TOML into a checked definition.

use toml::Table;

use super::{
    Case, Column, ColumnType, DATE_ORDERS, Definition, DefinitionError, Dialect, Extract, Field, FieldOrigin, Fold,
    Guard, Index, JoinPart, KeyFormat, RecordIdRule, Source,
    about::about,
    node::{DefinitionTable, hint},
    normal_header,
    source::fill_down_column,
};
use crate::dataset::Value;

/// The longest definition that is read.
pub const DEFINITION_BYTES_MAX: usize = 1 << 20;
/// The most columns a definition may declare.
pub const COLUMNS_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 64;
const PARTS_MAX: usize = 32;
const INDEXES_MAX: usize = 32;

/// Query parameters that are not columns, and so cannot be column names.
pub const RESERVED_COLUMNS: [&str; 14] = crate::dataset::query::RESERVED;
/// Paths that are not data sets, and so cannot be data set names.
const RESERVED_DATASETS: [&str; 23] = [
    "admin",
    "checkpoints",
    "datasets",
    "dead-letters",
    "docs",
    "events",
    "health",
    "home",
    "imports",
    "invitations",
    "keys",
    "leaks",
    "links",
    "mail",
    "me",
    "metrics",
    "openapi",
    "password-resets",
    "plans",
    "problems",
    "sessions",
    "sign-in",
    "users",
];

pub(super) const ROOT: [&str; 21] = [
    "name",
    "title",
    "about",
    "key",
    "record_id",
    "load_date",
    "date_order",
    "blanks",
    "column",
    "index",
    "guard",
    "delimiter",
    "quote",
    "encoding",
    "sheet",
    "decimal",
    "thousands",
    "time_zone",
    "skip_rows",
    "stop_at",
    "fill_down",
];
pub(super) const GUARD: [&str; 3] = ["removed_max", "rejected_max", "nulled_max"];
pub(super) const KEY: [&str; 4] = ["column", "prefix", "strip", "fold"];
pub(super) const COLUMN: [&str; 18] = [
    "name",
    "type",
    "description",
    "headers",
    "occurrence",
    "extract",
    "join",
    "latitude",
    "longitude",
    "required",
    "default",
    "fold",
    "blanks",
    "publish",
    "personal",
    "searchable",
    "import",
    "date_order",
];
pub(super) const PART: [&str; 5] = ["column", "before", "prefix", "case", "omit"];
pub(super) const INDEX: [&str; 2] = ["partition", "sort"];

pub(super) const FOLDS: [(&str, Fold); 3] = [("none", Fold::None), ("lower", Fold::Lower), ("upper", Fold::Upper)];
pub(super) const CASES: [(&str, Case); 4] =
    [("keep", Case::Keep), ("lower", Case::Lower), ("upper", Case::Upper), ("title", Case::Title)];
pub(super) const EXTRACTS: [(&str, Extract); 2] = [("latitude", Extract::Latitude), ("longitude", Extract::Longitude)];

impl Definition {
    /// Reads a definition. `file` is only used in messages, which name the file, the key path and the valid values.
    pub fn from_toml(text: &str, file: &str) -> Result<Self, DefinitionError> {
        definition(text, file)
    }

    /// Checks that a text can be the name of a data set.
    ///
    /// # Errors
    /// The reason why it cannot, to follow the name.
    pub fn check_name(name: &str) -> Result<(), String> {
        check_name(name)
    }
}

fn definition(text: &str, file: &str) -> Result<Definition, DefinitionError> {
    let whole_file = |path: String, reason: String| DefinitionError { file: file.to_owned(), path, reason };
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(whole_file("the file".into(), format!("is longer than {DEFINITION_BYTES_MAX} bytes")));
    }
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        whole_file(format!("line {line}"), format!("is not TOML: {}", error.message()))
    })?;
    let root = DefinitionTable::root(file, &table);
    root.only(&ROOT)?;

    let name = dataset_name(&root)?;
    let (columns, mut fields) = columns(&root)?;
    let key_node = root.child("key")?.ok_or_else(|| {
        root.error("key", "is missing: write a [key] table with `column`, the column that records are found by")
    })?;
    let (key, key_format) = key(&key_node, &columns)?;
    let (record_id, record_id_rule) = record_id(&root, &columns, &fields)?;
    let load_date = load_date(&root, &columns, &fields)?;

    for field in &mut fields {
        // A record without its key, or without the id that its file provides, could not be addressed.
        if field.target == Some(key) || (field.target == Some(record_id) && record_id_rule == RecordIdRule::Source) {
            field.required = true;
        }
        let filled_by_import = field.target == load_date && load_date.is_some()
            // A row without a key of its own is identified by its place in the file.
            || field.target == Some(key)
            || (field.target == Some(record_id) && record_id_rule == RecordIdRule::Ordinal);
        if field.origin == FieldOrigin::Import && !filled_by_import {
            return Err(root.error(
                &format!("column {:?}", field.name),
                "only the load date, an ordinal record id and a key that counts the rows of the file can have `import = true`",
            ));
        }
    }
    fill_down(&root, &mut fields)?;
    let source = Source {
        key_format,
        date_order: root.choice("date_order", &DATE_ORDERS)?.unwrap_or_default(),
        blanks: root.texts("blanks")?,
        fields,
        dialect: dialect(&root)?,
    };
    check_headers(&root, &source)?;
    let indexes = indexes(&root, &columns)?;
    let title = root.text("title")?.unwrap_or(&name).to_owned();
    let guard = guard(&root)?;
    let about = about(&root)?;
    Ok(Definition { name, title, columns, key, record_id, record_id_rule, load_date, indexes, source, guard, about })
}

/// Reads the limits of the guard.
fn guard(root: &DefinitionTable<'_>) -> Result<Guard, DefinitionError> {
    let Some(node) = root.child("guard")? else { return Ok(Guard::default()) };
    node.only(&GUARD)?;
    let percent = |key: &str| {
        let wrong = || node.error(key, "expected a whole number of percent, from 0 to 100");
        let number = node.integer(key)?;
        number.map(|number| u32::try_from(number).ok().filter(|n| *n <= 100).ok_or_else(wrong)).transpose()
    };
    let [removed_max, rejected_max, nulled_max] = GUARD.map(percent);
    Ok(Guard { removed_max: removed_max?, rejected_max: rejected_max?, nulled_max: nulled_max? })
}

fn dialect(root: &DefinitionTable<'_>) -> Result<Dialect, DefinitionError> {
    let mut dialect = Dialect::default();
    for key in Dialect::KEYS {
        if let Some(text) = root.text(key)? {
            dialect.say(key, text).map_err(|reason| root.error(key, reason))?;
        }
    }
    if let Some(rows) = root.integer("skip_rows")? {
        dialect.say_skip_rows(rows).map_err(|reason| root.error("skip_rows", reason))?;
    }
    dialect.say_stop_at(root.texts("stop_at")?).map_err(|reason| root.error("stop_at", reason))?;
    let mark = if root.has("thousands") { "thousands" } else { "decimal" };
    dialect.check().map_err(|reason| root.error(mark, reason))?;
    Ok(dialect)
}

/// Marks the columns to be filled down: blank cells take the value above them.
fn fill_down(root: &DefinitionTable<'_>, fields: &mut [Field]) -> Result<(), DefinitionError> {
    for name in root.texts("fill_down")? {
        fill_down_column(fields, &name).map_err(|reason| root.error("fill_down", reason))?;
    }
    Ok(())
}

fn dataset_name(root: &DefinitionTable<'_>) -> Result<String, DefinitionError> {
    let name = root.required_text("name")?;
    check_name(name).map_err(|reason| root.error("name", format!("{name:?} {reason}")))?;
    Ok(name.to_owned())
}

/// The reason why a text cannot be the name of a data set.
fn check_name(name: &str) -> Result<(), String> {
    if !is_snake_case(name) {
        return Err(format!(
            "is not a name: use lower-case letters, digits and `_`, a letter first, at most {NAME_BYTES_MAX}"
        ));
    }
    match RESERVED_DATASETS.contains(&name) {
        true => Err(format!("is the path of something else; reserved are: {}", RESERVED_DATASETS.join(", "))),
        false => Ok(()),
    }
}

fn is_snake_case(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.contains("__")
        && !name.ends_with('_')
}

/// What a join needs to know of the columns it can use: their names, and which of them exist before the join.
struct Declared<'a> {
    name: &'a str,
    joined: bool,
    import: bool,
    /// Whether it is read from a column of numbers.
    is_number: bool,
}

fn columns(root: &DefinitionTable<'_>) -> Result<(Vec<Column>, Vec<Field>), DefinitionError> {
    let nodes = root.children("column")?;
    if nodes.is_empty() || nodes.len() > COLUMNS_MAX {
        return Err(root.error(
            "column",
            format!("has {} entries: from 1 to {COLUMNS_MAX} [[column]] tables are needed", nodes.len()),
        ));
    }
    let mut declared = Vec::with_capacity(nodes.len());
    for node in &nodes {
        let name = node.required_text("name")?;
        let is_number = node.has("headers") && node.text("type")? == Some(ColumnType::Number.as_str());
        // What is made of other columns is there after them.
        let joined = node.has("join") || node.has("latitude") || node.has("longitude");
        declared.push(Declared { name, joined, import: node.has("import"), is_number });
    }
    let mut columns: Vec<Column> = Vec::new();
    let mut fields: Vec<Field> = Vec::new();
    for node in &nodes {
        let (column, mut field) = column(node, fields.len(), &declared)?;
        if fields.iter().any(|other| other.name == field.name) {
            return Err(node.error("name", format!("{:?} is declared twice: names are unique", field.name)));
        }
        if node.flag("publish", true)? {
            field.target = Some(columns.len());
            columns.push(column);
        } else if field.origin == FieldOrigin::Import {
            return Err(node.error("publish", "a column that the import fills is always published"));
        }
        fields.push(field);
    }
    Ok((columns, fields))
}

fn column(
    node: &DefinitionTable<'_>,
    place: usize,
    declared: &[Declared<'_>],
) -> Result<(Column, Field), DefinitionError> {
    node.only(&COLUMN)?;
    let name = node.required_text("name")?;
    if !is_snake_case(name) || RESERVED_COLUMNS.contains(&name) {
        let reserved = RESERVED_COLUMNS.join(", ");
        return Err(node.error("name", format!("{name:?} is not a name: use lower-case letters, digits and single `_`, a letter first, at most {NAME_BYTES_MAX}, and none of: {reserved}")));
    }
    let kind = node.choice("type", &ColumnType::NAMES)?.unwrap_or(ColumnType::Text);
    let origin = origin(node, kind, place, declared)?;
    let fold = node.choice("fold", &FOLDS)?.unwrap_or_default();
    if fold != Fold::None && kind != ColumnType::Text {
        return Err(node.error("fold", "only text can be folded"));
    }
    let default = node.text("default")?.map(str::to_owned);
    if let Some(text) = &default
        && let Err(error) = Value::parse(kind, text)
    {
        return Err(node.error("default", format!("{text:?}: {error}")));
    }
    let description = node.text("description")?.unwrap_or_default().to_owned();
    let searchable = node.flag("searchable", false)?;
    if searchable && kind != ColumnType::Text {
        return Err(node.error("searchable", "only texts are searched for words"));
    }
    if searchable && !node.flag("publish", true)? {
        return Err(node.error("searchable", "only published columns are searched for words"));
    }
    let personal = node.flag("personal", false)?;
    let column = Column { name: name.to_owned(), kind, description, personal, searchable };
    let field = Field {
        name: name.to_owned(),
        kind,
        target: None,
        origin,
        required: node.flag("required", false)?,
        default,
        fold,
        blanks: node.texts("blanks")?,
        date_order: node.choice("date_order", &DATE_ORDERS)?,
        fill_down: false,
    };
    if field.date_order.is_some() && !matches!(kind, ColumnType::Date | ColumnType::Timestamp) {
        return Err(node.error("date_order", "only dates and timestamps have an order of day and month"));
    }
    Ok((column, field))
}

fn origin(
    node: &DefinitionTable<'_>,
    kind: ColumnType,
    place: usize,
    declared: &[Declared<'_>],
) -> Result<FieldOrigin, DefinitionError> {
    let headers = node.texts("headers")?;
    let parts = node.children("join")?;
    let import = node.flag("import", false)?;
    if node.has("latitude") || node.has("longitude") {
        return coordinates(node, kind, declared);
    }
    match (headers.is_empty(), parts.is_empty(), import) {
        (true, true, true) => Ok(FieldOrigin::Import),
        (true, false, false) => join(node, kind, &parts, place, declared),
        (false, true, false) => {
            if let Some(empty) = headers.iter().find(|header| normal_header(header).is_empty()) {
                return Err(node.error("headers", format!("{empty:?} is blank, so that no column can be recognised by it")));
            }
            let extract = node.choice("extract", &EXTRACTS)?;
            if extract.is_some() && kind != ColumnType::Number {
                return Err(node.error("extract", "a latitude or longitude needs `type = \"number\"`"));
            }
            Ok(FieldOrigin::Header { headers, occurrence: node.count("occurrence")?.unwrap_or(1), extract })
        }
        _ => Err(node.error(
            "headers",
            "exactly one of these says where the values come from: `headers` (a column of the file), `join` (other columns), `latitude` and `longitude` (two columns of numbers) or `import = true` (the import)",
        )),
    }
}

fn coordinates(
    node: &DefinitionTable<'_>,
    kind: ColumnType,
    declared: &[Declared<'_>],
) -> Result<FieldOrigin, DefinitionError> {
    if kind != ColumnType::Point {
        let key = if node.has("latitude") { "latitude" } else { "longitude" };
        return Err(node.error(key, "a column made of a latitude and a longitude needs `type = \"point\"`"));
    }
    for other in ["headers", "join", "import", "occurrence", "extract"] {
        if node.has(other) {
            return Err(node.error(other, "does not go together with `latitude` and `longitude`"));
        }
    }
    let place = |key: &str| {
        let name = node.required_text(key)?;
        declared.iter().position(|column| column.name == name && column.is_number).ok_or_else(|| {
            let known: Vec<&str> =
                declared.iter().filter(|column| column.is_number).map(|column| column.name).collect();
            let reason = format!("{name:?} is no column with `headers` and `type = \"number\"`");
            node.error(key, format!("{reason}{}", hint(name, &known)))
        })
    };
    Ok(FieldOrigin::Coordinates { latitude: place("latitude")?, longitude: place("longitude")? })
}

fn join(
    node: &DefinitionTable<'_>,
    kind: ColumnType,
    parts: &[DefinitionTable<'_>],
    place: usize,
    declared: &[Declared<'_>],
) -> Result<FieldOrigin, DefinitionError> {
    if kind != ColumnType::Text {
        return Err(node.error("type", "joined columns are text"));
    }
    if parts.len() > PARTS_MAX {
        return Err(node.error("join", format!("has {} parts: at most {PARTS_MAX} are allowed", parts.len())));
    }
    for header_only in ["occurrence", "extract"] {
        if node.has(header_only) {
            return Err(node.error(header_only, "belongs to a column with `headers`"));
        }
    }
    let parts = parts.iter().map(|part| {
        part.only(&PART)?;
        let name = part.required_text("column")?;
        // Joins are made in their order, after everything else has been read.
        let usable = |(at, column): (usize, &Declared<'_>)| !column.import && (!column.joined || at < place);
        let found = declared.iter().enumerate().position(|(at, column)| column.name == name && usable((at, column)));
        let Some(field) = found else {
            let known = declared.iter().enumerate().filter(|column| usable((column.0, column.1)));
            let known: Vec<&str> = known.map(|(_, column)| column.name).collect();
            let reason = format!("{name:?} is no column of the file, nor a join declared above this one");
            return Err(part.error("column", format!("{reason}{}", hint(name, &known))));
        };
        Ok(JoinPart {
            field,
            before: part.text("before")?.unwrap_or(" ").to_owned(),
            prefix: part.text("prefix")?.unwrap_or_default().to_owned(),
            case: part.choice("case", &CASES)?.unwrap_or_default(),
            omit: part.texts("omit")?,
        })
    });
    Ok(FieldOrigin::Join { parts: parts.collect::<Result<_, _>>()? })
}

fn place_of(node: &DefinitionTable<'_>, key: &str, name: &str, columns: &[Column]) -> Result<usize, DefinitionError> {
    columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        node.error(key, format!("{name:?} is not a published column{}", hint(name, &known)))
    })
}

fn key(node: &DefinitionTable<'_>, columns: &[Column]) -> Result<(usize, KeyFormat), DefinitionError> {
    node.only(&KEY)?;
    let place = place_of(node, "column", node.required_text("column")?, columns)?;
    if columns.get(place).is_some_and(|column| column.kind != ColumnType::Text) {
        return Err(node.error("column", "the key column is text: paths are made of it"));
    }
    let prefix = node.text("prefix")?.unwrap_or_default();
    if prefix.starts_with(char::is_whitespace) {
        return Err(node.error("prefix", format!("{prefix:?} begins with a space, which is taken off every key")));
    }
    let format = KeyFormat {
        prefix: prefix.to_owned(),
        strip: node.texts("strip")?,
        fold: node.choice("fold", &FOLDS)?.unwrap_or_default(),
    };
    Ok((place, format))
}

fn field_of(fields: &[Field], place: usize) -> Option<&Field> {
    fields.iter().find(|field| field.target == Some(place))
}

fn record_id(
    root: &DefinitionTable<'_>,
    columns: &[Column],
    fields: &[Field],
) -> Result<(usize, RecordIdRule), DefinitionError> {
    let name = root.text("record_id")?.unwrap_or("record_id");
    let place = place_of(root, "record_id", name, columns)?;
    let kind = columns.get(place).map(|column| column.kind);
    match field_of(fields, place).map(|field| &field.origin) {
        Some(FieldOrigin::Import) if kind == Some(ColumnType::Integer) => Ok((place, RecordIdRule::Ordinal)),
        Some(FieldOrigin::Import) => {
            Err(root.error("record_id", format!("{name:?} counts rows: it needs `type = \"integer\"`")))
        }
        _ if matches!(kind, Some(ColumnType::Integer | ColumnType::Text)) => Ok((place, RecordIdRule::Source)),
        _ => Err(root.error("record_id", format!("{name:?} has to be of type integer or text"))),
    }
}

fn load_date(
    root: &DefinitionTable<'_>,
    columns: &[Column],
    fields: &[Field],
) -> Result<Option<usize>, DefinitionError> {
    let Some(name) = root.text("load_date")? else { return Ok(None) };
    let place = place_of(root, "load_date", name, columns)?;
    let is_date = columns.get(place).is_some_and(|column| column.kind == ColumnType::Date);
    let imported = field_of(fields, place).is_some_and(|field| field.origin == FieldOrigin::Import);
    if !is_date || !imported {
        return Err(root.error("load_date", format!("{name:?} needs `type = \"date\"` and `import = true`")));
    }
    Ok(Some(place))
}

fn indexes(root: &DefinitionTable<'_>, columns: &[Column]) -> Result<Vec<Index>, DefinitionError> {
    let nodes = root.children("index")?;
    if nodes.len() > INDEXES_MAX {
        return Err(root.error("index", format!("has {} entries: at most {INDEXES_MAX} are allowed", nodes.len())));
    }
    let index = |node: &DefinitionTable<'_>| {
        node.only(&INDEX)?;
        let partition = node.required_text("partition")?;
        let indexed = |key: &str, name: &str| {
            let place = place_of(node, key, name, columns)?;
            match columns.get(place).map(|column| column.kind) {
                Some(ColumnType::Point) => Err(node.error(
                    key,
                    format!("{name:?} holds points, which have no order to index: conditions on places need no index"),
                )),
                _ => Ok(()),
            }
        };
        indexed("partition", partition)?;
        let sort = node.text("sort")?;
        if let Some(sort) = sort {
            indexed("sort", sort)?;
        }
        Ok(Index { partition: partition.to_owned(), sort: sort.map(str::to_owned) })
    };
    nodes.iter().map(index).collect()
}

/// Refuses two columns that read the same cell, unless each extracts its own part.
fn check_headers(root: &DefinitionTable<'_>, source: &Source) -> Result<(), DefinitionError> {
    let mut taken: Vec<(String, usize, Option<Extract>, &str)> = Vec::new();
    for field in &source.fields {
        let FieldOrigin::Header { headers, occurrence, extract } = &field.origin else { continue };
        let mut spellings: Vec<String> = headers.iter().map(|header| normal_header(header)).collect();
        spellings.sort_unstable();
        spellings.dedup();
        for spelling in spellings {
            let twin = taken.iter().find(|(other, place, other_extract, _)| {
                *other == spelling && place == occurrence && other_extract == extract
            });
            if let Some((.., name)) = twin {
                return Err(root.error(
                    &format!("column {:?}.headers", field.name),
                    format!("column {name:?} already reads that header; use `occurrence` where a header repeats"),
                ));
            }
            taken.push((spelling, *occurrence, *extract, &field.name));
        }
    }
    Ok(())
}
