//! One form for texts that people consider the same: Unicode's composed form (NFC), and its full case folding.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// A dot above: `İ` in lower case is an `i` with this mark.
const DOT_ABOVE: char = '\u{307}';

/// The text in Unicode's composed form: `é` is one character, however it was typed.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}

/// The form of a text that ignores case and composition, in NFC.
///
/// It is Unicode's full case folding: `STRASSE` and `Straße` become `strasse`; `Σ` and `ς` become `σ` in any place. In addition an `i`
/// loses a separately written dot: `İ`, whose lower case in Turkish is `i`, becomes `i`.
pub fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
        return if has_capitals { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
    }
    let mut form = nfc(text);
    if let Cow::Owned(folded) = CaseMapper::new().fold_string(&form) {
        form = Cow::Owned(folded);
    }
    if form.contains(DOT_ABOVE) {
        let mut dotless = String::with_capacity(form.len());
        dotless.extend(
            form.chars()
                .scan('\0', |before, c| {
                    let is_dot_of_i = c == DOT_ABOVE && matches!(*before, 'i' | 'ı');
                    if !is_dot_of_i {
                        *before = c;
                    }
                    Some((!is_dot_of_i).then_some(c))
                })
                .flatten(),
        );
        form = Cow::Owned(dotless);
    }
    match nfc(&form) {
        Cow::Borrowed(_) => form,
        Cow::Owned(composed) => Cow::Owned(composed),
    }
}

/// Tells whether `text` contains `needle`, ignoring case and composition; `needle` must be [`folded`].
pub fn contains_folded(text: &str, needle: &str) -> bool {
    let Some((first, rest)) = needle.as_bytes().split_first() else { return true };
    if !text.is_ascii() {
        return folded(text).contains(needle);
    }
    // Nearly every value is ASCII: it is compared in place, without a copy, at each occurrence of the first character.
    let text = text.as_bytes();
    let starts = memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text);
    starts
        .map(|at| at + 1)
        .any(|from| text.get(from..from + rest.len()).is_some_and(|window| window.eq_ignore_ascii_case(rest)))
}

/// The form of a text that ignores case, composition and accents: [`folded`], without diacritics, and with the letters `ø ł đ ı` as `o l d i`.
/// Vowel signs of other scripts stay, but for the points of Hebrew and Arabic, which most people leave out.
pub fn bare(text: &str) -> Cow<'_, str> {
    let form = folded(text);
    if form.is_ascii() {
        return form;
    }
    let apart = DecomposingNormalizerBorrowed::new_nfd().normalize(&form);
    let letters: String = apart.chars().filter(|c| !is_diacritic(*c)).map(plain_letter).collect();
    if letters == form.as_ref() {
        return form;
    }
    Cow::Owned(nfc(&letters).into_owned())
}

/// Tells whether a mark changes how a letter sounds, not which letter it is.
fn is_diacritic(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}'
            | '\u{591}'..='\u{5bd}'
            | '\u{5bf}'
            | '\u{5c1}'..='\u{5c2}'
            | '\u{5c4}'..='\u{5c5}'
            | '\u{5c7}'
            | '\u{64b}'..='\u{65f}'
            | '\u{670}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe20}'..='\u{fe2f}'
    )
}

/// Letters with a stroke, which Unicode does not take apart.
fn plain_letter(c: char) -> char {
    match c {
        'ø' => 'o',
        'ł' => 'l',
        'đ' => 'd',
        'ı' => 'i',
        other => other,
    }
}

/// The text in lower case, the same for all texts with one [`folded`] form. `Straße` becomes `strasse`; a sigma becomes `σ` even at the end
/// of a word, so that texts with the same beginning keep the same beginning.
pub fn lower(text: &str) -> Cow<'_, str> {
    let folded = folded(text);
    // Folding turns Cherokee letters into capitals.
    if folded.chars().all(|c| c.is_ascii() || c.to_lowercase().eq([c])) {
        return folded;
    }
    Cow::Owned(nfc(&folded.chars().flat_map(char::to_lowercase).collect::<String>()).into_owned())
}

/// The text in upper case, the same for all texts with one [`folded`] form. `Straße` becomes `STRASSE`.
pub fn upper(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let has_small = text.bytes().any(|byte| byte.is_ascii_lowercase());
        return if has_small { Cow::Owned(text.to_ascii_uppercase()) } else { Cow::Borrowed(text) };
    }
    Cow::Owned(nfc(&folded(text).chars().flat_map(char::to_uppercase).collect::<String>()).into_owned())
}

#[cfg(test)]
mod tests {
    use icu_normalizer::DecomposingNormalizerBorrowed;
    use proptest::prelude::*;

    use super::*;

    /// Letters whose lower and upper case are each other's counterpart.
    const ORDINARY: &str = "[a-zA-Zß-öø-ÿÀ-ÖØ-ÞẞŒœŠšΑ-ΡΣ-Ωα-ωάέίόύώΆΈΊΌΎΏΐΰА-Яа-яЁё ]{0,12}";

