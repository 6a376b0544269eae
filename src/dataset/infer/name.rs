//! The published names of columns, made of their headers.

use crate::dataset::definition::RESERVED_COLUMNS;

const NAME_BYTES_MAX: usize = 40;

/// The words of a header in lower-case ASCII: `ContractorPhone`, `CONTRACTOR_PHONE` and `contractor phone` are the same, and
/// letters of other scripts are spelled in it.
pub(super) fn words_of(header: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut was_small, mut was_digit) = (false, false);
    let spelled: String = header.chars().map(spelling).collect();
    for letter in spelled.chars() {
        let begins = was_small && letter.is_ascii_uppercase();
        was_small = letter.is_ascii_lowercase() || (was_digit && letter.is_ascii_digit());
        was_digit = letter.is_ascii_digit();
        if begins || !letter.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && letter.is_ascii_alphanumeric()
        {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A letter in ASCII, as it is spelled where it is at home.
fn spelling(letter: char) -> String {
    match letter {
        _ if letter.is_ascii() => match letter {
            '#' => " number ".to_owned(),
            '%' => " percent ".to_owned(),
            // What is left out of a word is no gap in it.
            '\'' => String::new(),
            other => other.to_string(),
        },
        'ä' => "ae".to_owned(),
        'ö' => "oe".to_owned(),
        'ü' => "ue".to_owned(),
        'Ä' => "Ae".to_owned(),
        'Ö' => "Oe".to_owned(),
        'Ü' => "Ue".to_owned(),
        'ß' => "ss".to_owned(),
        '№' => " number ".to_owned(),
        '\u{2019}' => String::new(),
        // The pieces of a letter that was taken apart.
        '\u{300}'..='\u{36f}' => String::new(),
        // A sign of its own is no part of a word, and one of a language without spaces is a word.
        other if other.is_alphanumeric() => {
            let spelled = deunicode::deunicode_char(other).unwrap_or_default();
            if spelled.ends_with(' ') { format!(" {} ", spelled.to_lowercase()) } else { spelled.to_owned() }
        }
        _ => " ".to_owned(),
    }
}

/// The words as one name, cut to a sensible length.
pub(super) fn joined(words: &[String]) -> String {
    let mut name = words.join("_");
    name.truncate(NAME_BYTES_MAX);
    name.trim_end_matches('_').to_owned()
}

/// A name of these words that is none of those that are taken.
pub(super) fn unique_name(words: &[String], is_taken: impl Fn(&str) -> bool) -> String {
    let name = joined(words);
    let name = match name.as_bytes().first() {
        Some(first) if first.is_ascii_lowercase() => name,
        _ => format!("column_{name}").trim_end_matches('_').to_owned(),
    };
    let is_reserved = RESERVED_COLUMNS.contains(&name.as_str());
    let name = if is_reserved { format!("{name}_column") } else { name };
    if !is_taken(&name) {
        return name;
    }
    (2..).map(|place: usize| format!("{name}_{place}")).find(|name| !is_taken(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_ascii() {
        for (header, name) in [
            ("größe", "groesse"),
            ("Straße Nr.", "strasse_nr"),
            ("CONTRACTOR PHONE", "contractor_phone"),
            ("ContractorPhone", "contractor_phone"),
            ("Дата регистрации", "data_registratsii"),
            ("№", "number"),
            ("Prénom", "prenom"),
            ("Owner's Name", "owners_name"),
            ("2016", "column_2016"),
            ("Score %", "score_percent"),
            ("Gro\u{308}ße", "grosse"),
            ("select", "select_column"),
            ("---", "column"),
        ] {
            let name_of = unique_name(&words_of(&crate::dataset::text::nfc(header)), |_| false);
            let expected = if header == "Gro\u{308}ße" { "groesse" } else { name };
            assert_eq!(name_of, expected, "{header}");
        }
        assert_eq!(unique_name(&words_of("a"), |name| name == "a" || name == "a_2"), "a_3");
        assert!(!words_of("申请日期").is_empty());
    }
}
