//! The operators of conditions, and the tests that they make of their values.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::{QueryLimits, Test, ascending, parameters::PLUS_HINT};
use crate::dataset::{
    ColumnType, Definition, Value,
    place::{Area, AreaError, Circle, GeoBox, Polygon},
    suggest,
    text::folded,
    value::{ValueError, parse_iso_date},
};

/// The most characters of a value that a message repeats.
pub(super) const VALUE_CHARS_SHOWN: usize = 80;

/// Names that other interfaces use for these operators.
const ALIASES: [(&str, Operator); 21] = [
    ("equals", Operator::Equal),
    ("exact", Operator::Equal),
    ("neq", Operator::NotEqual),
    ("not", Operator::NotEqual),
    ("le", Operator::LessOrEqual),
    ("ge", Operator::GreaterOrEqual),
    ("min", Operator::GreaterOrEqual),
    ("max", Operator::LessOrEqual),
    ("range", Operator::Between),
    ("nin", Operator::NotIn),
    ("like", Operator::Contains),
    ("ilike", Operator::Contains),
    ("icontains", Operator::Contains),
    ("has", Operator::Contains),
    ("prefix", Operator::StartsWith),
    ("null", Operator::IsNull),
    ("is", Operator::IsNull),
    ("nearby", Operator::Near),
    ("dwithin", Operator::Near),
    ("box", Operator::Bbox),
    ("intersects", Operator::Within),
];

/// An operator of a condition on one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// The value equals the operand.
    Equal,
    /// The value is null or differs from the operand.
    NotEqual,
    /// The value comes before the operand.
    Less,
    /// The value equals the operand or comes before it.
    LessOrEqual,
    /// The value comes after the operand.
    Greater,
    /// The value equals the operand or comes after it.
    GreaterOrEqual,
    /// The value lies between two operands, both included.
    Between,
    /// The value is one of the operands.
    In,
    /// The value is null or none of the operands.
    NotIn,
    /// The value contains the text, ignoring case.
    Contains,
    /// The value begins with the text.
    StartsWith,
    /// The value is no farther from a point than a distance.
    Near,
    /// The value lies between two latitudes and two longitudes.
    Bbox,
    /// The value lies within a polygon.
    Within,
    /// The value is null, or is not.
    IsNull,
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Between,
        Self::In,
        Self::NotIn,
        Self::Contains,
        Self::StartsWith,
        Self::Near,
        Self::Bbox,
        Self::Within,
        Self::IsNull,
    ];

    /// Those that ask for places.
    pub const PLACES: [Self; 3] = [Self::Near, Self::Bbox, Self::Within];

    /// The operator's name: behind a column's name and two underscores, and as a function in an expression.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Less => "lt",
            Self::LessOrEqual => "lte",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "gte",
            Self::Between => "between",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Contains => "contains",
            Self::StartsWith => "startswith",
            Self::Near => "near",
            Self::Bbox => "bbox",
            Self::Within => "within",
            Self::IsNull => "isnull",
        }
    }

    /// The operator with that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.name() == name)
    }

    /// The operator probably meant by an unknown name.
    pub fn meant(name: &str) -> Option<Self> {
        let folded = name.to_ascii_lowercase();
        let alias = ALIASES.iter().find_map(|(alias, meant)| (*alias == folded).then_some(*meant));
        alias.or_else(|| suggest::nearest(&folded, Self::ALL.map(Self::name)).and_then(Self::named))
    }

    /// All names, for a message.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Tells whether the operator applies to columns of the type.
    pub fn suits(self, kind: ColumnType) -> bool {
        match self {
            Self::Contains | Self::StartsWith => kind == ColumnType::Text,
            Self::Near | Self::Bbox | Self::Within => kind == ColumnType::Point,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual | Self::Between => {
                kind != ColumnType::Point
            }
            Self::Equal | Self::NotEqual | Self::In | Self::NotIn | Self::IsNull => true,
        }
    }

    /// Why the operator does not apply to a column whose type it does not suit.
    fn unsuited(self) -> &'static str {
        match self {
            Self::Contains | Self::StartsWith => "this operator is for text columns only",
            Self::Near | Self::Bbox | Self::Within => "this operator is for columns of points only",
            _ => "points have no order: ask for places with near, bbox or within",
        }
    }

    /// Tells whether several values of the operator are one text, separated by commas.
    pub(super) fn joins_values(self) -> bool {
        matches!(self, Self::Near | Self::Bbox)
    }

    /// Tells whether the operator takes any number of values.
    pub fn takes_list(self) -> bool {
        matches!(self, Self::Between | Self::In | Self::NotIn)
    }
}

