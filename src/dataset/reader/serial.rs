//! Dates stored as numbers of days, as in spreadsheets.

use jiff::{
    ToSpan,
    civil::{Date, DateTime},
};

/// One more than Excel's last day, 9999-12-31.
const SERIAL_END: f64 = 2_958_466.0;
/// The day that Excel has but the calendar does not: 1900-02-29.
const NO_DAY: f64 = 60.0;
const MILLIS_OF_DAY: f64 = 86_400_000.0;

/// The moment for a number of days since the epoch, to the millisecond.
///
/// # Errors
/// When it is no day of the calendar: what the cell holds, for "the cell holds …".
pub(in crate::dataset) fn moment_of_days(days: f64, epoch_1904: bool) -> Result<DateTime, &'static str> {
    let beyond = "a date outside the spreadsheet's calendar";
    if !(0.0..SERIAL_END).contains(&days) {
        return Err(beyond);
    }
    let millis = (days * MILLIS_OF_DAY).round();
    let day = (millis / MILLIS_OF_DAY).floor();
    let epoch = if epoch_1904 {
        Date::constant(1904, 1, 1)
    } else if day < 1.0 {
        return Err("a time of day without a date");
    } else if day < NO_DAY {
        Date::constant(1899, 12, 31)
    } else if day < NO_DAY + 1.0 {
        return Err("a day that does not exist: 29 February 1900");
    } else {
        // One day earlier, because of the day that does not exist.
        Date::constant(1899, 12, 30)
    };
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the guard above")]
    let (day, millis) = (day as i64, (millis - day * MILLIS_OF_DAY) as i64);
    let moment = epoch.to_datetime(jiff::civil::Time::midnight()).checked_add(day.days());
    moment.and_then(|moment| moment.checked_add(millis.milliseconds())).map_err(|_| beyond)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days() {
        for (days, shown) in [
            (1.0, "1900-01-01T00:00:00"),
            (59.0, "1900-02-28T00:00:00"),
            (61.0, "1900-03-01T00:00:00"),
            (42_705.0, "2016-12-01T00:00:00"),
            (42_705.416_666_666_664, "2016-12-01T10:00:00"),
            (42_705.416_668_113_4, "2016-12-01T10:00:00.125"),
            (42_704.999_999_999_99, "2016-12-01T00:00:00"),
            (2_958_465.0, "9999-12-31T00:00:00"),
        ] {
            assert_eq!(moment_of_days(days, false).unwrap().to_string(), shown, "{days}");
        }
        assert_eq!(moment_of_days(0.0, true).unwrap().to_string(), "1904-01-01T00:00:00");
        for wrong in [-1.0, 0.0, 0.5, 60.0, 60.5, 2_958_466.0, 2_958_465.999_999_999_9, f64::NAN, f64::INFINITY] {
            assert!(moment_of_days(wrong, false).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn days_follow_on_each_other(day in 61_i32..2_958_464) {
            let (today, tomorrow) = (moment_of_days(f64::from(day), false).unwrap(), moment_of_days(f64::from(day + 1), false).unwrap());
            prop_assert_eq!(today.date().tomorrow().unwrap(), tomorrow.date());
        }
    }
}
