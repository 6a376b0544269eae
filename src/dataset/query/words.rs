//! Words that records are searched for: `q=kitchen remodel`.

use std::fmt::Write;

use crate::dataset::{Definition, Record, Value, text::bare};

/// The most words of one search: two bits of a number are of each.
pub const SEARCH_WORDS_MAX: usize = 16;
/// What a text that holds the words one after the other counts for.
const PHRASE: u32 = 4;
/// What a text that is these words alone counts for.
const WHOLE_TEXT: u32 = 12;

/// A search for words, in any order, over columns of text. A record matches if each word is the beginning of a word in one of the columns.
/// Case, composition and accents make no difference: both sides are compared in their [`bare`] form.
///
/// A word is a run of letters and digits. In scripts that write no spaces, each character begins a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordSearch {
    /// The words in their bare form, in the order of the search, each once: from 1 to [`SEARCH_WORDS_MAX`].
    words: Vec<String>,
    /// The places of the columns that are searched.
    columns: Vec<usize>,
}

/// How well a text has the words of a search: two bits for each word, of which the lower is set where a word begins with it, and both
/// where it is a word; then two bits for the search as a whole, of which the lower is set where its words follow each other, and
/// both where they are the whole text. The bits of a record are those of its texts together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WordBits(pub u64);

impl WordSearch {
    /// The search for the words of a text; none where it has no word.
    ///
    /// # Errors
    /// The number of different words, where there are more than [`SEARCH_WORDS_MAX`].
    pub fn new(text: &str, columns: Vec<usize>) -> Result<Option<Self>, usize> {
        let mut words: Vec<String> = Vec::new();
        for word in words_of(&bare(text)) {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        match words.len() {
            0 => Ok(None),
            many if many > SEARCH_WORDS_MAX => Err(many),
            _ => Ok(Some(Self { words, columns })),
        }
    }

    /// The words in their bare form.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The places of the columns that are searched.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The bits that say that each word is there.
    fn lower_bits(&self) -> u64 {
        // 01 for each word.
        0x5555_5555_5555_5555 & ((1 << (2 * self.words.len())) - 1)
    }

    /// The bits of a word, as the beginning of one or as a whole one.
    pub(in crate::dataset) fn of_word(nth: usize, is_whole: bool) -> u64 {
        (if is_whole { 0b11 } else { 0b01 }) << (2 * nth)
    }

    /// Tells whether each word is there.
    pub fn is_met(&self, WordBits(bits): WordBits) -> bool {
        bits & self.lower_bits() == self.lower_bits()
    }

    /// How relevant a record is whose texts together have these bits: for each word 1, or 2 where it is a whole one; 4 more where they
    /// follow each other in a text, or 12 more where they are all of a text.
    pub fn relevance(&self, WordBits(bits): WordBits) -> u32 {
        let of_words = bits & ((1 << (2 * self.words.len())) - 1);
        let whole = match bits >> (2 * self.words.len()) {
            0 => 0,
            0b01 => PHRASE,
            _ => WHOLE_TEXT,
        };
        of_words.count_ones() + whole
    }

    /// The bits of a text in its bare form.
    pub fn bits_of(&self, text: &str) -> WordBits {
        let mut bits = 0;
        // Most texts lack most words: whether one is there is known sooner than where.
        for (nth, word) in self.words.iter().enumerate().filter(|(_, word)| text.contains(word.as_str())) {
            for (at, _) in text.match_indices(word.as_str()).filter(|(at, _)| begins_word(text, *at)) {
                bits |= Self::of_word(nth, ends_word(text, at + word.len()));
            }
        }
        WordBits(bits | self.order_bits(text, bits))
    }

    /// The bits for the words' order in a text that has these bits of words.
    pub(in crate::dataset) fn order_bits(&self, text: &str, bits: u64) -> u64 {
        let [all_but_last @ .., last] = self.words.as_slice() else { return 0 };
        if !self.is_met(WordBits(bits)) {
            return 0;
        }
        let follows = |from: usize| {
            let mut rest = words_of(text.get(from..).unwrap_or_default());
            let begin = all_but_last.iter().all(|word| rest.next() == Some(word));
            let end = if begin { rest.next().filter(|word| word.starts_with(last.as_str())) } else { None };
            end.map(|end| end == last && rest.next().is_none())
        };
        let first = self.words.first().map_or("", String::as_str);
        let mut is_phrase = false;
        for (at, _) in text.match_indices(first).filter(|(at, _)| begins_word(text, *at)) {
            if let Some(is_last) = follows(at) {
                is_phrase = true;
                if is_last && words_of(text.get(..at).unwrap_or_default()).next().is_none() {
                    return 0b11 << (2 * self.words.len());
                }
            }
        }
        u64::from(is_phrase) << (2 * self.words.len())
    }

    /// The bits of a record.
    pub fn bits_of_record(&self, record: &Record) -> WordBits {
        let texts = self.columns.iter().filter_map(|column| match record.values.get(*column) {
            Some(Value::Text(text)) => Some(self.bits_of(&bare(text)).0),
            _ => None,
        });
        WordBits(texts.fold(0, |all, bits| all | bits))
    }

    /// Appends a form that is equal for searches with the same answer and order.
    pub(super) fn write_normal_form(&self, definition: &Definition, out: &mut String) {
        for column in &self.columns {
            out.push_str(definition.column_name(*column));
            out.push(',');
        }
        let written = write!(out, " words {:?}", self.words);
        // Writing to memory cannot fail.
        debug_assert!(written.is_ok());
    }
}

/// Tells whether a character is a part of words.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric()
}

