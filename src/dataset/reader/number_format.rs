//! How a sheet shows a number: the part of number format codes (ECMA-376-1, 18.8.31) that matters for texts.
//!
//! A text column gets what the sheet shows, so that it equals a text file of the same sheet. If a format would hide digits of the number,
//! they are shown nevertheless.

use std::borrow::Cow;

/// Longer codes are ignored: no spreadsheet program writes them.
const CODE_CHARS_MAX: usize = 255;
/// The most decimal places shown.
const PLACES_MAX: usize = 30;
/// Significant digits of a spreadsheet's numbers.
const DIGITS: usize = 15;
/// Numbers from this one on are written with an exponent.
const PLAIN_END: f64 = 1e21;

/// How a sheet shows a number.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum NumberFormat {
    /// As the number is, with up to 15 digits.
    #[default]
    General,
    /// As a date, perhaps with a time of day.
    Date,
    /// As a time of day.
    Time,
    /// As a duration: hours beyond a day, or minutes or seconds.
    Elapsed,
    /// By digit patterns: for positive numbers, and for negative numbers and zero if the code has sections for them.
    Patterns {
        /// The pattern of positive numbers, and of others without one.
        positive: Pattern,
        /// The pattern of negative numbers.
        negative: Option<Pattern>,
        /// The pattern of zero.
        zero: Option<Pattern>,
    },
}

/// A section of a number format code.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pattern {
    /// The parts to write, in order.
    tokens: Vec<Token>,
    /// The fewest digits of the whole part.
    whole_min: usize,
    /// Places for digits of the whole part.
    whole_places: usize,
    /// The fewest decimals.
    decimals_min: usize,
    /// Whether digits are grouped by threes.
    grouped: bool,
    /// Whether the number is shown in percent.
    percent: bool,
    /// Whether this is the section of zero.
    is_of_zero: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Literal(String),
    /// A place for a digit of the whole part; `true` if it is always written.
    Digit(bool),
    /// The decimal point and the places after it.
    Decimals,
}

impl NumberFormat {
    /// The format for a code.
    pub fn of_code(code: &str) -> Self {
        if code.chars().count() > CODE_CHARS_MAX {
            return Self::General;
        }
        // The general format's name in German programs.
        if code.eq_ignore_ascii_case("standard") {
            return Self::General;
        }
        let sections = sections(code);
        let Some(first) = sections.first() else { return Self::General };
        if let Some(time) = time_of(first) {
            return time;
        }
        // Conditions choose sections by rules other than their order.
        if sections.iter().any(|section| has_condition(section)) {
            return Self::General;
        }
        // A section without a digit place would hide the number.
        let Some(positive) = Pattern::of(first).filter(|positive| positive.whole_places > 0) else {
            return Self::General;
        };
        let other = |place: usize| sections.get(place).and_then(|section| Pattern::of(section));
        let zero = other(2).map(|zero| Pattern { is_of_zero: true, ..zero });
        Self::Patterns { positive, negative: other(1), zero }
    }

    /// The built-in format with this number (ECMA-376-1, 18.8.30).
    pub fn built_in(id: u32) -> Self {
        match id {
            1 => Self::of_code("0"),
            2 => Self::of_code("0.00"),
            3 => Self::of_code("#,##0"),
            4 => Self::of_code("#,##0.00"),
            9 => Self::of_code("0%"),
            10 => Self::of_code("0.00%"),
            5 | 6 => Self::of_code("\"$\"#,##0_);(\"$\"#,##0)"),
            7 | 8 => Self::of_code("\"$\"#,##0.00_);(\"$\"#,##0.00)"),
            37 | 38 => Self::of_code("#,##0_);(#,##0)"),
            39 | 40 => Self::of_code("#,##0.00_);(#,##0.00)"),
            41 => Self::of_code("_(* #,##0_);_(* (#,##0);_(* \"-\"_)"),
            42 => Self::of_code("_(\"$\"* #,##0_);_(\"$\"* (#,##0);_(\"$\"* \"-\"_)"),
            43 => Self::of_code("_(* #,##0.00_);_(* (#,##0.00);_(* \"-\"??_)"),
            44 => Self::of_code("_(\"$\"* #,##0.00_);_(\"$\"* (#,##0.00);_(\"$\"* \"-\"??_)"),
            14..=17 | 22 | 27..=31 | 36 | 50..=58 => Self::Date,
            18..=21 | 32..=35 | 45 | 47 => Self::Time,
            46 => Self::Elapsed,
            _ => Self::General,
        }
    }

