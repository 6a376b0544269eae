//! The query of a page of records: in the grammar of the API, with some parameters of the page's own. Their names have a hyphen, which no
//! column's name has.

use form_urlencoded::Serializer;

use crate::{
    dataset::{ColumnType, Definition},
    http::pages::language::Language,
};

/// The column whose values are counted beside the rows.
pub(super) const VALUES: &str = "values-of";
/// The column that the chart shows.
pub(super) const CHART: &str = "chart-of";
/// What records are grouped by, as `by` has it.
pub(super) const GROUP_BY: &str = "group-by";
/// The column that groups are split by.
pub(super) const GROUP_SPLIT: &str = "group-split";
/// What is measured of groups, as `measure` has it.
pub(super) const GROUP_MEASURE: &str = "group-measure";
/// The column of points that a map shows.
pub(super) const MAP: &str = "map-of";
/// The page's own parameters.
const OWN: [&str; 6] = [MAP, VALUES, CHART, GROUP_BY, GROUP_SPLIT, GROUP_MEASURE];
/// Parameters that change neither which records are meant nor their order.
const BESIDE: [&str; 4] = ["select", "limit", "count", "cursor"];
/// Parameters of a page at most: the page shows each with a link that holds all the others.
pub(super) const PARAMETERS_MAX: usize = 100;
/// Parameters that are read at most.
const LOOKED_AT_MAX: usize = 1_100;

/// The parameters of a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PageAddress(Vec<(String, String)>);

impl PageAddress {
    /// Reads the parameters as forms send them: drops empty fields, and makes one list of the ticked columns.
    pub(super) fn read(raw: &str) -> Self {
        let mut address = Self::default();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()).take(LOOKED_AT_MAX) {
            if value.trim().is_empty() || name.is_empty() {
                continue;
            }
            match address.0.iter_mut().find(|(known, _)| *known == "select" && *known == name) {
                Some((_, list)) => {
                    list.push(',');
                    list.push_str(&value);
                }
                // With `__eq`, the blanks around a text are part of it.
                None if name.ends_with("__eq") => address.0.push((name.into_owned(), value.into_owned())),
                None => address.0.push((name.into_owned(), value.trim().to_owned())),
            }
        }
        address
    }

    /// The same address with the numbers, typed as the reader's language writes them, rewritten for the API.
    pub(super) fn in_plain_numbers(self, definition: &Definition, language: Language) -> Self {
        let plain = |(name, value): (String, String)| {
            let (column, operator) = name.split_once("__").unwrap_or((&name, "eq"));
            let kind = definition.column_index(column).map(|place| definition.column_kind(place));
            let is_number = matches!(kind, Some(ColumnType::Integer | ColumnType::Money | ColumnType::Number));
            let is_one = ["eq", "ne", "gt", "gte", "lt", "lte"].contains(&operator);
            let written = if is_number && is_one { plain_number(&value, language) } else { None };
            (name, written.unwrap_or(value))
        };
        Self(self.0.into_iter().map(plain).collect())
    }

    /// Whether a query is written differently from these parameters.
    pub(super) fn differs_from(&self, raw: &str) -> bool {
        !form_urlencoded::parse(raw.as_bytes()).eq(self.0.iter().map(|(name, value)| (name.into(), value.into())))
    }

    /// All parameters.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// A parameter's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The conditions: all parameters except those of pages and the page's own.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &(String, String)> {
        let is_other = |name: &str| name == "sort" || BESIDE.contains(&name) || OWN.contains(&name);
        self.0.iter().filter(move |(name, _)| !is_other(name))
    }

    /// The same address without these parameters, on the first page and uncounted.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        let is_kept = |name: &str| !names.contains(&name) && !matches!(name, "cursor" | "count");
        Self(self.0.iter().filter(|(name, _)| is_kept(name)).cloned().collect())
    }

    /// The same address with this parameter.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.without(&[name]);
        changed.0.push((name.to_owned(), value.to_owned()));
        changed
    }

    /// The same address on another page.
    pub(super) fn going_on(&self, cursor: &str) -> Self {
        self.with("cursor", cursor)
    }

    /// The parameters as a query, including the page's own.
    pub(super) fn query(&self) -> String {
        // A comma needs no encoding in a query, and reads more easily.
        Serializer::new(String::new()).extend_pairs(&self.0).finish().replace("%2C", ",")
    }

    /// The parameters that the API takes.
    pub(super) fn of_api(&self) -> Self {
        Self(self.0.iter().filter(|(name, _)| !OWN.contains(&name.as_str())).cloned().collect())
    }

    /// The parameters of the API for an export: without a limit, a cursor and a count.
    pub(super) fn of_export(&self) -> Self {
        self.of_api().without(&["limit"])
    }

    /// The parameters of the API for groups of the same records.
    pub(super) fn of_groups(&self, by: &str, split: Option<&str>, measure: Option<&str>, limit: usize) -> Self {
        let others = ["select", "sort", "limit", "count", "cursor"];
        let mut asked = self.of_api().without(&others);
        let by = split.map_or_else(|| by.to_owned(), |split| format!("{by},{split}"));
        asked.0.insert(0, ("by".to_owned(), by));
        if let Some(measure) = measure {
            asked.0.insert(1, ("measure".to_owned(), measure.to_owned()));
        }
        asked.0.push(("limit".to_owned(), limit.to_string()));
        asked
    }

    /// The address of the page.
    pub(super) fn path(&self, base: &str) -> String {
        match self.0.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", self.query()),
        }
    }
}

