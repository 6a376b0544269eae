//! The examples of the guide. `docs/DATA.md` holds each under a name, with the columns of building permits; this module makes each for the
//! columns of another data set.

use serde::Serialize;

use super::subject::{Subject, SubjectColumn, encoded};
use crate::dataset::ColumnType;

/// How many columns an example selects.
const SELECTED: usize = 3;

/// What a question finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finds {
    /// Some records; their number is not known.
    Some,
    /// This many records.
    Records(u64),
}

#[derive(Debug)]
pub(super) struct DocExample {
    /// The text to copy.
    pub(super) text: String,
    /// What its first line finds, where that is known.
    pub(super) finds: Option<Finds>,
}

impl DocExample {
    fn new(text: String) -> Self {
        Self { text, finds: None }
    }

    fn finding(self, finds: Option<Finds>) -> Self {
        Self { finds, ..self }
    }
}

/// A request with curl.
fn curl(address: &str) -> String {
    format!("curl -H \"x-api-key: $KEY\" \"{address}\"")
}

fn lines(lines: &[String]) -> DocExample {
    DocExample::new(lines.join("\n"))
}

/// The example of that name. None where the data set has no column for it, or there is no such example.
pub(super) fn example(name: &str, subject: &Subject) -> Option<DocExample> {
    let address = subject.address();
    let any = subject.records.filter(|records| *records > 0).map(|_| Finds::Some);
    let one_page = |query: &str| curl(&format!("{address}?{query}"));
    Some(match name {
        "ways" => {
            let asked = format!("\"{address}?limit=1\"");
            let bearer = format!("curl -H \"authorization: Bearer $KEY\" {asked}");
            lines(&[one_page("limit=1"), bearer, format!("curl -u \"$KEY:\" {asked}")]).finding(any)
        }
        "first" => lines(&[one_page("limit=3")]).finding(any),
        "answer" => DocExample::new(answer(subject)),
        "record" => {
            lines(&[curl(&format!("{address}/$RECORD_KEY")), curl(&format!("{address}/$RECORD_KEY/$RECORD_ID"))])
        }
        "conditions" => conditions(subject, &address),
        "words" => words(subject, &address)?,
        "expression" => expression(subject, &address),
        "left" => {
            let own = ["me", "me/usage"].map(|path| curl(&format!("{}/{path}", subject.public_url)));
            let with_head = one_page("limit=1").replacen("curl ", "curl -i ", 1);
            lines(&[vec![with_head], own.into()].concat())
        }
        "page" => {
            let select: Vec<&str> = subject.columns.iter().map(|column| column.name.as_str()).take(SELECTED).collect();
            let sort = subject.best(is_ordered).or_else(|| subject.columns.first())?;
            let query = format!("select={}&sort=-{}&limit=10", select.join(","), sort.name);
            lines(&[one_page(&query)]).finding(any)
        }
        "count" => lines(&[one_page("limit=1&count=exact")]).finding(any),
        "export" => {
            let file = |format: &str| {
                let line = one_page(&format!("format={format}&limit=1000"));
                line.replacen("curl ", "curl --fail ", 1).replacen(
                    " \"http",
                    &format!(" -o {}.{format} \"http", subject.name),
                    1,
                )
            };
            lines(&[file("csv"), file("ndjson")])
        }
        "tag" => {
            let line = |option: &str| {
                let asked = format!("-H \"x-api-key: $KEY\" -o page.json \"{address}?limit=100\"");
                format!("curl {option} tag.txt {asked}")
            };
            lines(&[line("--etag-save"), line("--etag-compare")])
        }
        "past" => {
            let as_of = format!("as_of={}", subject.version);
            let column = subject.best(|kind| kind == ColumnType::Text)?;
            lines(&[
                curl(&format!("{address}?{as_of}&limit=3")),
                curl(&format!("{address}/$RECORD_KEY?{as_of}")),
                curl(&format!("{address}/facets?columns={}&limit=10&{as_of}", column.name)),
            ])
        }
        "changes" => lines(&[curl(&format!("{address}/changes?since={}", subject.version))]),
        "history" => lines(&[curl(&format!("{address}/$RECORD_KEY/history"))]),
        "facets" => {
            let column = subject.best(|kind| kind == ColumnType::Text)?;
            lines(&[curl(&format!("{address}/facets?columns={}&limit=10", column.name))])
        }
        "groups" => {
            let (text, moment) = (subject.best(|kind| kind == ColumnType::Text)?, subject.best(is_dated)?);
            let measured = subject.best(is_summed).map_or(String::new(), |column| format!(",sum({})", column.name));
            let by = format!("by={},month({})", text.name, moment.name);
            lines(&[
                curl(&format!("{address}/groups?{by}&measure=count{measured}&sort=-count&limit=10")),
                curl(&format!("{address}/groups?by=month({})&having=count%20%3E%2010&format=csv", moment.name)),
            ])
        }
        "stats" => {
            let column = subject.best(is_ordered)?;
            lines(&[curl(&format!("{address}/stats?columns={}", column.name))])
        }
        "client" => {
            DocExample::new(format!("openapi-python-client generate --url \"{}/openapi.json\"", subject.public_url))
        }
        _ => return None,
    })
}

