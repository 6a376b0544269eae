//! Filter expressions: `(status = "issued" OR status = "complete") AND NOT zipcode = "94110"`, a subset of AIP-160.
//!
//! ```text
//! expression = operand { "AND" operand } | operand { "OR" operand }
//! operand    = [ "NOT" ] ( "(" expression ")" | function | condition )
//! condition  = column ( "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ) value
//! function   = operator "(" column { "," value } ")"
//! value      = a quoted text, or a bare word, number, date or timestamp
//! ```
//!
//! `:` is `contains`; every operator of the plain parameters is a function of the same name. Texts are in double or single quotes; a
//! backslash in them escapes a quote or a backslash. AND and OR do not mix without parentheses: AIP-160 binds OR closer than AND, SQL does
//! the opposite, so half the readers would misread either.

use std::borrow::Cow;

use super::{
    Filter, InvalidParam, QueryLimits, Term,
    operator::{ConditionMaker, Operator, Unfit},
    parameters::PLUS_HINT,
};
use crate::dataset::{Definition, suggest};

/// The parameter.
const NAME: &str = "filter";
/// The most characters of an unknown word that a message repeats.
const WORD_CHARS_SHOWN: usize = 80;
/// The most mistakes reported.
const PROBLEMS_MAX: usize = 20;

/// Comparisons, longer ones before their prefixes, including those that other languages have and this one does not.
const COMPARISONS: [(&str, Result<Operator, &str>); 13] = [
    ("!=", Ok(Operator::NotEqual)),
    ("<=", Ok(Operator::LessOrEqual)),
    (">=", Ok(Operator::GreaterOrEqual)),
    ("==", Err("=")),
    ("=~", Err(":")),
    ("<>", Err("!=")),
    ("=", Ok(Operator::Equal)),
    ("<", Ok(Operator::Less)),
    (">", Ok(Operator::Greater)),
    (":", Ok(Operator::Contains)),
    ("~", Err(":")),
    ("≠", Err("!=")),
    ("≤", Err("<=")),
];

/// Reads an expression. `terms_left` is the number of conditions that it may hold.
///
/// # Errors
/// The mistakes, each with the character where it is: the first mistake of syntax, and before it all wrong columns, operators and values.
pub(super) fn parse(
    definition: &Definition,
    limits: &QueryLimits,
    terms_left: usize,
    text: &str,
) -> Result<Filter, Vec<InvalidParam>> {
    let conditions = ConditionMaker { definition, limits };
    let mut parser = Parser { conditions, text, at: 0, depth: 0, terms_left, problems: Vec::new() };
    match parser.whole() {
        Ok(filter) if parser.problems.is_empty() => Ok(filter),
        Ok(_) | Err(Stopped) => Err(parser.problems),
    }
}

/// Tells whether a text begins like a timestamp's offset after its plus sign.
fn is_offset(text: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    matches!(text.as_bytes(), [h, hh, b':', m, mm, ..] if [h, hh, m, mm].into_iter().all(is_digit))
}

/// Parsing cannot go on; the reason is among the problems.
struct Stopped;

