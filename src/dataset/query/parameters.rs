//! The names of the parameters that questions take beside conditions.

/// The hint for a space that was meant as a plus sign.
pub(super) const PLUS_HINT: &str = "a + in an address means a space: write it as %2B";

/// The parameters of all questions that are not filters. A column with such a name is reached by `<name>__eq`.
pub const RESERVED: [&str; 14] = [
    "filter",
    "select",
    "sort",
    "limit",
    "cursor",
    "count",
    "explain",
    "format",
    "csv_safe",
    "bom",
    "delimiter",
    "numbers",
    "columns",
    "since",
];

/// Parameters that are younger than columns of such names: in a data set that has one, the name is the column's.
pub const YIELDING: [&str; 1] = ["q"];

/// The parameter for an earlier version. Columns may have this name, and have had it: such a column is reached by `as_of__eq`.
pub const AS_OF: &str = "as_of";

/// The parameters of a page of records: all but those of facets and of changes.
pub(super) const OF_PAGE: [&str; 13] = [
    "filter",
    "select",
    "sort",
    "limit",
    "cursor",
    "count",
    "explain",
    "format",
    "csv_safe",
    "bom",
    "delimiter",
    "numbers",
    AS_OF,
];
pub(super) const OF_READ: [&str; 3] = ["select", "numbers", AS_OF];
pub(super) const OF_FACETS: [&str; 5] = ["filter", "columns", "limit", "numbers", AS_OF];
pub(super) const OF_STATS: [&str; 4] = ["filter", "columns", "numbers", AS_OF];
/// `by`, `measure` and `having` are reserved for groups alone: columns have had such names.
pub(super) const OF_GROUPS: [&str; 12] =
    ["filter", "by", "measure", "having", "sort", "limit", "format", "csv_safe", "bom", "delimiter", "numbers", AS_OF];
pub(super) const OF_CHANGES: [&str; 3] = ["since", "limit", "numbers"];
pub(super) const OF_HISTORY: [&str; 3] = ["cursor", "limit", "numbers"];
