//! The forms in which texts are compared.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The text in Unicode's normal form C.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}