    /// Tells whether numbers are shown as dates, times or durations.
    pub fn is_of_time(&self) -> bool {
        matches!(self, Self::Date | Self::Time | Self::Elapsed)
    }

    /// Tells whether zeros are shown before a number with fewer digits than the format has places.
    pub fn is_padded(&self) -> bool {
        matches!(self, Self::Patterns { positive, .. } if positive.whole_min > 1)
    }

    /// Tells whether numbers are shown in percent.
    pub fn is_percent(&self) -> bool {
        matches!(self, Self::Patterns { positive, .. } if positive.percent)
    }

    /// Tells whether one of these signs, which may be a currency's, is shown with the number.
    pub fn has_sign_of(&self, signs: &[char]) -> bool {
        let Self::Patterns { positive, .. } = self else { return false };
        positive.tokens.iter().any(|token| matches!(token, Token::Literal(literal) if literal.contains(signs)))
    }

    /// The number as the sheet shows it, but with all its digits.
    pub fn shown<'a>(&self, digits: &'a str) -> Cow<'a, str> {
        match self {
            Self::Patterns { positive, negative, zero } => {
                let Some(decimal) = Decimal::of(digits) else { return general(digits) };
                let pattern = match (decimal.is_zero(), decimal.negative, negative, zero) {
                    (true, _, _, Some(zero)) => return zero.write(&decimal, false).into(),
                    (false, true, Some(negative), _) => return negative.write(&decimal, false).into(),
                    _ => positive,
                };
                let shown = pattern.write(&decimal, decimal.negative && !decimal.is_zero());
                if shown.is_empty() { general(digits) } else { shown.into() }
            }
            Self::Time | Self::Elapsed => clock(digits).map_or_else(|| general(digits), Cow::Owned),
            Self::General | Self::Date => general(digits),
        }
    }
}

/// A number with up to 15 significant digits, as a sheet shows it; whole numbers as written.
fn general(digits: &str) -> Cow<'_, str> {
    let bare = digits.strip_prefix('-').unwrap_or(digits);
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain(bare) && (bare.len() == 1 || !bare.starts_with('0')) {
        // Zero has no sign.
        return if bare == "0" { Cow::Borrowed(bare) } else { Cow::Borrowed(digits) };
    }
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Cow::Owned(shortest(number)),
        _ => Cow::Borrowed(digits),
    }
}

/// A number with at most 15 significant digits and no trailing zeros.
pub(in crate::dataset) fn shortest(number: f64) -> String {
    let Ok(rounded) = format!("{number:.*e}", DIGITS - 1).parse::<f64>() else { return number.to_string() };
    match rounded {
        0.0 => "0".to_owned(),
        large if large.abs() >= PLAIN_END => format!("{large:e}"),
        plain => plain.to_string(),
    }
}

/// `hh:mm:ss` from a number of days, with a fraction if the seconds have one.
fn clock(digits: &str) -> Option<String> {
    let days: f64 = digits.parse().ok()?;
    let millis = (days * 86_400_000.0).round();
    if !(0.0..1e15).contains(&millis) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the guard above")]
    let millis = millis as u64;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(if millis == 0 { clock } else { format!("{clock}.{millis:03}").trim_end_matches('0').to_owned() })
}

/// Splits a code into sections; a semicolon in quotes does not end a section.
fn sections(code: &str) -> Vec<&str> {
    let (mut sections, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in code.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' | '_' | '*' if !quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                sections.push(code.get(begin..at).unwrap_or_default());
                begin = at + 1;
            }
            _ => {}
        }
    }
    sections.push(code.get(begin..).unwrap_or_default());
    sections
}

/// A section's letters without quoted or escaped text, and the contents of its brackets.
fn bare_letters(section: &str) -> (String, Vec<String>) {
    let (mut bare, mut brackets) = (String::new(), Vec::new());
    let mut letters = section.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' | '_' | '*' => {
                letters.next();
            }
            '"' => letters.by_ref().take_while(|letter| *letter != '"').for_each(drop),
            '[' => brackets.push(letters.by_ref().take_while(|letter| *letter != ']').collect()),
            other => bare.push(other.to_ascii_lowercase()),
        }
    }
    (bare, brackets)
}