struct Parser<'a> {
    conditions: ConditionMaker<'a>,
    text: &'a str,
    /// The next byte to read.
    at: usize,
    /// The depth of parentheses and NOTs at this point.
    depth: usize,
    terms_left: usize,
    problems: Vec<InvalidParam>,
}

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Result<Filter, Stopped> {
        if self.text.trim().is_empty() {
            return self.stop(0, "is empty: write a condition such as status = \"issued\", or leave it out", None);
        }
        let filter = self.expression()?;
        self.skip_spaces();
        match self.rest().chars().next() {
            None => Ok(filter),
            Some(')') => self.stop(self.at, "this parenthesis was never opened", None),
            Some(_) => self.unexpected_after_operand(),
        }
    }

    fn expression(&mut self) -> Result<Filter, Stopped> {
        let mut operands = vec![self.operand()?];
        let mut joined: Option<&str> = None;
        loop {
            self.skip_spaces();
            let start = self.at;
            let word = self.peek_word();
            let Some(word) = ["AND", "OR"].into_iter().find(|known| *known == word) else { break };
            if joined.is_some_and(|joined| joined != word) {
                let reason = "AND and OR are mixed: put parentheses around what belongs together";
                return self.stop(start, reason, None);
            }
            joined = Some(word);
            self.at += word.len();
            operands.push(self.operand()?);
        }
        Ok(if joined == Some("OR") { Filter::any(operands) } else { Filter::all(operands) })
    }

    fn operand(&mut self) -> Result<Filter, Stopped> {
        self.skip_spaces();
        let start = self.at;
        match self.rest().chars().next() {
            None => self.stop(start, "expected a condition here, but it ends", None),
            Some('(') => {
                self.deeper(start)?;
                self.at += 1;
                let filter = self.expression()?;
                self.skip_spaces();
                match self.rest().chars().next() {
                    Some(')') => {
                        self.at += 1;
                        self.depth -= 1;
                        Ok(filter)
                    }
                    None => self.stop(start, "this parenthesis is never closed", None),
                    Some(_) => self.unexpected_after_operand(),
                }
            }
            Some('-' | '!') => {
                self.stop(start, "expected a condition here; its opposite is written with NOT", Some("NOT"))
            }
            Some(')') => self.stop(start, "expected a condition before this parenthesis", None),
            Some(first) if first.is_alphabetic() || first == '_' => self.word_first(start),
            Some('"' | '\'') => self.stop(
                start,
                "expected a column here: its name is written without quotes, and before its value",
                None,
            ),
            Some(_) => self.stop(start, "expected a column here, as in status = \"issued\"", None),
        }
    }

    /// Parses NOT, a function or a condition.
    fn word_first(&mut self, start: usize) -> Result<Filter, Stopped> {
        let word = self.peek_word();
        match word {
            "NOT" => {
                self.deeper(start)?;
                self.at += word.len();
                let filter = self.operand()?;
                self.depth -= 1;
                return Ok(filter.negated());
            }
            "AND" | "OR" => return self.stop(start, &format!("expected a condition before {word}"), None),
            _ => {}
        }
        let (known, upper) = (self.column_of(word), word.to_ascii_uppercase());
        if known.is_none() && matches!(upper.as_str(), "NOT" | "AND" | "OR") {
            return self.stop(start, &format!("{upper} is written in capitals"), Some(&upper));
        }
        self.at += word.len();
        self.skip_spaces();
        if self.rest().starts_with('(') { self.function(start, word) } else { self.condition(start, word, known) }
    }

    fn condition(&mut self, start: usize, name: &'a str, column: Option<usize>) -> Result<Filter, Stopped> {
        let at = self.at;
        if column.is_none() && (self.rest().is_empty() || self.rest().starts_with(')')) {
            let reason = "expected a condition, which is a column, a comparison and a value: status = \"issued\"";
            return self.stop(start, reason, None);
        }
        let found = COMPARISONS.into_iter().find(|(sign, _)| self.rest().starts_with(sign));
        let operator = match found {
            Some((sign, Ok(operator))) => {
                self.at += sign.len();
                operator
            }
            Some((_, Err(meant))) => return self.stop(at, "there is no such comparison", Some(meant)),
            None => return self.no_comparison(at, name),
        };
        let (value_at, value) = self.value()?;
        let column = self.known(start, name, column);
        self.finish(start, column, operator, &[(value_at, value)])
    }

    /// No comparison follows a column. A person used to SQL may have written an operator that is a function here.
    fn no_comparison<T>(&mut self, at: usize, name: &str) -> Result<T, Stopped> {
        let word = self.peek_word();
        let (operator, shape) = match word.to_ascii_lowercase().as_str() {
            "in" => ("in", "in(%, \"a\", \"b\")"),
            "not" => ("notin", "notin(%, \"a\", \"b\")"),
            "between" => ("between", "between(%, 1, 2)"),
            "like" | "ilike" => ("contains", "contains(%, \"a\")"),
            "is" => ("isnull", "isnull(%)"),
            _ => match Operator::meant(word).map(Operator::name) {
                Some(name) if !word.is_empty() => (name, "a function before the column, as in in(%, \"a\", \"b\")"),
                _ => {
                    let reason = format!("expected a comparison after {name}: one of = != < <= > >= :");
                    return self.stop(at, &reason, None);
                }
            },
        };
        let reason = format!("{operator} is written {}", shape.replace('%', name));
        self.stop(at, &reason, Some(operator))
    }

    fn function(&mut self, start: usize, name: &str) -> Result<Filter, Stopped> {
        let Some(operator) = Operator::named(name) else {
            let reason = format!("there is no such function: the functions are {}", Operator::names());
            let meant = Operator::meant(name).map(Operator::name);
            return self.stop(start, &reason, meant);
        };
        self.at += 1;
        self.skip_spaces();
        let column_at = self.at;
        let word = self.peek_word();
        if word.is_empty() {
            return self.stop(column_at, &format!("expected a column here, as in {name}(status, …)"), None);
        }
        self.at += word.len();
        let mut values = Vec::new();
        loop {
            self.skip_spaces();
            let at = self.at;
            match self.rest().chars().next() {
                Some(',') => {
                    self.at += 1;
                    values.push(self.value()?);
                    if values.len() > self.conditions.limits.list_values_max {
                        let most = self.conditions.limits.list_values_max;
                        return self.stop(
                            at,
                            &format!("the list is too long: at most {most} values are allowed"),
                            None,
                        );
                    }
                }
                Some(')') => {
                    self.at += 1;
                    break;
                }
                None => return self.stop(start, &format!("{name}( is never closed"), None),
                Some(_) => return self.stop(at, &format!("expected , or ) in {name}(…)"), None),
            }
        }
        if operator == Operator::IsNull && values.is_empty() {
            values.push((start, Cow::Borrowed("true")));
        }
        let has_enough = operator.takes_list() || (operator.joins_values() && !values.is_empty()) || values.len() == 1;
        if !has_enough {
            let reason = format!("{name} takes a column and one value, not {} values", values.len());
            return self.stop(start, &reason, None);
        }
        let column = self.known(column_at, word, self.column_of(word));
        self.finish(start, column, operator, &values)
    }

    /// The condition, if all of it is right.
    fn finish(
        &mut self,
        start: usize,
        column: Option<usize>,
        operator: Operator,
        values: &[(usize, Cow<'a, str>)],
    ) -> Result<Filter, Stopped> {
        let Some(left) = self.terms_left.checked_sub(1) else {
            let most = self.conditions.limits.terms_max;
            return self.stop(start, &format!("one condition too many: at most {most} are allowed"), None);
        };
        self.terms_left = left;
        let Some(column) = column else { return self.go_on() };
        let texts: Vec<Cow<'_, str>> = values.iter().map(|(_, value)| Cow::Borrowed(value.as_ref())).collect();
        match self.conditions.test(column, operator, &texts) {
            Ok(test) => Ok(Filter::Term(Term { column, test })),
            Err(Unfit { nth, reason }) => {
                // An error of the only value is reported at that value, an error of the operator at the condition.
                let kind = self.conditions.definition.column_kind(column);
                let nth = nth.or_else(|| (values.len() == 1 && operator.suits(kind)).then_some(0));
                let at = nth.and_then(|nth| values.get(nth)).map_or(start, |(at, _)| *at);
                self.say(at, &reason, None);
                self.go_on()
            }
        }
    }

    /// Goes on after a mistake that leaves the syntax intact. The condition returned in its place is never used.
    fn go_on(&self) -> Result<Filter, Stopped> {
        if self.problems.len() >= PROBLEMS_MAX { Err(Stopped) } else { Ok(Filter::All(Vec::new())) }
    }

    /// Parses a value: its place and its text.
    fn value(&mut self) -> Result<(usize, Cow<'a, str>), Stopped> {
        self.skip_spaces();
        let start = self.at;
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            return self.quoted(start, quote).map(|text| (start, text));
        }
        let end = rest.find(|next: char| next.is_whitespace() || "(),\"'".contains(next)).unwrap_or(rest.len());
        let bare = rest.get(..end).unwrap_or_default();
        match bare {
            "" => return self.stop(start, "expected a value here; a text is written in quotes", None),
            "null" | "NULL" => {
                return self.stop(
                    start,
                    "null is no value: write isnull(column), or NOT isnull(column)",
                    Some("isnull"),
                );
            }
            _ if bare.contains('*') => {
                let reason = "there are no wildcards: write startswith(column, \"a\") or contains(column, \"a\"); \
                              a text that holds a * is written in quotes";
                return self.stop(start, reason, Some("startswith"));
            }
            _ => {}
        }
        self.at += end;
        Ok((start, Cow::Borrowed(bare)))
    }

    fn quoted(&mut self, start: usize, quote: char) -> Result<Cow<'a, str>, Stopped> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let (mut text, mut from, mut chars) = (Cow::Borrowed(""), 0, inside.char_indices());
        while let Some((at, next)) = chars.next() {
            let piece = inside.get(from..at).unwrap_or_default();
            if next == quote {
                self.at = start + 1 + at + 1;
                return Ok(if text.is_empty() { Cow::Borrowed(piece) } else { text + piece });
            }
            if next == '\\' {
                let Some((escaped_at, escaped @ ('"' | '\'' | '\\'))) = chars.next() else {
                    let reason = "a backslash in a text stands before a quote or another backslash";
                    return self.stop(start + 1 + at, reason, None);
                };
                text.to_mut().push_str(piece);
                text.to_mut().push(escaped);
                from = escaped_at + escaped.len_utf8();
            }
        }
        self.stop(start, "this quote is never closed", None)
    }

    fn deeper(&mut self, at: usize) -> Result<(), Stopped> {
        let most = self.conditions.limits.depth_max;
        self.depth += 1;
        if self.depth > most {
            return self.stop(
                at,
                &format!("nested too deeply: at most {most} parentheses and NOTs within one another"),
                None,
            );
        }
        Ok(())
    }

    /// Something other than AND or OR follows a whole condition.
    fn unexpected_after_operand<T>(&mut self) -> Result<T, Stopped> {
        let word = self.peek_word();
        let upper = word.to_ascii_uppercase();
        let meant = match upper.as_str() {
            "AND" | "OR" => Some(upper.as_str()),
            _ if self.rest().starts_with('&') || self.rest().starts_with(',') => Some("AND"),
            _ if self.rest().starts_with('|') => Some("OR"),
            _ => None,
        };
        let expected = "expected AND or OR between two conditions; a text of several words is written in quotes";
        if is_offset(self.rest()) {
            return self.stop(self.at, &format!("{expected}; {PLUS_HINT}"), meant);
        }
        self.stop(self.at, expected, meant)
    }

    fn column_of(&self, name: &str) -> Option<usize> {
        self.conditions.definition.column_index(name)
    }

    /// The column; for an unknown name, records the mistake.
    fn known(&mut self, at: usize, name: &str, column: Option<usize>) -> Option<usize> {
        if column.is_none() {
            let shown: String = name.chars().take(WORD_CHARS_SHOWN).collect();
            let names = self.conditions.definition.columns.iter().map(|column| column.name.as_str());
            let meant = suggest::nearest(name, names);
            self.say(at, &format!("there is no column {shown:?}"), meant);
        }
        column
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The letters, digits and underscores that come next.
    fn peek_word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    fn say(&mut self, at: usize, reason: &str, meant: Option<&str>) {
        let position = self.text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        self.problems.push(InvalidParam {
            name: NAME.to_owned(),
            reason: format!("at character {position}: {reason}"),
            did_you_mean: meant.map(str::to_owned),
            position: Some(position),
            is_gone: false,
        });
    }

    fn stop<T>(&mut self, at: usize, reason: &str, meant: Option<&str>) -> Result<T, Stopped> {
        self.say(at, reason, meant);
        Err(Stopped)
    }
}
