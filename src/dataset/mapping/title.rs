//! The case of street names.

/// Writes a name in capitals the way street signs do: `BELLA VISTA` → `Bella Vista`, `O'FARRELL` → `O'Farrell`, `MCALLISTER` →
/// `McAllister`, `DUBOCE-PARK` → `Duboce-Park`. Numbered streets lose the padding for sorting: `03RD` → `3rd`. A word with lower-case
/// letters only loses the padding: `09th` → `9th`.
pub fn title_case(text: &str, out: &mut String) {
    for (place, word) in text.split_whitespace().enumerate() {
        if place > 0 {
            out.push(' ');
        }
        for (place, part) in word.split('-').enumerate() {
            if place > 0 {
                out.push('-');
            }
            title_word(part, out);
        }
    }
}

fn title_word(word: &str, out: &mut String) {
    if word.starts_with(|first: char| first.is_ascii_digit()) {
        let bare = word.trim_start_matches('0');
        let is_ordinal = bare.starts_with(|first: char| first.is_ascii_digit())
            && bare.trim_start_matches(|digit: char| digit.is_ascii_digit()).len() == 2;
        let shown = if is_ordinal { bare } else { word };
        out.extend(shown.chars().flat_map(char::to_lowercase));
        return;
    }
    if word.chars().any(char::is_lowercase) {
        out.push_str(word);
        return;
    }
    let letters = word.chars().count();
    let is_mc = letters > 3 && word.starts_with("MC");
    let mut capital = true;
    for (place, letter) in word.chars().enumerate() {
        if capital || (is_mc && place == 2) {
            out.push(letter);
        } else {
            out.extend(letter.to_lowercase());
        }
        // A capital follows an opening bracket, and the O' or D' at the beginning of a name.
        capital = !letter.is_alphanumeric() && (letter != '\'' || place == 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn titled(text: &str) -> String {
        let mut out = String::new();
        title_case(text, &mut out);
        out
    }

    #[test]
    fn streets() {
        for (sheet, sign) in [
            ("BELLA VISTA", "Bella Vista"),
            ("03RD", "3rd"),
            ("21ST", "21st"),
            ("10TH", "10th"),
            ("09th", "9th"),
            ("00", "00"),
            ("O'FARRELL", "O'Farrell"),
            ("ST JOHN'S", "St John's"),
            ("MCALLISTER", "McAllister"),
            ("MCA", "Mca"),
            ("McKinnon", "McKinnon"),
            ("AVENUE B", "Avenue B"),
            ("PEÑA", "Peña"),
            ("BUENA VISTA  EAST", "Buena Vista East"),
        ] {
            assert_eq!(titled(sheet), sign);
        }
    }

    proptest! {
        #[test]
        fn titling_twice_is_titling_once(text in "[A-Z0-9' ]{0,30}") {
            let once = titled(&text);
            prop_assert_eq!(titled(&once), once);
        }
    }
}
