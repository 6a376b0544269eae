//! Puts questions into plain words, and values into the reader's language.

use std::borrow::Cow;

use fluent_bundle::{FluentArgs, FluentValue};
use jiff::{Timestamp, civil::Date};
use serde_json::Value as Json;

use crate::{
    dataset::{
        ColumnType, Definition, Point, Value,
        query::{Filter, Query, RankedBy, Term, Test},
    },
    http::{
        Problem,
        pages::{language::Language, messages, wording},
    },
};

/// Values of a list that are named one by one.
const VALUES_NAMED: usize = 5;
/// Characters of a text that a sentence repeats.
const TEXT_CHARS: usize = 60;
/// Whole numbers of up to this many digits are shown without groups: they are years, blocks and the like.
const UNGROUPED_DIGITS: usize = 4;

/// A column's name as people read it.
pub(super) fn label(name: &str) -> String {
    name.replace('_', " ")
}

/// A message that is filled in.
pub(super) fn say(language: Language, id: &str, given: &[(&'static str, FluentValue<'_>)]) -> Result<String, Problem> {
    let args: FluentArgs<'_> = given.iter().map(|(name, value)| (*name, value.clone())).collect();
    messages::say(language, id, &args).ok_or_else(|| Problem::internal(format!("the message {id} cannot be said")))
}

/// A typed value in the reader's language. Empty for a null.
pub(super) fn value(value: &Value, language: Language) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        Value::Integer(number) => whole(&number.to_string(), language),
        Value::Money(_) | Value::Number(_) => wording::decimal(&value.to_string(), language),
        Value::Date(date) => wording::day(*date, language),
        Value::Timestamp(at) => wording::moment(*at, language),
        Value::Point(point) => point.to_string(),
    }
}

/// The same for a value of a document, where whole numbers and amounts are texts.
pub(super) fn shown(kind: ColumnType, value: &Json, language: Language) -> String {
    match (kind, value) {
        (_, Json::Null) => String::new(),
        (ColumnType::Integer, Json::String(text)) => whole(text, language),
        (ColumnType::Money, Json::String(text)) => wording::decimal(text, language),
        (ColumnType::Date, Json::String(text)) => {
            text.parse::<Date>().map_or_else(|_| text.clone(), |date| wording::day(date, language))
        }
        (ColumnType::Timestamp, Json::String(text)) => {
            text.parse::<Timestamp>().map_or_else(|_| text.clone(), |at| wording::moment(at, language))
        }
        (ColumnType::Point, other) => {
            Point::of_geojson(&other.to_string()).map_or_else(|_| other.to_string(), |point| point.to_string())
        }
        (_, Json::String(text)) => text.clone(),
        (_, Json::Number(number)) => wording::decimal(&number.to_string(), language),
        (_, other) => other.to_string(),
    }
}

fn whole(text: &str, language: Language) -> String {
    let digits = text.trim_start_matches('-').len();
    if digits <= UNGROUPED_DIGITS { text.replace('-', "\u{2212}") } else { wording::decimal(text, language) }
}

/// Puts questions to one data set into words.
#[derive(Clone, Copy)]
pub(super) struct Speaker<'d> {
    pub(super) definition: &'d Definition,
    pub(super) language: Language,
}

