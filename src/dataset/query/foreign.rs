//! Recognises the query syntax of other products: it is not supported, but the answer says how to write it here.

use super::operator::Operator;

/// Parameter names of other products, with the equivalent here. `$where` and the like are Socrata's and OData's; `_size` and the like are
/// Datasette's; `per_page`, `offset` and the like are common.
const PARAMETERS: &[(&[&str], &str, Option<&str>)] = &[
    (
        &["$where", "where", "$filter", "$query", "query"],
        "conditions are parameters here, such as status=issued or cost__gte=1000, or an expression in filter=",
        Some("filter"),
    ),
    (
        &[
            "$limit",
            "$top",
            "per_page",
            "perpage",
            "page_size",
            "pagesize",
            "page[size]",
            "_size",
            "size",
            "rows",
            "max_results",
            "first",
        ],
        "the size of a page is limit= here",
        Some("limit"),
    ),
    (
        &["$offset", "$skip", "offset", "skip", "page", "page[number]", "_page", "_next", "start", "after", "$after"],
        "pages are not counted here: take the cursor of the page before, in its page.next or Link header, as cursor=",
        Some("cursor"),
    ),
    (&["$select", "fields", "_col", "properties", "include"], "columns are chosen by select=a,b here", Some("select")),
    (
        &[
            "$order",
            "$orderby",
            "order",
            "order_by",
            "orderby",
            "ordering",
            "sort_by",
            "sortby",
            "sortorder",
            "_sort",
            "_sort_desc",
            "order[by]",
        ],
        "the order is sort=a,-b here, with - for descending",
        Some("sort"),
    ),
    (
        &["$q", "search", "_search", "$search", "text", "fulltext", "query_string"],
        "words are looked for by q= here, in the columns that are made for it, or in one column by its name and __contains, such as \
         description__contains=roof",
        Some("q"),
    ),
    (
        &["$group", "$having", "group_by", "groupby", "_facet", "facet"],
        "groups are at /groups?by=a&measure=count,sum(b)&having=… here",
        None,
    ),
    (
        &["lat", "latitude", "lon", "lng", "longitude", "radius", "distance", "geometry", "$geo", "latlng", "latlon"],
        "places are near=37.77,-122.42,500m, bbox=west,south,east,north or within=POLYGON ((…)) here",
        None,
    ),
    (&["$count", "total", "with_count"], "records are counted by count=exact here", Some("count")),
    (
        &["asof", "as-of", "asof_date", "as_of_date", "version", "_version", "at", "valid_at", "snapshot", "timestamp"],
        "an earlier version is asked for by as_of= here, with a version or a time",
        Some("as_of"),
    ),
    (&["_format", "$format", "output", "_shape", "f"], "the form of the answer is format= here", Some("format")),
];

/// Parameters in which other products take a key in the address.
const KEYS: &[&str] = &[
    "api_key",
    "apikey",
    "api-key",
    "x-api-key",
    "x_api_key",
    "key",
    "token",
    "access_token",
    "auth_token",
    "auth",
    "app_token",
    "$$app_token",
    "x-app-token",
    "subscription-key",
];

/// The message about a key in an address, which others may read in logs and histories.
pub const KEY_IN_ADDRESS: &str = "a key in an address ends in logs and histories, so it is not read from there: send it in the \
                                  header x-api-key, as Authorization: Bearer, or as the user name of Authorization: Basic. Have \
                                  this one replaced, since others may have read it by now";

/// Tells whether a parameter's name is that of a key.
pub fn is_key(name: &str) -> bool {
    KEYS.contains(&name.to_ascii_lowercase().as_str())
}

/// The explanation for a parameter of another product, and the parameter here that does the same, if any.
pub(super) fn parameter(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    if is_key(name) {
        return Some((KEY_IN_ADDRESS, None));
    }
    let folded = name.to_ascii_lowercase();
    let known = PARAMETERS.iter().find(|(names, ..)| names.contains(&folded.as_str()));
    known.map(|(_, here, meant)| (*here, *meant))
}

/// A condition in PostgREST's form within a value: `gt.5`, `like.*roof*`, `in.(a,b)`, `not.is.null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition<'a> {
    /// The equivalent operator; `None` if there is none here.
    operator: Option<Operator>,
    /// The value in the form used here.
    value: &'a str,
}