fn has_condition(section: &str) -> bool {
    bare_letters(section).1.iter().any(|inside| inside.starts_with(['<', '>', '=']))
}

/// The format of a section that shows a date or time; `None` for other sections.
fn time_of(section: &str) -> Option<NumberFormat> {
    let (bare, brackets) = bare_letters(section);
    let is_elapsed = |inside: &String| {
        let inside = inside.to_ascii_lowercase();
        !inside.is_empty() && ["h", "m", "s"].iter().any(|unit| inside.bytes().all(|byte| unit.as_bytes() == [byte]))
    };
    if brackets.iter().any(is_elapsed) {
        return Some(NumberFormat::Elapsed);
    }
    let general = bare.replace("general", "");
    if general.contains(['y', 'd']) || (general.contains('m') && !general.contains(['h', 's'])) {
        return Some(NumberFormat::Date);
    }
    // A point and zeros after seconds are their fraction.
    if general.contains('h') || general.contains('s') {
        return Some(NumberFormat::Time);
    }
    None
}

impl Pattern {
    /// The pattern of a section; `None` if it is not a number's, or uses something unsupported.
    fn of(section: &str) -> Option<Self> {
        let mut pattern = Self::default();
        let mut literal = String::new();
        let (mut in_decimals, mut pending_commas) = (false, 0_usize);
        let mut letters = section.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '0' | '#' | '?' => {
                    if in_decimals {
                        pattern.decimals_min += usize::from(letter == '0');
                        // A literal between decimals cannot be shown that way.
                        if !literal.is_empty() {
                            return None;
                        }
                        continue;
                    }
                    if pending_commas > 0 && pattern.whole_places > 0 {
                        pattern.grouped = true;
                    }
                    pending_commas = 0;
                    pattern.push_literal(&mut literal);
                    pattern.whole_places += 1;
                    pattern.whole_min += usize::from(letter == '0');
                    pattern.tokens.push(Token::Digit(letter == '0'));
                }
                '.' if !in_decimals => {
                    in_decimals = true;
                    pattern.push_literal(&mut literal);
                    pattern.tokens.push(Token::Decimals);
                }
                ',' => pending_commas += 1,
                '%' if pattern.percent => return None,
                '%' => {
                    pattern.percent = true;
                    literal.push('%');
                }
                '"' => literal.extend(letters.by_ref().take_while(|letter| *letter != '"')),
                '\\' => literal.extend(letters.next()),
                // A space as wide as another character, and a character that fills the cell.
                '_' => {
                    letters.next();
                    literal.push(' ');
                }
                '*' => {
                    letters.next();
                }
                '[' => {
                    let inside: String = letters.by_ref().take_while(|letter| *letter != ']').collect();
                    // `[$€-407]` is a currency and a locale; colours do not matter for texts.
                    if let Some(currency) = inside.strip_prefix('$') {
                        literal.push_str(currency.split('-').next().unwrap_or_default());
                    }
                }
                // Text, fractions and powers of ten are not supported.
                '@' | '/' | 'E' | 'e' => return None,
                'G' | 'g' => return None,
                // Letters are parts of dates, or not supported.
                other if other.is_ascii_alphabetic() => return None,
                other => literal.push(other),
            }
        }
        // Commas at the end show thousands, which would be a different number without its unit.
        if pending_commas > 0 {
            return None;
        }
        if pattern.whole_places == 0 {
            return if pattern.tokens.is_empty() && !literal.trim().is_empty() {
                pattern.push_literal(&mut literal);
                Some(pattern)
            } else {
                None
            };
        }
        if !in_decimals {
            pattern.tokens.push(Token::Decimals);
        }
        pattern.push_literal(&mut literal);
        Some(pattern)
    }

    fn push_literal(&mut self, literal: &mut String) {
        if !literal.is_empty() {
            self.tokens.push(Token::Literal(std::mem::take(literal)));
        }
    }

    /// Writes the number by the pattern. Decimals beyond the pattern's places are written nevertheless.
    fn write(&self, number: &Decimal, with_sign: bool) -> String {
        let mut shown = number.clone();
        if self.percent {
            shown.shift(2);
        }
        let (mut whole, mut fraction) = shown.parts();
        while fraction.len() < self.decimals_min.min(PLACES_MAX) {
            fraction.push('0');
        }
        // A section for zero shows its own sign for it, such as a dash.
        if whole == "0" && self.whole_min == 0 && (!fraction.is_empty() || self.is_of_zero) {
            whole.clear();
        }
        while whole.len() < self.whole_min {
            whole.insert(0, '0');
        }
        if self.grouped {
            whole = grouped(&whole);
        }
        let mut out = String::new();
        if with_sign {
            out.push('-');
        }
        let has_mask = self.has_mask();
        // The first place also takes the digits that exceed the places.
        let mut extra = if has_mask { whole.len().saturating_sub(self.whole_places) } else { whole.len() };
        let mut places_left = self.whole_places;
        let mut digits = whole.chars();
        for token in &self.tokens {
            match token {
                Token::Literal(literal) => out.push_str(literal),
                Token::Digit(_) if !has_mask => {
                    if extra > 0 {
                        out.extend(digits.by_ref());
                        extra = 0;
                    }
                }
                Token::Digit(_) => {
                    let has_digit = digits.as_str().len() >= places_left;
                    for _ in 0..extra {
                        out.extend(digits.next());
                    }
                    extra = 0;
                    if has_digit {
                        out.extend(digits.next());
                    }
                    places_left -= 1;
                }
                Token::Decimals => {
                    if !fraction.is_empty() {
                        out.push('.');
                        out.push_str(&fraction);
                    }
                }
            }
        }
        out.trim().to_owned()
    }

    /// Tells whether texts stand between the digit places, as in `000-00-0000`.
    fn has_mask(&self) -> bool {
        let first = self.tokens.iter().position(|token| matches!(token, Token::Digit(_)));
        let last = self.tokens.iter().rposition(|token| matches!(token, Token::Digit(_)));
        let (Some(first), Some(last)) = (first, last) else { return false };
        self.tokens.get(first..last).unwrap_or_default().iter().any(|token| matches!(token, Token::Literal(_)))
    }
}

