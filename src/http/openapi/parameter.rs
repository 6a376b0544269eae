//! Parameters of paths, queries and request heads.

use serde_json::{Value, json};

use super::schema::{self, described, integer, one_named, one_of, text};
use crate::{
    dataset::{
        Column, ColumnType, Definition,
        query::{AS_OF, DISTANCE, Delimiter, Format, Operator, QueryLimits, RELEVANCE, RESERVED, SEARCH_WORDS_MAX},
    },
    http::routes::params::{LIMIT_DEFAULT, LIMIT_MAX},
};

/// The schema of a column's values, in answers and in parameters alike.
pub(super) fn value(kind: ColumnType) -> Value {
    match kind {
        ColumnType::Text => text(),
        ColumnType::Integer => json!({ "type": "integer", "format": "int64" }),
        // No `multipleOf`: validators that divide in floating point take one of every nine amounts for no multiple of 0.01.
        ColumnType::Money => json!({ "type": "number", "format": "decimal" }),
        ColumnType::Number => json!({ "type": "number", "format": "double" }),
        ColumnType::Date => schema::date(),
        ColumnType::Timestamp => schema::moment(),
        ColumnType::Point => json!({
            "type": "object", "required": ["type", "coordinates"], "additionalProperties": false,
            "description": "A point as GeoJSON (RFC 7946): degrees of WGS 84, the longitude first.",
            "properties": {
                "type": { "const": "Point" },
                "coordinates": {
                    "type": "array", "minItems": 2, "maxItems": 2,
                    "prefixItems": [
                        { "type": "number", "minimum": -180, "maximum": 180 },
                        { "type": "number", "minimum": -90, "maximum": 90 },
                    ],
                    "items": { "type": "number" },
                },
            },
        }),
    }
}

/// The schema of a point in a parameter.
fn point_text() -> Value {
    json!({
        "type": "string",
        "description": "A point: `37.7749,-122.4194` (latitude first), or `POINT (-122.4194 37.7749)` (longitude first).",
        "example": "37.7749,-122.4194",
    })
}

/// The schema of the value of a condition on places.
fn place_text(operator: Operator) -> Value {
    let example = match operator {
        Operator::Near => "37.7749,-122.4194,500m",
        Operator::Bbox => "-122.52,37.7,-122.35,37.83",
        _ => "POLYGON ((-122.43 37.77, -122.41 37.77, -122.41 37.79, -122.43 37.77))",
    };
    json!({ "type": "string", "example": example })
}

/// The conditions on the only column of points, without its name: component name and parameter. None where there is not one such column.
pub(super) fn places(definition: &Definition) -> Vec<(String, Value)> {
    let [column] = definition.points()[..] else { return Vec::new() };
    let column = definition.column_name(column);
    let free = Operator::PLACES.into_iter().filter(|operator| definition.column_index(operator.name()).is_none());
    let short = |operator: Operator| {
        let name = operator.name();
        let description = format!("`{column}` {}. Short for `{column}__{name}`.", meaning(operator));
        (format!("{}.{name}", definition.name), in_query(name, &description, place_text(operator)))
    };
    free.map(short).collect()
}