/// Tells whether a character is of a script that writes no spaces between words.
fn stands_alone(c: char) -> bool {
    matches!(
        c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
    )
}

/// Tells whether a word of a text begins at this place, where a character of a word stands.
pub(in crate::dataset) fn begins_word(text: &str, at: usize) -> bool {
    match text.as_bytes().get(..at).and_then(<[u8]>::last) {
        None => true,
        Some(before) if before.is_ascii() && !before.is_ascii_alphanumeric() => true,
        Some(_) => {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let next = text.get(at..).and_then(|rest| rest.chars().next());
            before.is_none_or(|before| !is_of_word(before))
                || next.is_some_and(stands_alone)
                || before.is_some_and(stands_alone)
        }
    }
}

/// Tells whether a word of a text ends at this place, before which a character of a word stands.
pub(in crate::dataset) fn ends_word(text: &str, at: usize) -> bool {
    let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) else { return true };
    !is_of_word(next)
        || stands_alone(next)
        || text.get(..at).and_then(|before| before.chars().next_back()).is_some_and(stands_alone)
}

/// The words of a text. A run of characters that stand alone is one word here: a search for it finds them next to each other.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_of_word(c)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(words: &str) -> WordSearch {
        WordSearch::new(words, vec![0]).unwrap().unwrap()
    }

    fn relevance(words: &str, text: &str) -> Option<u32> {
        let search = search(words);
        let bits = search.bits_of(&bare(text));
        search.is_met(bits).then(|| search.relevance(bits))
    }

    #[test]
    fn words_are_in_any_order_and_begin_alike() {
        for (words, text) in [
            ("kitchen remodel", "Remodeling of the KITCHEN"),
            ("kitch", "kitchens"),
            ("cafe muller", "Café-Müller & Söhne"),
            ("MÜLLER", "muller"),
            ("201612", "#2016121234"),
            ("京都", "東京都庁"),
            ("階", "3階 12月"),
            ("月", "3階 12月"),
            ("棟", "A棟"),
            ("strasse", "Straße"),
            ("o'brien", "O’Brien"),
        ] {
            assert!(relevance(words, text).is_some(), "{words} in {text}");
        }
        for (words, text) in [("itchen", "kitchen"), ("kitchen bath", "kitchen"), ("a b", "ab"), ("12", "a12")] {
            assert_eq!(relevance(words, text), None, "{words} in {text}");
        }
    }

    #[test]
    fn the_nearer_the_text_the_more_relevant() {
        let of = |text| relevance("kitchen remodel", text).unwrap();
        let texts = [
            "kitchens: several remodels",
            "kitchen and bath remodels",
            "kitchen and bath remodel",
            "a kitchen remodeling",
            "the kitchen remodel",
            "Kitchen remodel.",
        ];
        let numbers = texts.map(of);
        assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
    }

    #[test]
    fn a_search_has_some_words() {
        assert_eq!(WordSearch::new(" -- ", vec![0]), Ok(None));
        assert_eq!(search("b A b").words(), ["b", "a"]);
        let many: Vec<String> = (0..=SEARCH_WORDS_MAX).map(|nth| nth.to_string()).collect();
        assert_eq!(WordSearch::new(&many.join(" "), vec![0]), Err(SEARCH_WORDS_MAX + 1));
        let most = search(many[1..].join(" ").as_str());
        let bits = most.bits_of(&many[1..].join(" "));
        assert!(most.is_met(bits));
        assert_eq!(most.relevance(bits), 2 * 16 + WHOLE_TEXT);
    }
}