fn grouped(whole: &str) -> String {
    let mut out = String::with_capacity(whole.len() + whole.len() / 3);
    for (place, digit) in whole.char_indices() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A decimal number: its significant digits and the place of the point among them.
#[derive(Debug, Clone, PartialEq)]
struct Decimal {
    negative: bool,
    digits: String,
    /// Digits before the point; negative for zeros after it.
    point: i32,
}

impl Decimal {
    /// The number with the digits that a sheet shows.
    fn of(text: &str) -> Option<Self> {
        let shown = general(text);
        let (negative, bare) = shown.strip_prefix('-').map_or((false, shown.as_ref()), |bare| (true, bare));
        if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
        let point = i32::try_from(whole.len()).ok()?;
        let digits = format!("{whole}{fraction}");
        Some(Self { negative, digits, point })
    }

    fn is_zero(&self) -> bool {
        self.digits.bytes().all(|byte| byte == b'0')
    }

    /// Moves the point to the right.
    fn shift(&mut self, places: i32) {
        self.point = self.point.saturating_add(places);
    }

    /// The digits before the point, at least one, and those after it without trailing zeros.
    fn parts(&self) -> (String, String) {
        let length = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
        let (whole, fraction) = if self.point <= 0 {
            let zeros = usize::try_from(-self.point).unwrap_or(0);
            (String::new(), format!("{}{}", "0".repeat(zeros), self.digits))
        } else if self.point >= length {
            let zeros = usize::try_from(self.point - length).unwrap_or(0);
            (format!("{}{}", self.digits, "0".repeat(zeros)), String::new())
        } else {
            let (whole, fraction) = self.digits.split_at(usize::try_from(self.point).unwrap_or(0));
            (whole.to_owned(), fraction.to_owned())
        };
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        (whole.to_owned(), fraction.trim_end_matches('0').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(code: &str, digits: &str) -> String {
        NumberFormat::of_code(code).shown(digits).into_owned()
    }

    #[test]
    fn numbers_as_sheets_show_them() {
        for (code, digits, text) in [
            ("General", "2138", "2138"),
            ("General", "0.30000000000000004", "0.3"),
            ("General", "12345678901234567", "12345678901234567"),
            ("General", "2.01612E+11", "201612000000"),
            ("General", "-0", "0"),
            ("General", "1E+300", "1e300"),
            ("00000", "2138", "02138"),
            ("00000", "123456", "123456"),
            ("00000-0000", "21381234", "02138-1234"),
            ("000-00-0000", "78051120", "078-05-1120"),
            ("(000) 000-0000", "4155551234", "(415) 555-1234"),
            ("0%", "0.125", "12.5%"),
            ("0.00%", "0.125", "12.50%"),
            ("0%", "1", "100%"),
            ("\"$\"#,##0.00", "1234.5", "$1,234.50"),
            ("[$€-407] #,##0.00", "-5", "-€ 5.00"),
            ("#,##0.00 [$€-407]", "5", "5.00 €"),
            ("_(\"$\"* #,##0.00_);_(\"$\"* (#,##0.00);_(\"$\"* \"-\"??_);_(@_)", "-1234", "$(1,234.00)"),
            ("_(\"$\"* #,##0.00_);_(\"$\"* (#,##0.00);_(\"$\"* \"-\"??_);_(@_)", "0", "$-"),
            ("$#,##0", "5.25", "$5.25"),
            ("0.00", "12.345", "12.345"),
            ("0.0,,\"M\"", "1234567", "1234567"),
            ("#,##0,K", "1234567", "1234567"),
            ("0%%", "0.125", "0.125"),
            ("\"QQ\"", "5", "5"),
            ("ww", "5", "5"),
            ("Standard", "20", "20"),
            ("#.##", "0.5", ".5"),
            ("0 \"kg\"", "5", "5 kg"),
            ("h:mm", "0.5", "12:00:00"),
            ("[h]:mm:ss", "1.5", "36:00:00"),
            ("mm:ss.0", "0.00001157407407", "00:00:01"),
            ("# ?/?", "0.5", "0.5"),
            ("0.00E+00", "1234567", "1234567"),
            ("@", "007", "7"),
        ] {
            assert_eq!(shown(code, digits), text, "{digits} by {code}");
        }
    }

    #[test]
    fn dates_and_times() {
        for (code, format) in [
            ("m/d/yyyy", NumberFormat::Date),
            ("mmm-yy", NumberFormat::Date),
            ("yyyy-mm-dd hh:mm", NumberFormat::Date),
            ("[$-409]d\\-mmm\\-yyyy;@", NumberFormat::Date),
            ("h:mm AM/PM", NumberFormat::Time),
            ("[mm]:ss", NumberFormat::Elapsed),
            ("General", NumberFormat::General),
            ("\"day\" @", NumberFormat::General),
        ] {
            assert_eq!(NumberFormat::of_code(code), format, "{code}");
        }
        assert!(matches!(NumberFormat::of_code("\"days\" 0"), NumberFormat::Patterns { .. }));
        assert!(matches!(NumberFormat::of_code("[Red]0"), NumberFormat::Patterns { .. }));
    }

    proptest! {
        #[test]
        fn no_format_hides_a_digit(cents in -9_999_999_999_i64..9_999_999_999, code in prop_oneof![
            Just("0"), Just("0.00"), Just("#,##0"), Just("0%"), Just("00000"), Just("$#,##0.00"), Just("#.#"), Just("000-0000")
        ]) {
            let digits = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
            let text = shown(code, &digits);
            let scale = if code == "0%" { 100.0 } else { 1.0 };
            let bare: String = text.chars().filter(|letter| letter.is_ascii_digit() || *letter == '.').collect();
            let number: f64 = bare.parse().unwrap();
            prop_assert!((number / scale - digits.parse::<f64>().unwrap().abs()).abs() < 1e-6, "{text} of {digits} by {code}");
        }

        #[test]
        fn no_code_breaks_it(code in any::<String>(), pattern in "[0#?.,%\"\\\\_*;\\[\\]hmsyd$@/E ]{0,20}", number in any::<f64>()) {
            shown(&code, &number.to_string());
            shown(&pattern, &number.to_string());
        }
    }
}
