//! Generates one row after another.

use std::borrow::Cow;

use jiff::{ToSpan, civil::Date};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::words;

/// The number that documentation, tests and demo look up.
const REFERENCE_NUMBER: &str = "#201612013997";
/// The last filing day in a sample.
const LAST_FILED: Date = Date::constant(2016, 12, 30);
/// Filing days of a month's report; more if there are more rows than these days can number.
const DAYS_MIN: u64 = 235;
const NUMBERS_PER_DAY: u64 = 5_000;
const SERIALS: u64 = 10_000;
/// The step shares no factor with `SERIALS`, so that its multiples visit every serial once.
const SERIAL_STEP: u64 = 7_919;

/// A cell of a sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SampleCell {
    Blank,
    Text(Cow<'static, str>),
    Integer(i64),
    Cents(i64),
    Date(Date),
}

/// The 41 cells of a row.
pub(super) type RowOfSample = Vec<SampleCell>;

/// The rows of a sample.
pub(super) struct SampleRows {
    random: ChaCha8Rng,
    left: u64,
    is_first: bool,
    days: u64,
    numbers: u64,
    /// The row whose number is repeated, and the remaining repetitions.
    repeated: Option<(RowOfSample, u64)>,
}

impl SampleRows {
    pub(super) fn new(rows: u64, seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            left: rows,
            is_first: true,
            days: DAYS_MIN.max(rows.div_ceil(NUMBERS_PER_DAY)),
            numbers: 0,
            repeated: None,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end.max(1)
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn integer_below(&mut self, end: u64) -> i64 {
        i64::try_from(self.below(end)).unwrap_or(0)
    }

    fn pick<T: Copy + Default>(&mut self, words: &[T]) -> T {
        let place = usize::try_from(self.below(u64::try_from(words.len()).unwrap_or(1))).unwrap_or(0);
        words.get(place).copied().unwrap_or_default()
    }

    fn weighted<T: Copy + Default>(&mut self, choices: &[(T, u32)]) -> T {
        let total = choices.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut at = self.below(total);
        for (choice, weight) in choices {
            match at.checked_sub(u64::from(*weight)) {
                None => return *choice,
                Some(rest) => at = rest,
            }
        }
        T::default()
    }

    /// A value between two neighbouring quantiles.
    fn quantile(&mut self, quantiles: &[i64]) -> i64 {
        let steps = u64::try_from(quantiles.len()).unwrap_or(1).saturating_sub(1);
        let place = usize::try_from(self.below(steps)).unwrap_or(0);
        let (low, high) = (quantiles.get(place).copied().unwrap_or(0), quantiles.get(place + 1).copied().unwrap_or(0));
        low + self.integer_below(u64::try_from(high - low).unwrap_or(0).saturating_add(1))
    }

    fn next_number(&mut self) -> (String, Date) {
        let place = self.numbers;
        self.numbers += 1;
        let (round, day) = (place / self.days, place % self.days);
        let filed =
            i64::try_from(day).ok().and_then(|days| LAST_FILED.checked_sub(days.days()).ok()).unwrap_or(LAST_FILED);
        let written = |round: u64| {
            let serial = (round * SERIAL_STEP + day * 31) % SERIALS;
            format!("#{:04}{:02}{:02}{serial:04}", filed.year(), filed.month(), filed.day())
        };
        let number = written(round);
        // Rounds stop at NUMBERS_PER_DAY, so a later serial is free.
        (if number == REFERENCE_NUMBER { written(NUMBERS_PER_DAY) } else { number }, filed)
    }

    fn cost(&mut self) -> i64 {
        if self.below(2_166) < 251 {
            return 100;
        }
        let dollars = self.quantile(&words::COSTS);
        match self.below(10) {
            0..=5 if dollars > 2_000 => dollars / 500 * 50_000,
            9 if self.one_in(20) => dollars * 100 + self.integer_below(100),
            _ => dollars * 100,
        }
    }

    fn stories(&mut self, usual: i64) -> i64 {
        (usual + self.integer_below(3) - 1).max(0)
    }

    fn permit(&mut self) -> RowOfSample {
        let (number, filed) = self.next_number();
        let issued = filed.checked_add(self.quantile(&words::LAGS).days()).unwrap_or(filed);
        let expires = issued.checked_add(self.weighted(&words::TERMS).days()).unwrap_or(issued);
        let (existing_use, units, floors) = self.weighted(&words::USES);
        let proposed_use = if self.one_in(12) { self.weighted(&words::USES).0 } else { existing_use };
        let estimated = self.cost();
        let revised = if self.below(10) < 7 { estimated } else { estimated + estimated / 4 };
        let stories = self.stories(floors);
        let (street, street_suffix) = self.weighted(&words::STREETS);
        let mut row = vec![
            SampleCell::Text(number.into()),
            SampleCell::Integer(self.weighted(&words::FORMS)),
            SampleCell::Date(filed),
            SampleCell::Date(issued),
            text("ISSUED"),
            SampleCell::Integer(9),
            SampleCell::Date(expires),
            if self.one_in(2_166) { SampleCell::Blank } else { SampleCell::Cents(estimated) },
            SampleCell::Cents(revised),
            text(existing_use),
            if self.one_in(10) { SampleCell::Blank } else { SampleCell::Integer(units) },
            text(proposed_use),
            if self.one_in(11) { SampleCell::Blank } else { SampleCell::Integer(units) },
            SampleCell::Integer(if self.below(10) < 6 { 2 } else { 0 }),
            if self.one_in(23) { text("Y") } else { SampleCell::Blank },
            if self.one_in(28) { SampleCell::Blank } else { SampleCell::Integer(stories) },
            if self.one_in(34) { SampleCell::Blank } else { SampleCell::Integer(stories) },
            SampleCell::Integer(stories),
            SampleCell::Blank,
            SampleCell::Integer(self.integer_below(12)),
            SampleCell::Blank,
            SampleCell::Blank,
            SampleCell::Integer(1 + self.integer_below(3_900)),
            text(self.weighted(&words::NUMBER_SUFFIXES)),
            text(street),
            text(street_suffix),
            self.unit(),
            text(self.weighted(&words::UNIT_SUFFIXES)),
        ];
        row.extend(self.contractor());
        row.push(self.description());
        self.place_lot(&mut row);
        row
    }

    fn unit(&mut self) -> SampleCell {
        match self.below(2_166) {
            0..=243 => SampleCell::Integer(0),
            244..=327 => SampleCell::Integer(1 + self.integer_below(800)),
            _ => SampleCell::Blank,
        }
    }

    /// Blocks and lots are numbers, except those with a letter or padding.
    fn place_lot(&mut self, row: &mut RowOfSample) {
        let block = 1 + self.integer_below(9_000);
        let lot = 1 + self.integer_below(120);
        let block =
            if self.one_in(28) { SampleCell::Text(format!("{block:04}A").into()) } else { SampleCell::Integer(block) };
        let lot =
            if self.one_in(13) { SampleCell::Text(format!("{lot:03}B").into()) } else { SampleCell::Integer(lot) };
        for (place, cell) in [(20, block), (21, lot)] {
            if let Some(slot) = row.get_mut(place) {
                *slot = cell;
            }
        }
    }

    /// Twelve invented cells that must never be published.
    fn contractor(&mut self) -> Vec<SampleCell> {
        if self.one_in(25) {
            return vec![SampleCell::Blank; 12];
        }
        if self.one_in(7) {
            let owner = || text("OWNER");
            return vec![
                owner(),
                owner(),
                SampleCell::Blank,
                owner(),
                SampleCell::Blank,
                owner(),
                SampleCell::Blank,
                owner(),
                text("CA"),
                text("00000-0000"),
                SampleCell::Blank,
                SampleCell::Blank,
            ];
        }
        vec![
            text(self.pick(&words::FIRST_NAMES)),
            text(self.pick(&words::LAST_NAMES)),
            SampleCell::Integer(4_155_550_100 + self.integer_below(100)),
            text(self.pick(&words::TRADES)),
            SampleCell::Integer(30_000 + self.integer_below(900)),
            text("INVENTED"),
            text("ST"),
            text(self.pick(&words::CITIES)),
            text("CA"),
            text("94100-0000"),
            SampleCell::Blank,
            SampleCell::Blank,
        ]
    }

    fn description(&mut self) -> SampleCell {
        let mut words = self.weighted(&words::WORKS).to_owned();
        for _ in 0..self.below(5) {
            words.push(' ');
            words.push_str(self.pick(&words::DETAILS));
        }
        SampleCell::Text(words.into())
    }

    /// The reference record: real except for its contractor, who is invented.
    fn reference(&mut self) -> RowOfSample {
        let mut row = vec![
            text(REFERENCE_NUMBER),
            SampleCell::Integer(8),
            SampleCell::Date(Date::constant(2016, 12, 1)),
            SampleCell::Date(Date::constant(2016, 12, 21)),
            text("ISSUED"),
            SampleCell::Integer(9),
            SampleCell::Date(Date::constant(2017, 6, 21)),
            SampleCell::Cents(939_900),
            SampleCell::Cents(939_900),
            text("1 FAMILY DWELLING"),
            SampleCell::Integer(1),
            text("1 FAMILY DWELLING"),
            SampleCell::Integer(1),
            SampleCell::Integer(0),
            SampleCell::Blank,
            SampleCell::Integer(2),
            SampleCell::Integer(2),
            SampleCell::Integer(1),
            SampleCell::Blank,
            SampleCell::Integer(0),
            SampleCell::Integer(2_998),
            SampleCell::Integer(32),
            SampleCell::Integer(235),
            SampleCell::Blank,
            text("BELLA VISTA"),
            text("WY"),
            SampleCell::Blank,
            SampleCell::Blank,
        ];
        row.extend([
            text("ALDER"),
            text("SAMPLEMAN"),
            SampleCell::Integer(4_155_550_100),
            text("FICTIONAL GLASS"),
            SampleCell::Integer(30_800),
            text("INVENTED"),
            text("ST"),
            text("HAYWARD"),
            text("CA"),
            text("94100-0000"),
            SampleCell::Blank,
            SampleCell::Blank,
        ]);
        row.push(text("Replacing aluminum windows with paintable wood windows with acrylic clad. U-FACTOR: 0.32  SHGC: 0.25; SAME SIZE  SAME LOCATION."));
        row
    }
}

fn text(word: &'static str) -> SampleCell {
    if word.is_empty() { SampleCell::Blank } else { SampleCell::Text(Cow::Borrowed(word)) }
}

impl Iterator for SampleRows {
    type Item = RowOfSample;

    fn next(&mut self) -> Option<RowOfSample> {
        self.left = self.left.checked_sub(1)?;
        if std::mem::take(&mut self.is_first) {
            return Some(self.reference());
        }
        if let Some((mut row, times)) = self.repeated.take() {
            // One number covers several lots or addresses of a site.
            self.place_lot(&mut row);
            if times > 1 {
                self.repeated = Some((row.clone(), times - 1));
            }
            return Some(row);
        }
        let row = self.permit();
        let times = self.weighted(&words::REPEATS);
        if times > 1 {
            self.repeated = Some((row.clone(), times - 1));
        }
        Some(row)
    }
}
