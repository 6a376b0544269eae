//! The parameters of the administrator's lists. Each must be known, of its type, and given at most once.

use std::{borrow::Cow, str::FromStr};

use crate::{
    dataset::suggest,
    http::{InvalidParam, Problem},
};

/// Items of a page if the request has no limit.
pub(in crate::http) const LIMIT_DEFAULT: usize = 100;
/// Most items of a page. A larger limit is lowered to this one, and the answer says so.
pub(in crate::http) const LIMIT_MAX: usize = 1000;

/// Parameters that are repeated in an answer at most, and characters of each.
const REPORTED_MAX: usize = 20;

/// The parameters of one request.
#[derive(Debug)]
pub(in crate::http) struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads a query. Every parameter must be among `known`.
    ///
    /// # Errors
    /// 400 with every parameter that is unknown or repeated.
    pub(in crate::http) fn read(query: &'a str, known: &[&str]) -> Result<Self, Problem> {
        Self::read_with(query, known, &[])
    }

    /// As [`Params::read`], but the parameters among `repeated` may be repeated.
    ///
    /// # Errors
    /// As [`Params::read`].
    pub(in crate::http) fn read_with(query: &'a str, known: &[&str], repeated: &[&str]) -> Result<Self, Problem> {
        let mut params: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        let mut wrong = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let reason = if !known.contains(&&*name) {
                match known {
                    [] => "there are no parameters here".to_owned(),
                    known => format!("unknown parameter; there are: {}", known.join(", ")),
                }
            } else if !repeated.contains(&&*name) && params.iter().any(|(earlier, _)| *earlier == name) {
                "given twice".to_owned()
            } else {
                params.push((name, value));
                continue;
            };
            if wrong.len() < REPORTED_MAX {
                let nearest = suggest::nearest(&name, known.iter().copied());
                wrong.push(InvalidParam::new(&name, reason, nearest.filter(|nearest| *nearest != name)));
            }
        }
        if wrong.is_empty() { Ok(Self(params)) } else { Err(Problem::invalid_params(&wrong)) }
    }

    /// All parameters, with their texts.
    pub(in crate::http) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (&**name, &**text))
    }

    /// A parameter's text; an empty one counts as absent.
    pub(in crate::http) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    /// A parameter's value, a whole number from 0 on.
    ///
    /// # Errors
    /// 400 when it cannot be read.
    pub(in crate::http) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let read = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let reason = if is_number { "the number is too large" } else { "expected a whole number, in digits" };
            text.parse().map_err(|_| refuse(name, reason.to_owned(), None))
        };
        self.text(name).map(read).transpose()
    }

    /// One of a few words.
    ///
    /// # Errors
    /// 400 with the words when it is none of them.
    pub(in crate::http) fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let nearest = suggest::nearest(text, names.iter().copied());
        Err(refuse(name, format!("must be one of: {}", names.join(", ")), nearest))
    }

    /// The page's size.
    ///
    /// # Errors
    /// 400 when it is not a whole number from 1 on.
    pub(in crate::http) fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.text("limit") else { return Ok(LIMIT_DEFAULT) };
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.bytes().any(|byte| byte != b'0');
        if !is_number {
            return Err(refuse("limit", format!("expected a whole number from 1 to {LIMIT_MAX}"), None));
        }
        // A number that does not fit the type is larger than the maximum.
        Ok(text.parse().unwrap_or(LIMIT_MAX).min(LIMIT_MAX))
    }
}

/// A refusal because of one parameter.
pub(in crate::http) fn refuse(name: &str, reason: String, did_you_mean: Option<&str>) -> Problem {
    Problem::invalid_params(&[InvalidParam::new(name, reason, did_you_mean)])
}

/// The path of the next page, below the server's address: the same query after `last`.
pub(in crate::http) fn next_target(path: &str, query: &str, last: &str) -> String {
    let start = format!("{path}?");
    let query_begins = start.len();
    let mut target = form_urlencoded::Serializer::for_suffix(start, query_begins);
    target.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after"));
    target.append_pair("after", last);
    target.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        assert!(Params::read("search=ana&limit=5", &["search", "limit"]).is_ok());
        assert!(Params::read("serach=ana", &["search", "limit"]).is_err());
        assert!(Params::read("limit=1&limit=2", &["search", "limit"]).is_err());
        assert!(Params::read("a=1", &[]).is_err());
        assert!(Params::read_with("a=1&a=2", &["a", "b"], &["a"]).is_ok());
        assert!(Params::read_with("b=1&b=2", &["a", "b"], &["a"]).is_err());
    }

    #[test]
    fn a_limit_is_brought_into_its_bounds() {
        let limit = |query| Params::read(query, &["limit"]).unwrap().limit().ok();
        assert_eq!(limit(""), Some(LIMIT_DEFAULT));
        assert_eq!(limit("limit=1"), Some(1));
        assert_eq!(limit("limit=99999999999999999999999"), Some(LIMIT_MAX));
        for wrong in ["limit=0", "limit=00", "limit=+5", "limit=1.5", "limit=0x1"] {
            assert_eq!(limit(wrong), None, "{wrong}");
        }
        assert_eq!(limit("limit=100000"), Some(LIMIT_MAX));
        assert_eq!(limit("limit=-1"), None);
        assert_eq!(limit("limit=many"), None);
    }

    #[test]
    fn the_next_page_keeps_the_query() {
        assert_eq!(next_target("/users", "search=a%26b&after=1&limit=2", "9"), "/users?search=a%26b&limit=2&after=9");
    }
}