impl Speaker<'_> {
    fn say(&self, id: &str, given: &[(&'static str, FluentValue<'_>)]) -> Result<String, Problem> {
        say(self.language, id, given)
    }

    fn joined(&self, id: &str, parts: Vec<String>) -> Result<String, Problem> {
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        parts.try_fold(first, |left, right| self.say(id, &[("left", left.into()), ("right", right.into())]))
    }

    /// The question as one sentence: which records, in which order.
    pub(super) fn question(&self, query: &Query) -> Result<String, Problem> {
        let title = self.definition.title.clone();
        let parts: Vec<String> = query.filter.parts().iter().map(|part| self.within(part)).collect::<Result<_, _>>()?;
        let order = self.order(query)?;
        if parts.is_empty() {
            return self.say("explore-says-all", &[("title", title.into()), ("order", order.into())]);
        }
        let conditions = self.joined("explore-says-and", parts)?;
        let given = [("title", title.into()), ("conditions", conditions.into()), ("order", order.into())];
        self.say("explore-says-some", &given)
    }

    fn order(&self, query: &Query) -> Result<String, Problem> {
        let mut terms = Vec::new();
        for term in &query.sort {
            let kind = match self.definition.column_kind(term.column) {
                ColumnType::Text | ColumnType::Point => "text",
                ColumnType::Date | ColumnType::Timestamp => "day",
                ColumnType::Integer | ColumnType::Money | ColumnType::Number => "number",
            };
            let way = if term.descending { "down" } else { "up" };
            let column = label(self.definition.column_name(term.column));
            terms.push(self.say(&format!("explore-order-{kind}-{way}"), &[("column", column.into())])?);
        }
        if let Some(ranking) = &query.ranking {
            let id = match (&ranking.by, ranking.descending) {
                (RankedBy::Relevance(_), _) => "explore-order-relevance",
                (RankedBy::Distance { .. }, false) => "explore-order-nearest",
                (RankedBy::Distance { .. }, true) => "explore-order-farthest",
            };
            terms.insert(0, self.say(id, &[])?);
        }
        if terms.is_empty() {
            let column = label(self.definition.column_name(self.definition.key));
            return self.say("explore-order-usual", &[("column", column.into())]);
        }
        self.joined("explore-order-then", terms)
    }

    /// The time that is looked back to, for a chip.
    pub(super) fn as_of(&self, value: &str) -> Result<String, Problem> {
        self.say("explore-says-as-of", &[("value", cut(value, TEXT_CHARS).into_owned().into())])
    }

    /// A filter by itself, for a chip.
    pub(super) fn filter(&self, filter: &Filter) -> Result<String, Problem> {
        match filter {
            Filter::All(filters) => self.several("explore-says-both", filters),
            Filter::Any(filters) => self.several("explore-says-or", filters),
            Filter::Not(inner) => {
                let inner = self.filter(inner)?;
                self.say("explore-says-not", &[("inner", inner.into())])
            }
            Filter::Term(term) => self.term(term),
            Filter::Words(search) => self.say("explore-says-words", &[("words", search.words().join(" ").into())]),
        }
    }

    /// A filter within another one: in parentheses if it combines several.
    fn within(&self, filter: &Filter) -> Result<String, Problem> {
        let text = self.filter(filter)?;
        Ok(match filter {
            Filter::All(_) | Filter::Any(_) => format!("({text})"),
            Filter::Not(_) | Filter::Term(_) | Filter::Words(_) => text,
        })
    }

    fn several(&self, id: &str, filters: &[Filter]) -> Result<String, Problem> {
        let parts: Vec<String> = filters.iter().map(|filter| self.within(filter)).collect::<Result<_, _>>()?;
        self.joined(id, parts)
    }

    fn term(&self, Term { column, test }: &Term) -> Result<String, Problem> {
        let kind = self.definition.column_kind(*column);
        let is_day = matches!(kind, ColumnType::Date | ColumnType::Timestamp);
        let suffix = if is_day { "-day" } else { "" };
        let name = FluentValue::from(label(self.definition.column_name(*column)));
        let one =
            |id: &str, bound: &Value| self.say(id, &[("column", name.clone()), ("value", self.named(bound).into())]);
        let list = |id: &str, values: &[Value]| {
            self.say(id, &[("column", name.clone()), ("value", self.list(values)?.into())])
        };
        match test {
            Test::Equal(bound) => one("explore-is", bound),
            Test::NotEqual(bound) => one("explore-is-not", bound),
            Test::Less(bound) => one(&format!("explore-below{suffix}"), bound),
            Test::LessOrEqual(bound) => one(&format!("explore-at-most{suffix}"), bound),
            Test::Greater(bound) => one(&format!("explore-above{suffix}"), bound),
            Test::GreaterOrEqual(bound) => one(&format!("explore-at-least{suffix}"), bound),
            Test::Between(low, high) => {
                let given = [("column", name), ("from", self.named(low).into()), ("to", self.named(high).into())];
                self.say("explore-between", &given)
            }
            Test::In(values) => list("explore-one-of", values),
            Test::NotIn(values) => list("explore-none-of", values),
            Test::Contains(text) => one("explore-contains", &Value::Text(text.clone())),
            Test::StartsWith(text) => one("explore-starts-with", &Value::Text(text.clone())),
            Test::Inside(area) => {
                let (operator, value) = area.written();
                self.say(&format!("explore-{operator}"), &[("column", name), ("value", value.into())])
            }
            Test::Null(true) => self.say("explore-is-empty", &[("column", name)]),
            Test::Null(false) => self.say("explore-is-not-empty", &[("column", name)]),
        }
    }

    fn list(&self, values: &[Value]) -> Result<String, Problem> {
        let named: Vec<String> = values.iter().take(VALUES_NAMED).map(|value| self.named(value)).collect();
        let named = named.join(", ");
        match values.len().saturating_sub(VALUES_NAMED) {
            0 => Ok(named),
            more => {
                let more = u32::try_from(more).unwrap_or(u32::MAX);
                self.say("explore-and-others", &[("values", named.into()), ("count", FluentValue::from(more))])
            }
        }
    }

    /// A value within a sentence. Texts that could be read as a part of the sentence are quoted.
    fn named(&self, value: &Value) -> String {
        let Value::Text(text) = value else { return self::value(value, self.language) };
        let short = cut(text, TEXT_CHARS);
        let is_word =
            !short.is_empty() && short.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '#'));
        match (is_word, self.language) {
            (true, _) => short.into_owned(),
            (false, Language::English) => format!("“{short}”"),
            (false, Language::German) => format!("„{short}“"),
        }
    }
}

