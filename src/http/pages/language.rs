//! The languages of pages, and the choice for a reader.

use actix_web::http::header::{self, HeaderMap};

/// Choices of a reader that are read at most.
const CHOICES_MAX: usize = 20;

/// A language that pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::http) enum Language {
    /// English, for readers who want neither.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// All languages.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its tag (RFC 5646).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The available language that a reader likes best (`Accept-Language`, RFC 9110, section 12.5.4).
    pub(in crate::http) fn wanted(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT_LANGUAGE).filter_map(|line| line.to_str().ok());
        let choices = lines.flat_map(|line| line.split(',')).take(CHOICES_MAX).filter_map(choice);
        let mut best: Option<(Self, f32)> = None;
        for (language, weight) in choices {
            if best.is_none_or(|(_, least)| weight > least) {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language).unwrap_or_default()
    }
}

/// One choice and its weight; `None` for a language that is not available or not wanted.
fn choice(text: &str) -> Option<(Language, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let tag = parts.next()?.split('-').next()?.to_ascii_lowercase();
    let language = Language::ALL.into_iter().find(|language| language.tag() == tag)?;
    let weight = match parts.find_map(|part| part.strip_prefix("q=")) {
        Some(weight) => weight.parse().ok()?,
        None => 1.0,
    };
    (weight > 0.0).then_some((language, weight))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_liked_best() {
        for (said, expected) in [
            ("de", Language::German),
            ("de-AT,de;q=0.9,en;q=0.8", Language::German),
            ("en-GB,de;q=0.5", Language::English),
            ("fr,de;q=0.3", Language::German),
            ("de;q=0", Language::English),
            ("de;q=x,en", Language::English),
            ("fr", Language::English),
            ("", Language::English),
            (";;,,", Language::English),
        ] {
            let headers = [(header::ACCEPT_LANGUAGE, HeaderValue::from_static(said))].into_iter().collect();
            assert_eq!(Language::wanted(&headers), expected, "{said}");
        }
    }
}