/// Why values make no valid condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    /// The place of the wrong value, if there are several.
    pub(super) nth: Option<usize>,
    pub(super) reason: String,
}

impl From<String> for Unfit {
    fn from(reason: String) -> Self {
        Self { nth: None, reason }
    }
}

impl From<&str> for Unfit {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

/// Makes conditions from columns, operators and values as written.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConditionMaker<'a> {
    pub(super) definition: &'a Definition,
    pub(super) limits: &'a QueryLimits,
}

impl ConditionMaker<'_> {
    /// The test for an operator and its values. An operator with one operand gets one value.
    pub(super) fn test(&self, column: usize, operator: Operator, values: &[Cow<'_, str>]) -> Result<Test, Unfit> {
        if !operator.suits(self.definition.column_kind(column)) {
            return Err(operator.unsuited().into());
        }
        if values.len() > self.limits.list_values_max {
            let (count, most) = (values.len(), self.limits.list_values_max);
            return Err(format!("lists {count} values: at most {most} are allowed").into());
        }
        let text = values.first().map_or("", |value| value.as_ref());
        let one = || self.value(column, text);
        let told = |error: AreaError| error.to_string();
        Ok(match operator {
            Operator::Equal => Test::Equal(one()?),
            Operator::NotEqual => Test::NotEqual(one()?),
            Operator::Less => Test::Less(one()?),
            Operator::LessOrEqual => Test::LessOrEqual(one()?),
            Operator::Greater => Test::Greater(one()?),
            Operator::GreaterOrEqual => Test::GreaterOrEqual(one()?),
            Operator::Between => match self.list(column, values)?.as_slice() {
                [low, high] if ascending(low, high).is_le() => Test::Between(low.clone(), high.clone()),
                [_, _] => return Err("the first bound is above the second, so nothing can match".into()),
                _ => return Err("expected two values, as in 10000,50000".into()),
            },
            Operator::In => Test::one_of(self.list(column, values)?),
            Operator::NotIn => Test::none_of(self.list(column, values)?),
            Operator::Contains => Test::Contains(folded(text).into_owned()),
            Operator::StartsWith => Test::StartsWith(self.definition.canonical_text(column, text).into_owned()),
            Operator::Near => Test::Inside(Area::Near(Circle::parse(&values.join(",")).map_err(told)?)),
            Operator::Bbox => Test::Inside(Area::Box(GeoBox::parse(&values.join(",")).map_err(told)?)),
            Operator::Within => {
                let polygon = Polygon::parse(text, self.limits.polygon_vertices_max);
                Test::Inside(Area::Polygon(polygon.map_err(told)?))
            }
            Operator::IsNull => match text {
                "true" => Test::Null(true),
                "false" => Test::Null(false),
                _ => return Err("expected true or false".into()),
            },
        })
    }

    fn value(&self, column: usize, text: &str) -> Result<Value, String> {
        let kind = self.definition.column_kind(column);
        if kind == ColumnType::Text {
            return Ok(Value::Text(self.definition.canonical_text(column, text).into_owned()));
        }
        let parsed = Value::parse(kind, text);
        if let (ColumnType::Timestamp, Err(_), Some(day)) = (kind, &parsed, parse_iso_date(text.as_bytes())) {
            // A day means the moment when it begins, in UTC.
            return day
                .to_zoned(TimeZone::UTC)
                .map(|start| Value::Timestamp(start.timestamp()))
                .map_err(|_| ValueError::OutOfRange.to_string());
        }
        parsed.map_err(|error| {
            // An unencoded plus sign in a query means a space.
            let is_plus = text.contains(' ') && Value::parse(kind, &text.replace(' ', "+")).is_ok();
            let hint = if is_plus { format!("; {PLUS_HINT}") } else { String::new() };
            let day = if kind == ColumnType::Timestamp { ", or a day such as 2016-12-01" } else { "" };
            format!("{error}{day}{hint}")
        })
    }

    fn list(&self, column: usize, values: &[Cow<'_, str>]) -> Result<Vec<Value>, Unfit> {
        if values.is_empty() {
            return Err("the list is empty".into());
        }
        let value = |(nth, text): (usize, &Cow<'_, str>)| {
            self.value(column, text).map_err(|reason| {
                let shown: String = text.chars().take(VALUE_CHARS_SHOWN).collect();
                Unfit { nth: Some(nth), reason: format!("{shown:?}: {reason}") }
            })
        };
        values.iter().enumerate().map(value).collect()
    }
}