/// A text, cut to this many characters.
pub(super) fn cut(text: &str, chars: usize) -> Cow<'_, str> {
    // A text has no more characters than bytes.
    if text.len() <= chars {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(chars) {
        Some((at, _)) => Cow::Owned(format!("{}…", text.get(..at).unwrap_or_default().trim_end())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{cursor::CursorKey, query};

    fn said(raw: &str, language: Language) -> String {
        let definition = Definition::builtin().unwrap().remove(0);
        let key = CursorKey::new([0; 32]);
        let query = query::parse(&definition, raw, &query::QueryLimits::default(), &key).unwrap();
        Speaker { definition: &definition, language }.question(&query).unwrap()
    }

    #[test]
    fn a_question_becomes_a_sentence() {
        let raw = "status=issued&estimated_cost__gte=10000&sort=-file_date";
        let english = said(raw, Language::English);
        assert!(
            english.ends_with(
                "whose status is issued and whose estimated cost is at least 10,000.00, by file date, newest first."
            ),
            "{english}"
        );
        let german = said(raw, Language::German);
        assert!(german.contains("status ist issued und estimated cost ist mindestens 10.000,00"), "{german}");
        assert!(german.ends_with("nach file date, Neueste zuerst."), "{german}");
    }

    #[test]
    fn what_belongs_together_is_in_parentheses() {
        let text =
            said("filter=(status+%3D+%22a+b%22+OR+isnull(file_date))+AND+NOT+estimated_cost+%3C+5", Language::English);
        assert!(
            text.contains("whose (status is “a b” or file date is empty) and whose not (estimated cost is below 5.00)"),
            "{text}"
        );
    }

    #[test]
    fn values_are_those_of_their_type() {
        let both =
            |kind, value: Json| [Language::English, Language::German].map(|language| shown(kind, &value, language));
        assert_eq!(both(ColumnType::Money, "-1234567.50".into()), ["\u{2212}1,234,567.50", "\u{2212}1.234.567,50"]);
        assert_eq!(both(ColumnType::Integer, "2016".into()), ["2016", "2016"]);
        assert_eq!(both(ColumnType::Integer, "92016".into()), ["92,016", "92.016"]);
        assert_eq!(both(ColumnType::Date, "2016-12-01".into()), ["1 Dec 2016", "01.12.2016"]);
        assert_eq!(both(ColumnType::Number, (-122.25).into()), ["\u{2212}122.25", "\u{2212}122,25"]);
        assert_eq!(both(ColumnType::Text, Json::Null), ["", ""]);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("äöüß", 2), "äö…");
        assert_eq!(cut("äö", 2), "äö");
    }
}