/// `1.944,17` (German) or `1,944.17` (English) as `1944.17`. None for a text without a comma or in another format.
fn plain_number(text: &str, language: Language) -> Option<String> {
    let (thousands, decimal) = match language {
        Language::English => (',', '.'),
        Language::German => ('.', ','),
    };
    let bare = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = bare.split_once(decimal).map_or((bare, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_of_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = whole.split(thousands);
    let first = groups.next().filter(|first| is_of_digits(first))?;
    let rest: Vec<&str> = groups.collect();
    let is_grouped =
        rest.iter().all(|group| group.len() == 3 && is_of_digits(group)) && (rest.is_empty() || first.len() <= 3);
    if !text.contains(',') || !is_grouped || !fraction.is_none_or(is_of_digits) {
        return None;
    }
    let minus = if bare.len() < text.len() { "-" } else { "" };
    let fraction = fraction.map(|digits| format!(".{digits}")).unwrap_or_default();
    Some(format!("{minus}{first}{}{fraction}", rest.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_as_they_are_shown() {
        let german = |text: &str| plain_number(text, Language::German);
        let english = |text: &str| plain_number(text, Language::English);
        for (text, plain) in [("12,5", "12.5"), ("1.944,17", "1944.17"), ("-1.234.567,0", "-1234567.0"), ("0,5", "0.5")]
        {
            assert_eq!(german(text).as_deref(), Some(plain), "{text}");
        }
        for (text, plain) in [("1,944.17", "1944.17"), ("1,234,567", "1234567"), ("-1,000", "-1000")] {
            assert_eq!(english(text).as_deref(), Some(plain), "{text}");
        }
        for text in ["12.5", "1944", "", ",", "1,", "a,b", "1,2,3", "1.2.3,4", "12345.678,9"] {
            assert_eq!(german(text), None, "{text}");
        }
        for text in ["12,5", "1,2345", "1.5", "12345,678", ",5"] {
            assert_eq!(english(text), None, "{text}");
        }
    }

    #[test]
    fn fields_that_were_left_empty_ask_for_nothing() {
        let address =
            PageAddress::read("status=issued&status__contains=&select=a&select=b&limit=+50&values-of=status&cursor=x");
        assert_eq!(address.query(), "status=issued&select=a,b&limit=50&values-of=status&cursor=x");
        assert_eq!(address.of_api().query(), "status=issued&select=a,b&limit=50&cursor=x");
        assert_eq!(address.with("sort", "-a").query(), "status=issued&select=a,b&limit=50&values-of=status&sort=-a");
        assert_eq!(address.of_export().query(), "status=issued&select=a,b");
        assert_eq!(address.conditions().count(), 1);
        assert_eq!(PageAddress::read("&&=x").path("/permits/explore"), "/permits/explore");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let address = PageAddress::read("filter=a+%3D+%22b%26c%22&x=%C3%BC");
        assert_eq!(PageAddress::read(&address.query()), address);
    }
}
