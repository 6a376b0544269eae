//! Makes the published names of columns from their headers.

use crate::dataset::definition::RESERVED_COLUMNS;

const NAME_BYTES_MAX: usize = 40;

/// The words of a header in lower-case ASCII: `ContractorPhone`, `CONTRACTOR_PHONE` and `contractor phone` give the same words. Letters of
/// other scripts are spelled in ASCII.
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

/// The ASCII spelling of a letter, as its own language spells it.
fn spelling(letter: char) -> String {
    match letter {
        _ if letter.is_ascii() => match letter {
            '#' => " number ".to_owned(),
            '%' => " percent ".to_owned(),
            // An apostrophe joins the parts of a word.
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
        // Combining marks of decomposed letters.
        '\u{300}'..='\u{36f}' => String::new(),
        // Other signs separate words; a sign of a language without spaces is a word of its own.
        other if other.is_alphanumeric() => {
            let spelled = deunicode::deunicode_char(other).unwrap_or_default();
            if spelled.ends_with(' ') { format!(" {} ", spelled.to_lowercase()) } else { spelled.to_owned() }
        }
        _ => " ".to_owned(),
    }
}

/// The words joined to one name of limited length.
pub(super) fn joined(words: &[String]) -> String {
    let mut name = words.join("_");
    name.truncate(NAME_BYTES_MAX);
    name.trim_end_matches('_').to_owned()
}

/// A name from these words that is not taken.
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