/// Whether such a column's values have months.
fn is_dated(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Date | ColumnType::Timestamp)
}

/// Whether such a column's values have a sum.
fn is_summed(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Integer | ColumnType::Money | ColumnType::Number)
}

/// Whether the order of such a column's values has a meaning.
fn is_ordered(kind: ColumnType) -> bool {
    !matches!(kind, ColumnType::Text | ColumnType::Point)
}

/// The answer with a page of records, shortened.
fn answer(subject: &Subject) -> String {
    let shown = subject.columns.iter().take(SELECTED);
    let shown = shown.map(|column| format!("\"{}\":…", column.name)).collect::<Vec<_>>().join(", ");
    let Subject { name, version, .. } = subject;
    format!(
        "{{\"data\":[{{{shown}, …}}, …],\n \"page\":{{\"limit\":3,\"next\":…}},\n \"dataset\":{{\"name\":\"{name}\",\"version\":{version}}}}}"
    )
}

/// Two conditions, on columns of two kinds if there are such.
fn conditions(subject: &Subject, address: &str) -> DocExample {
    let text = subject.best(|kind| kind == ColumnType::Text);
    let other = subject.best(is_ordered);
    let mut conditions = Vec::new();
    conditions.extend(text.map(|column| format!("{}={}", column.name, encoded(&column.value()))));
    conditions.extend(other.map(|column| format!("{}__gte={}", column.name, encoded(&column.value()))));
    // The second condition asks for values from the least one on: all records meet it where none lacks a value.
    let all_meet = other.is_none_or(|column| column.range.is_some() && column.empty == Some(0));
    let count = text.and_then(|column| column.frequent.first()).and_then(|(_, count)| *count);
    let finds = count.filter(|_| all_meet).map(Finds::Records);
    lines(&[curl(&format!("{address}?{}", conditions.join("&")))]).finding(finds)
}

/// A search for the first words of a value, where the data set is searched for words.
fn words(subject: &Subject, address: &str) -> Option<DocExample> {
    let column = subject.columns.get(subject.searched?)?;
    let value = column.value();
    let words: Vec<&str> =
        value.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(2).collect();
    let words = if words.is_empty() { "example".to_owned() } else { words.join(" ") };
    let asked = format!("--data-urlencode 'q={words}' -d sort=relevance -d limit=5");
    // Values of the column's figures are those of records.
    let finds = column.has_values().then_some(Finds::Some);
    Some(DocExample::new(format!("curl -G -H \"x-api-key: $KEY\" \"{address}\" \\\n  {asked}")).finding(finds))
}

/// An expression that no list of conditions can express.
fn expression(subject: &Subject, address: &str) -> DocExample {
    let text = subject.best(|kind| kind == ColumnType::Text);
    let other = subject.best(is_ordered);
    let either = |column: &SubjectColumn| {
        let (one, two) = column.two_values();
        let name = &column.name;
        format!("({name} = {} OR {name} = {})", quoted(&one), quoted(&two))
    };
    let above = |column: &SubjectColumn| format!("NOT {} < {}", column.name, column.value());
    let parts: Vec<String> = text.map(either).into_iter().chain(other.map(above)).collect();
    let filter = parts.join(" AND ").replace('\'', "'\\''");
    let line = format!("curl -G -H \"x-api-key: $KEY\" \"{address}\" \\\n  --data-urlencode 'filter={filter}'");
    // Nothing is less than the least value.
    let counts = text.map(|column| column.frequent.iter().take(2).filter_map(|(_, count)| *count).sum());
    let is_known = other.is_none_or(|column| column.range.is_some());
    DocExample::new(line).finding(counts.filter(|count| is_known && *count > 0).map(Finds::Records))
}

/// A text as it is written in expressions.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_holds_ends_neither_the_text_nor_the_line() {
        let mut subject = Subject::made_up("https://x.example");
        let column = subject.columns.iter_mut().find(|column| column.name == "subject").unwrap();
        column.frequent = vec![("o'clock \"x\" $(rm) \\".to_owned(), None)];
        let line = example("conditions", &subject).unwrap().text;
        let asked = line.split('"').nth(3).unwrap();
        assert!(!asked.contains(['$', '`', '\\', '\'', '<', ' ']), "{line}");
        let line = example("expression", &subject).unwrap().text;
        assert!(line.contains(r#"'filter=(subject = "o'\''clock \"x\" $(rm) \\" OR"#), "{line}");
    }
}