/// A segment of the path.
pub(super) fn in_path(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

/// A parameter of the query that may be left out.
pub(super) fn in_query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// A parameter of the query that is a list separated by commas.
fn listed(name: &str, description: &str, schema: Value) -> Value {
    json!({
        "name": name, "in": "query", "description": description,
        "style": "form", "explode": false, "schema": schema,
    })
}

/// A reference to the parameter of that name.
pub(super) fn shared(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

/// The name of the parameter for a column and an operator.
fn condition_name(column: &str, operator: Operator) -> String {
    match operator {
        Operator::Equal if column != AS_OF && !RESERVED.contains(&column) => column.to_owned(),
        _ => format!("{column}__{}", operator.name()),
    }
}

/// What an operator requires of a column's value, as the words after the column's name.
fn meaning(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "is this value",
        Operator::NotEqual => "is another value, or null",
        Operator::Less => "comes before this value",
        Operator::LessOrEqual => "comes before this value or is it",
        Operator::Greater => "comes after this value",
        Operator::GreaterOrEqual => "comes after this value or is it",
        Operator::Between => "lies between these two values or is one of them",
        Operator::In => "is one of these values",
        Operator::NotIn => "is none of these values, or null",
        Operator::Contains => "holds this text, in capitals or not",
        Operator::StartsWith => "begins with this text",
        Operator::Near => {
            "is no farther from this point (latitude first) than this distance; units are m, km, mi and ft"
        }
        Operator::Bbox => "lies in this box of west, south, east, north",
        Operator::Within => "lies within this polygon (WKT or GeoJSON), or on its edge",
        Operator::IsNull => "is null (`true`) or is not (`false`)",
    }
}

fn condition(column: &Column, operator: Operator, limits: &QueryLimits) -> Value {
    let name = condition_name(&column.name, operator);
    let mut description = format!("`{}` {}.", column.name, meaning(operator));
    if matches!(operator, Operator::In | Operator::NotIn) && column.kind == ColumnType::Text {
        description.push_str(" Where one holds a comma, they are a JSON array.");
    }
    let value = match column.kind {
        // A day stands for the moment at which it begins.
        ColumnType::Timestamp => {
            json!({ "anyOf": [schema::moment(), schema::date()] })
        }
        ColumnType::Point => point_text(),
        kind => value(kind),
    };
    let mut parameter = match operator {
        Operator::Between => {
            listed(&name, &description, json!({ "type": "array", "items": value, "minItems": 2, "maxItems": 2 }))
        }
        Operator::In | Operator::NotIn => {
            let most = limits.list_values_max;
            listed(&name, &description, json!({ "type": "array", "items": value, "minItems": 1, "maxItems": most }))
        }
        Operator::IsNull => in_query(&name, &description, schema::flag()),
        Operator::Near | Operator::Bbox | Operator::Within => in_query(&name, &description, place_text(operator)),
        _ => in_query(&name, &description, value),
    };
    if let Value::Object(fields) = &mut parameter {
        // For pages that group parameters by column.
        fields.insert("x-column".to_owned(), column.name.as_str().into());
    }
    parameter
}

/// The conditions of a data set, for every column and every operator that suits it: component name and parameter.
pub(super) fn conditions(definition: &Definition) -> Vec<(String, Value)> {
    let limits = QueryLimits::default();
    let of_column = |column: &Column| -> Vec<(String, Value)> {
        let suiting = Operator::ALL.into_iter().filter(|operator| operator.suits(column.kind));
        let named = |operator: Operator| format!("{}.{}.{}", definition.name, column.name, operator.name());
        suiting.map(|operator| (named(operator), condition(column, operator, &limits))).collect()
    };
    definition.columns.iter().flat_map(of_column).collect()
}

/// The parameters of a data set's page that are no conditions: component name and parameter.
pub(super) fn of_page(definition: &Definition) -> Vec<(String, Value)> {
    let limits = QueryLimits::default();
    let columns: Vec<&str> = definition.columns.iter().map(|column| column.name.as_str()).collect();
    let ordered: Vec<&str> = definition
        .columns
        .iter()
        .filter(|column| column.kind != ColumnType::Point)
        .map(|column| column.name.as_str())
        .collect();
    let ascending = ordered.iter().map(|column| ((*column).to_owned(), column.to_uppercase()));
    let descending =
        ordered.iter().map(|column| (format!("-{column}"), format!("{}_DESCENDING", column.to_uppercase())));
    let orders: Vec<(String, String)> = ascending.chain(descending).collect();
    let of_columns = |words: Value, most: usize| json!({ "type": "array", "items": words, "minItems": 1, "maxItems": most, "uniqueItems": true });
    let named = |name: &str| format!("{}.{name}", definition.name);
    let is_searched = definition.is_searched();
    let has_points = !definition.points().is_empty();
    let rank = |is_there: bool, names: &[&str]| {
        let names: Vec<&str> = if is_there { names.to_vec() } else { Vec::new() };
        let said = |name: &str| {
            name.strip_prefix('-').map_or(name.to_uppercase(), |bare| format!("{}_DESCENDING", bare.to_uppercase()))
        };
        names.into_iter().map(|name| (name.to_owned(), said(name))).collect::<Vec<_>>()
    };
    let ranks = [rank(is_searched, &[RELEVANCE]), rank(has_points, &[DISTANCE, "-distance"])].concat();
    let mut sort_says = "The columns to order by; `-` before one turns it round. Nulls come last. The record's key and id decide between those that \
                         are alike."
        .to_owned();
    if is_searched {
        sort_says.push_str(" With `q`, `relevance` before them puts the most relevant records first.");
    }
    if has_points {
        sort_says.push_str(" With `near`, `distance` before them puts the nearest records first.");
    }
    let orders: Vec<(String, String)> = ranks.into_iter().chain(orders).collect();
    let mut parameters = vec![
        (named("filter"), filter(definition)),
        (
            named("select"),
            listed("select", "The columns to answer with, in this order.", of_columns(one_of(&columns), columns.len())),
        ),
        (named("sort"), listed("sort", &sort_says, of_columns(one_named(&orders), limits.sort_columns_max))),
    ];
    parameters.extend(search(definition).map(|search| (named("q"), search)));
    parameters
}

/// The parameter for a search for words, where there are columns that it looks into.
fn search(definition: &Definition) -> Option<Value> {
    if !definition.is_searched() {
        return None;
    }
    let searched: Vec<String> =
        definition.searched().map(|column| format!("`{}`", definition.column_name(column))).collect();
    let description = format!(
        "Words to look for in {}: each is a word of a text, or the beginning of one, in any order; case and accents make no difference. \
         Up to {SEARCH_WORDS_MAX} words.",
        searched.join(", ")
    );
    let most = QueryLimits::default().value_bytes_max;
    Some(in_query("q", &description, json!({ "type": "string", "minLength": 1, "maxLength": most })))
}

/// The parameter that names the columns to summarise, out of those that `is_meant` accepts.
pub(super) fn columns(definition: &Definition, is_meant: impl Fn(ColumnType) -> bool) -> Value {
    let meant = definition.columns.iter().filter(|column| is_meant(column.kind));
    let columns: Vec<&str> = meant.map(|column| column.name.as_str()).collect();
    let most = QueryLimits::default().summary_columns_max;
    let mut parameter = listed(
        "columns",
        "The columns that are asked about.",
        json!({ "type": "array", "items": one_of(&columns), "minItems": 1, "maxItems": most, "uniqueItems": true }),
    );
    if let Value::Object(fields) = &mut parameter {
        fields.insert("required".to_owned(), true.into());
    }
    parameter
}

/// The parameters that say how to group records, with examples from the data set's columns.
pub(super) fn of_groups(definition: &Definition) -> Vec<Value> {
    let limits = QueryLimits::default();
    let of_kind = |kinds: &[ColumnType]| {
        let others = definition.columns.iter().enumerate().filter(|(place, _)| *place != definition.key);
        others.map(|(_, column)| column).find(|column| kinds.contains(&column.kind)).map(|column| column.name.as_str())
    };
    let dated = of_kind(&[ColumnType::Date, ColumnType::Timestamp]).map(|name| format!("month({name})"));
    let by = of_kind(&[ColumnType::Text]).map(str::to_owned).or(dated.clone());
    let by = by.unwrap_or_else(|| definition.column_name(definition.key).to_owned());
    let summed = of_kind(&[ColumnType::Money, ColumnType::Number, ColumnType::Integer]);
    let measure = summed.map_or_else(|| "count".to_owned(), |name| format!("count,sum({name})"));
    let parameter = |name: &str, description: String, examples: Vec<String>| {
        in_query(name, &description, json!({ "type": "string", "minLength": 1, "examples": examples }))
    };
    let by_says = format!(
        "What to group by, up to {}: columns, `year`, `quarter`, `month`, `week`, `day`, `weekday` of dates and timestamps, `hour` of \
         timestamps, `bin(column,width)` of numbers and amounts, and `geohash(column,letters)` of points. A key has the column's name, or that of the part and the column; \
         `name:` before it gives it another.",
        limits.group_keys_max
    );
    let measure_says = format!(
        "What to measure of each group, up to {}: `count`, and of a column `count`, `sum`, `mean`, `min`, `max`, `median`, `distinct`. \
         `count` where nothing is said. A measure has the name of its kind and column; `name:` before it gives it another.",
        limits.measures_max
    );
    let mut by = parameter("by", by_says, dated.into_iter().chain([by]).collect());
    if let Value::Object(fields) = &mut by {
        fields.insert("required".to_owned(), true.into());
    }
    vec![
        by,
        parameter("measure", measure_says, vec![measure]),
        parameter(
            "having",
            "An expression as of `filter`, over the names of keys and measures: only groups that meet it are in the answer.".to_owned(),
            vec!["count > 10".to_owned()],
        ),
        parameter(
            "sort",
            "The keys and measures to order by; `-` before one turns it round. Groups that are alike follow in the order of their keys."
                .to_owned(),
            vec!["-count".to_owned()],
        ),
    ]
}

/// The parameter for an expression, with an example from the data set's columns.
fn filter(definition: &Definition) -> Value {
    let others = || definition.columns.iter().enumerate().filter(|(place, _)| *place != definition.key);
    let of_kind = |kind: ColumnType| others().map(|(_, column)| column).find(move |column| column.kind == kind);
    let key = definition.column_name(definition.key);
    let example = match (of_kind(ColumnType::Text), of_kind(ColumnType::Date)) {
        (Some(text), Some(date)) => {
            format!("({0} = \"issued\" OR {0} = \"complete\") AND NOT {1} < 2016-12-01", text.name, date.name)
        }
        (Some(text), None) => format!("{0} = \"a\" OR {0} = \"b\"", text.name),
        (None, _) => format!("{key} = \"1\" OR {key} = \"2\""),
    };
    let description = format!(
        "An expression (a subset of AIP-160), such as `{example}`: comparisons with `=`, `!=`, `<`, `<=`, `>`, `>=` and `:` \
         (holds), functions such as `isnull(column)` and `in(column, \"a\", \"b\")`, joined by AND, OR and NOT. AND and OR do not \
         mix without parentheses. It holds beside the other conditions."
    );
    let most = QueryLimits::default().value_bytes_max;
    // No `example` of the parameter itself: pages that try requests would send it.
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": most, "examples": [example] });
    in_query("filter", &description, schema)
}

/// The parameters that all data sets and lists share: component name and parameter.
pub(super) fn common() -> Vec<(&'static str, Value)> {
    let limits = QueryLimits::default();
    let bounded = |default: u64, most: u64| {
        let mut schema = integer(1, Some(most));
        if let Value::Object(fields) = &mut schema {
            fields.insert("default".to_owned(), default.into());
        }
        schema
    };
    let (default, most) = (u64::from(limits.page_records_default), u64::from(limits.page_records_max));
    let of_page = format!(
        "Records on a page at most: {default} where nothing is said, and more than {most} are taken for {most}. An export has all \
         records, or as many as this says."
    );
    let head = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "description": description, "schema": schema });
    let numbers = "Write whole numbers and amounts as texts: as strings of JSON, as columns or cells of texts in Parquet, Arrow and \
                   workbooks. A reader that keeps every number as a double, such as JavaScript's, loses digits of those beyond 2^53.";
    let count = "Say in `page.count` how many records match; takes as long as reading them.";
    vec![
        ("limit", in_query("limit", &of_page, integer(1, None))),
        ("values", in_query("limit", "Values of each column at most.", bounded(default, most))),
        ("groups", in_query("limit", "Groups at most.", bounded(default, most))),
        (
            "group_format",
            in_query("format", "The form of the answer, before what Accept says.", one_of(&["json", "csv"])),
        ),
        ("changes", in_query("limit", "Entries of a page at most.", bounded(default, most))),
        ("items", in_query("limit", "Entries of a page at most.", bounded(LIMIT_DEFAULT as u64, LIMIT_MAX as u64))),
        ("cursor", in_query("cursor", "Where the page begins: `page.next` of the page before.", text())),
        ("count", in_query("count", count, one_of(&["exact"]))),
        ("explain", in_query("explain", "Say in `page.explain` how the records were found.", schema::flag())),
        (
            "format",
            in_query(
                "format",
                "The form of the answer, before what Accept says. All but `json` hold everything that matches, not a page.",
                one_of(&Format::ALL.map(Format::name)),
            ),
        ),
        (
            "csv_safe",
            in_query("csv_safe", "Let no cell of CSV begin as a formula would in a spreadsheet.", schema::flag()),
        ),
        ("bom", in_query("bom", "Begin CSV with a byte order mark, by which Excel knows UTF-8.", schema::flag())),
        (
            "delimiter",
            in_query(
                "delimiter",
                "The character between the values of CSV: a comma where nothing is said. The character itself is taken as well.",
                one_of(&Delimiter::ALL.map(Delimiter::name)),
            ),
        ),
        ("numbers", in_query("numbers", numbers, one_of(&["text"]))),
        (
            AS_OF,
            in_query(
                AS_OF,
                "What the records were: at a version of the data set, at a moment, or at the beginning of a day in UTC. 410 where that is not \
                 held any more, 400 where it lies in the future. A cursor has its own version.",
                json!({ "type": "string", "minLength": 1, "examples": ["1", "2026-11-01", "2026-11-01T12:00:00Z"] }),
            ),
        ),
        (
            "if-none-match",
            head("If-None-Match", "The ETag of an answer that is still at hand: 304 if it is up to date.", text()),
        ),
        (
            "if-match",
            head(
                "If-Match",
                "The version, as ETag has it, that this is decided upon: 412 if there is another meanwhile.",
                described(json!({ "type": "string", "pattern": "^(\\*|\"[0-9]{1,19}\")$" }), ""),
            ),
        ),
        (
            "idempotency-key",
            head(
                "Idempotency-Key",
                "The client's name for this request. Sent again, the answer is repeated, not the deed; another request under it is refused with 422.",
                json!({ "type": "string", "pattern": "^[!#-~]{1,255}$" }),
            ),
        ),
    ]
}

/// The header fields that a writing request may have.
pub(super) fn conditions_of_writing() -> [Value; 2] {
    [shared("idempotency-key"), shared("if-match")]
}

/// A parameter of the query that takes one of a few words.
pub(super) fn one_word(name: &str, description: &str, words: &[&str]) -> Value {
    in_query(name, description, one_of(words))
}