/// Reads a value as PostgREST would. A text that merely begins so has to be asked for with `__eq`.
pub(super) fn condition(text: &str) -> Option<Condition<'_>> {
    let (is_not, bare) = text.strip_prefix("not.").map_or((false, text), |bare| (true, bare));
    let (operator, value) = bare.split_once('.')?;
    let (operator, value) = match operator {
        "eq" => (Operator::Equal, value),
        "neq" => (Operator::NotEqual, value),
        "gt" => (Operator::Greater, value),
        "gte" => (Operator::GreaterOrEqual, value),
        "lt" => (Operator::Less, value),
        "lte" => (Operator::LessOrEqual, value),
        "like" | "ilike" => pattern(value),
        "in" => (Operator::In, value.strip_prefix('(')?.strip_suffix(')')?),
        "is" => match value {
            "null" => (Operator::IsNull, "true"),
            "not_null" => (Operator::IsNull, "false"),
            "true" | "false" => (Operator::Equal, value),
            _ => return None,
        },
        _ => return None,
    };
    let (operator, value) = match (is_not, operator) {
        (false, operator) => (Some(operator), value),
        (true, Operator::Equal) => (Some(Operator::NotEqual), value),
        (true, Operator::NotEqual) => (Some(Operator::Equal), value),
        (true, Operator::In) => (Some(Operator::NotIn), value),
        (true, Operator::IsNull) => (Some(Operator::IsNull), if value == "true" { "false" } else { "true" }),
        (true, _) => (None, value),
    };
    Some(Condition { operator, value })
}

/// `*roof*` means "contains `roof`", `roof*` means "begins with `roof`".
fn pattern(pattern: &str) -> (Operator, &str) {
    let is_wild = |c: char| matches!(c, '*' | '%');
    let bare = pattern.trim_matches(is_wild);
    match (pattern.starts_with(is_wild), pattern.ends_with(is_wild)) {
        (false, false) => (Operator::Equal, bare),
        (false, true) => (Operator::StartsWith, bare),
        (true, _) => (Operator::Contains, bare),
    }
}

impl Condition<'_> {
    /// The explanation, and the equivalent here.
    pub(super) fn told(&self, column: &str, text_chars_max: usize) -> (String, Option<String>) {
        let plain = format!("a value that really begins so is asked for by {column}__eq");
        let Some(operator) = self.operator else {
            return (
                format!("is written as in PostgREST; here it is filter=NOT …, and {plain}"),
                Some("filter".to_owned()),
            );
        };
        let name = match operator {
            Operator::Equal => column.to_owned(),
            other => format!("{column}__{}", other.name()),
        };
        let value: String = self.value.chars().take(text_chars_max).collect();
        (format!("is written as in PostgREST; here it is {name}={value}, and {plain}"), Some(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn here(text: &str) -> Option<String> {
        let told = condition(text)?.told("name", 80).0;
        let after = told.split_once("here it is ").unwrap().1.to_owned();
        Some(after.split_once(", and ").unwrap().0.to_owned())
    }

    #[test]
    fn conditions_of_postgrest_are_told_as_they_are_here() {
        for (text, told) in [
            ("eq.Neustadt", "name=Neustadt"),
            ("neq.a", "name__ne=a"),
            ("gt.5", "name__gt=5"),
            ("gte.5.5", "name__gte=5.5"),
            ("lt.2020-01-01", "name__lt=2020-01-01"),
            ("lte.5", "name__lte=5"),
            ("like.*roof*", "name__contains=roof"),
            ("ilike.%roof%", "name__contains=roof"),
            ("like.roof*", "name__startswith=roof"),
            ("in.(a,b)", "name__in=a,b"),
            ("is.null", "name__isnull=true"),
            ("not.is.null", "name__isnull=false"),
            ("not.eq.a", "name__ne=a"),
            ("not.in.(a,b)", "name__notin=a,b"),
            ("not.gt.5", "filter=NOT …"),
        ] {
            assert_eq!(here(text).as_deref(), Some(told), "{text}");
        }
        for text in ["eq", "Neustadt", "a.b", "in.gov", "is.it", "Eq.x", "not.yet", "", ".", "equals.x"] {
            assert_eq!(condition(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_of_others_are_told_whatever_their_case() {
        for (name, meant) in [
            ("$where", Some("filter")),
            ("$LIMIT", Some("limit")),
            ("per_page", Some("limit")),
            ("_size", Some("limit")),
            ("offset", Some("cursor")),
            ("page", Some("cursor")),
            ("fields", Some("select")),
            ("orderBy", Some("sort")),
            ("order_by", Some("sort")),
            ("$q", Some("q")),
            ("search", Some("q")),
        ] {
            assert_eq!(parameter(name).map(|(_, meant)| meant), Some(meant), "{name}");
        }
        for name in ["api_key", "key", "token", "X-API-Key"] {
            assert_eq!(parameter(name), Some((KEY_IN_ADDRESS, None)));
        }
        assert_eq!(parameter("status"), None);
    }

    proptest! {
        #[test]
        fn any_value_is_read_without_trouble(text: String) {
            if let Some(condition) = condition(&text) {
                prop_assert!(text.contains(condition.value) || ["true", "false"].contains(&condition.value));
            }
        }
    }
}