    #[test]
    fn case_and_composition_make_no_difference() {
        for (one, other) in [
            ("ΤΈΛΟΣ", "τέλος"),
            ("τέλοσ", "τέλος"),
            ("STRASSE", "Straße"),
            ("STRAẞE", "straße"),
            ("İSTANBUL", "istanbul"),
            ("İstanbul", "i\u{307}stanbul"),
            ("CAFÉ", "cafe\u{301}"),
            ("ÅNGSTRÖM", "a\u{30a}ngstro\u{308}m"),
            ("\u{212b}", "å"),
            ("\u{212a}elvin", "Kelvin"),
            ("µ", "Μ"),
            ("ŉ", "ʼN"),
            ("ﬁn", "FIN"),
            ("ᾳ", "ΑΙ"),
            ("Ꭰ", "ꭰ"),
            ("Ǆ", "ǆ"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
            assert_eq!(lower(one), lower(other), "{one} {other}");
            assert_eq!(upper(one), upper(other), "{one} {other}");
        }
        assert_ne!(folded("cafe"), folded("café"), "an accent is a letter of its own");
    }

    #[test]
    fn accents_make_no_difference_to_the_bare_form() {
        for (one, other) in [
            ("Café Müller", "cafe muller"),
            ("CAFE\u{301}", "cafe"),
            ("Łódź, Ørsted, Đà Nẵng", "lodz, orsted, da nang"),
            ("ΤΈΛΟΣ", "τελοσ"),
            ("Ёлка", "елка"),
            ("İIıi", "iiii"),
            ("שָׁלוֹם", "שלום"),
            ("हिन्दी", "हिन्दी"),
            ("東京", "東京"),
        ] {
            assert_eq!(bare(one), other, "{one}");
            assert_eq!(bare(&bare(one)), other, "once is enough");
        }
        assert!(matches!(bare("plain"), Cow::Borrowed(_)) && matches!(bare("東京"), Cow::Borrowed(_)));
    }

    #[test]
    fn lower_and_upper_stay_legible() {
        assert_eq!((lower("Straße ŁÓDŹ"), upper("Straße łódź")), ("strasse łódź".into(), "STRASSE ŁÓDŹ".into()));
        assert_eq!((lower("ᎠᎡ"), upper("ꭰꭱ")), ("ꭰꭱ".into(), "ᎠᎡ".into()));
    }

    #[test]
    fn what_is_in_its_form_is_borrowed() {
        for text in ["", "plain", "größe", "τέλοσ", "東京"] {
            assert!(matches!(nfc(text), Cow::Borrowed(_)), "{text}");
            assert!(matches!(folded(text), Cow::Borrowed(_)) || text == "größe", "{text}");
        }
    }

    /// The text folded, in lower case and in upper case.
    fn forms(text: &str) -> [String; 3] {
        [folded(text), lower(text), upper(text)].map(Cow::into_owned)
    }

    proptest! {
        #[test]
        fn once_is_enough(text in "\\PC{0,12}|[a-zıİßςΐ\u{300}-\u{345}\u{307}ᾳᾨŉǰẖᎠꭰ]{0,8}") {
            let once = forms(&text);
            for (nth, form) in once.iter().enumerate() {
                prop_assert_eq!(&forms(form)[nth], form);
                prop_assert_eq!(nfc(form).into_owned(), form.as_str(), "in NFC");
            }
            prop_assert_eq!(&forms(&folded(&text)), &once, "one for all of a kind");
            prop_assert_eq!(&forms(&nfc(&text)), &once);
            let apart = DecomposingNormalizerBorrowed::new_nfd().normalize(&text).into_owned();
            prop_assert_eq!(&forms(&apart), &once, "however it was typed");
            let plain = bare(&text).into_owned();
            prop_assert_eq!(bare(&plain).into_owned(), plain.as_str());
            prop_assert_eq!(bare(&folded(&text)).into_owned(), plain.as_str());
            prop_assert_eq!(bare(&apart).into_owned(), plain.as_str());
            prop_assert_eq!(folded(&plain).into_owned(), plain.as_str(), "it is folded, too");
        }

        #[test]
        fn containing_is_the_same_with_and_without_the_short_cut(text in "[a-zA-Zİßé ]{0,12}", needle in "[a-zA-Zİßé]{0,3}") {
            let needle = folded(&needle).into_owned();
            prop_assert_eq!(contains_folded(&text, &needle), folded(&text).contains(&needle));
        }

        #[test]
        fn letters_of_two_cases_are_one(text in ORDINARY) {
            prop_assert_eq!(forms(&text.to_uppercase()), forms(&text));
            prop_assert_eq!(forms(&text.to_lowercase()), forms(&text));
        }

        #[test]
        fn a_part_is_folded_as_the_whole_is(before in ORDINARY, part in ORDINARY, after in ORDINARY) {
            let whole = forms(&format!("{before}{part}{after}"));
            let parts = [forms(&before), forms(&part), forms(&after)];
            for (nth, form) in whole.iter().enumerate() {
                prop_assert_eq!(form, &parts.each_ref().map(|part| part[nth].as_str()).concat());
            }
        }
    }
}
