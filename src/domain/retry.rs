//! When a mail is retried that was not accepted for now, for example because of greylisting: with growing pauses, as RFC 5321 section
//! 4.5.4.1 wants it, for as long as a setting says.
//!
//! The pauses count, not a clock: a clock set forward gives no mail up, and a deployment that stood still for days goes on where it was.

/// The pauses, seconds; the last one is repeated.
const PAUSES_S: [u32; 6] = [60, 120, 300, 600, 1200, 1800];
/// The longest pause, seconds.
pub const PAUSE_S_MAX: u32 = 1800;

fn pause_after(put_off: u32) -> u32 {
    usize::try_from(put_off).ok().and_then(|place| PAUSES_S.get(place)).copied().unwrap_or(PAUSE_S_MAX)
}

/// The sum of the pauses after so many deferrals, seconds.
pub fn waited_s(put_off: u32) -> u64 {
    let first = PAUSES_S.iter().zip(0..put_off).map(|(pause, _)| u64::from(*pause)).sum::<u64>();
    let further = put_off.saturating_sub(u32::try_from(PAUSES_S.len()).unwrap_or(u32::MAX));
    first + u64::from(further) * u64::from(PAUSE_S_MAX)
}

/// The pause before the next try of a mail deferred `put_off` times, seconds; `None` if that try would come later than `retry_for_s` after
/// the first.
pub fn pause_s(put_off: u32, retry_for_s: u64) -> Option<u32> {
    let pause = pause_after(put_off);
    (waited_s(put_off).saturating_add(u64::from(pause)) <= retry_for_s).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(retry_for_s: u64) -> Vec<u64> {
        let mut put_off = 0;
        let mut tries = vec![0];
        while let Some(pause) = pause_s(put_off, retry_for_s) {
            tries.push(tries.last().unwrap() + u64::from(pause));
            put_off += 1;
            assert_eq!(waited_s(put_off), *tries.last().unwrap());
        }
        tries
    }

    #[test]
    fn pauses_grow_to_half_an_hour_and_end() {
        let minutes: Vec<u64> = tries(2 * 86_400).iter().map(|second| second / 60).collect();
        assert_eq!(minutes[..9], [0, 1, 3, 8, 18, 38, 68, 98, 128]);
        assert_eq!(minutes.last(), Some(&(48 * 60 - 22)), "two days, and no try after them");
        assert_eq!(minutes.len(), 100);
        assert!(tries(86_400).iter().all(|second| *second <= 86_400));
        assert_eq!(tries(0), [0]);
        assert_eq!(pause_s(u32::MAX, u64::MAX), Some(PAUSE_S_MAX));
    }
}
