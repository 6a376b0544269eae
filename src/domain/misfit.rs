//! Explains why a value does not fit to the person who wrote it: `serde`'s own messages name Rust types.

/// The most characters of an unknown name that a message repeats.
const NAME_CHARS_SHOWN: usize = 80;

/// Rewords a message of `serde` or of a JSON or TOML reader: what would be right, and what was found instead. An unknown message becomes a
/// general one, because a type's name helps nobody.
pub fn told(message: &str) -> String {
    let message = without_place(message);
    let known = || {
        if let Some(rest) = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: ")) {
            let (found, expected) = rest.rsplit_once(", expected ")?;
            return Some(format!("{} is expected, not {}", expected_words(expected), found_words(found)));
        }
        if let Some(rest) = message.strip_prefix("unknown variant ") {
            let (found, expected) = rest.split_once(", expected ")?;
            let choices = expected.strip_prefix("one of ").unwrap_or(expected);
            return Some(format!("{choices} is expected, not {found}"));
        }
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let (found, known) = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there are no "))?;
            let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            let found: String = found.chars().take(NAME_CHARS_SHOWN).collect();
            return Some(match known.is_empty() {
                true => format!("`{found}` is an unknown field; there are no fields"),
                false => format!("`{found}` is an unknown field; the fields are: {}", known.join(", ")),
            });
        }
        let field = |prefix| message.strip_prefix(prefix).and_then(|rest| rest.split('`').nth(1));
        field("missing field ")
            .map(|field| format!("`{field}` is missing"))
            .or_else(|| field("duplicate field ").map(|field| format!("`{field}` is given twice")))
    };
    known().unwrap_or_else(|| "the value is of the wrong kind".to_owned())
}

/// The message without the ` at line 1 column 5` that a JSON reader adds.
fn without_place(message: &str) -> &str {
    match message.rsplit_once(" at line ") {
        Some((said, place)) if place.bytes().all(|byte| byte.is_ascii_digit() || b" column".contains(&byte)) => said,
        _ => message,
    }
}

fn expected_words(expected: &str) -> String {
    let most = match expected {
        "u8" => Some(u64::from(u8::MAX)),
        "u16" => Some(u64::from(u16::MAX)),
        "u32" => Some(u64::from(u32::MAX)),
        "u64" | "usize" => return "a whole number from 0 on".to_owned(),
        _ => None,
    };
    if let Some(most) = most {
        return format!("a whole number from 0 to {most}");
    }
    match expected {
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" | "string or map" => "a text",
        "a boolean" | "bool" => "true or false",
        "a sequence" | "sequence" => "a list",
        "a map" | "map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => "another kind of value",
    }
    .to_owned()
}

fn found_words(found: &str) -> String {
    let bare = |prefix| found.strip_prefix(prefix).map(|rest: &str| rest.trim_matches('`').to_owned());
    let number =
        bare("integer ").or_else(|| bare("floating point ")).or_else(|| bare("boolean ")).or_else(|| bare("number "));
    match (number, found) {
        (Some(value), _) => value,
        (None, "null" | "unit value" | "Option value") => "null".to_owned(),
        (None, "sequence") => "a list".to_owned(),
        (None, "map") => "an object".to_owned(),
        (None, text) => {
            bare("string ").map_or_else(|| "what stands there".to_owned(), |_| text.replacen("string ", "the text ", 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        One,
        Two,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only what cannot be read is of interest")]
    struct Fields {
        small: u8,
        whole: u32,
        large: u64,
        number: f64,
        text: String,
        truth: bool,
        list: Vec<u32>,
        choice: Choice,
    }

    fn sound() -> Value {
        json!({ "small": 1, "whole": 1, "large": 1, "number": 1, "text": "", "truth": true, "list": [], "choice": "one" })
    }

    fn said(field: &str, value: &Value) -> Option<String> {
        let mut document = sound();
        document[field] = value.clone();
        serde_json::from_str::<Fields>(&document.to_string()).err().map(|error| told(&error.to_string()))
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_without_the_languages_words() {
        for (field, value, words) in [
            ("small", json!(256), "a whole number from 0 to 255 is expected, not 256"),
            ("whole", json!("many"), "a whole number from 0 to 4294967295 is expected, not the text \"many\""),
            ("whole", json!(1.5), "a whole number from 0 to 4294967295 is expected, not 1.5"),
            ("large", json!(-1), "a whole number from 0 on is expected, not -1"),
            ("number", json!(null), "a number is expected, not null"),
            ("text", json!(["a"]), "a text is expected, not a list"),
            ("truth", json!({}), "true or false is expected, not an object"),
            ("list", json!(true), "a list is expected, not true"),
            ("choice", json!("three"), "`one` or `two` is expected, not `three`"),
        ] {
            assert_eq!(said(field, &value).as_deref(), Some(words), "{field}");
        }
        for (message, words) in [
            (
                "unknown field `foo`, expected one of `expiry`, `keys`, `quota` at line 1 column 23",
                "`foo` is an unknown field; the fields are: expiry, keys, quota",
            ),
            ("unknown field `a`, expected `b` or `c`", "`a` is an unknown field; the fields are: b, c"),
            ("unknown field ``, expected ``, expected `b`", "``, expected `` is an unknown field; the fields are: b"),
            ("unknown field `a`, there are no fields", "`a` is an unknown field; there are no fields"),
        ] {
            assert_eq!(told(message), words);
        }
        assert_eq!(told("missing field `email` at line 1 column 2"), "`email` is missing");
        assert_eq!(told("duplicate field `plan`"), "`plan` is given twice");
    }

    proptest! {
        #[test]
        fn no_word_of_the_language_is_ever_told(
            field in "small|whole|large|number|text|truth|list|choice",
            value in prop_oneof![
                Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from),
                any::<f64>().prop_map(Value::from), "[0-9 ]{0,9}".prop_map(Value::from), Just(json!([])), Just(json!({"a": 1})),
            ],
        ) {
            if let Some(told) = said(&field, &value) {
                for word in ["u8", "u32", "u64", "i64", "f64", "struct", "enum", "variant", "sequence", "map", "invalid", "column"] {
                    prop_assert!(!told.split(|c: char| !c.is_alphanumeric()).any(|part| part == word), "{told}");
                }
            }
        }
    }
}
