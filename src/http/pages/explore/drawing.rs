//! Drawings of numbers: bars of several parts.

use serde_json::{Value as Json, json};

use super::wording;

/// The drawing's size.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// The room for names and numbers around the bars.
const LEFT: f64 = 230.0;
const RIGHT: f64 = 110.0;
const FOOT: f64 = 24.0;
const HEAD: f64 = 16.0;
/// The height of a horizontal bar, with the space below it.
const ROW: f64 = 26.0;
/// Names below vertical bars at most.
const NAMES_MAX: usize = 6;

/// What is there is seen, however little it is.
const LEAST: f64 = 1.0;
/// Characters of a bar's name, and of its full name.
const LABEL_CHARS: usize = 32;
const FULL_CHARS: usize = 200;

/// A bar of several parts.
pub(super) struct Stack {
    /// Its name where there is little room.
    pub(super) label: String,
    /// Its whole name.
    pub(super) full: String,
    /// Its number, as it is written.
    pub(super) written: String,
    /// The series of each part, and its number. Parts below zero are not drawn.
    pub(super) parts: Vec<(usize, f64)>,
}

impl Stack {
    fn total(&self) -> f64 {
        self.parts.iter().map(|(_, number)| number.max(0.0)).sum()
    }
}

/// Rounds a number of the drawing to a tenth.
pub(super) fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Bars that stand side by side, or lie below each other.
pub(super) fn stacked(bars: &[Stack], standing: bool) -> Json {
    let most = bars.iter().map(Stack::total).fold(0.0, f64::max);
    let scale = |number: f64, room: f64| if most > 0.0 { room * number / most } else { 0.0 };
    let size = |low: f64, high: f64| (high - low).max(LEAST);
    let wide = WIDTH / bars.len().max(1) as f64;
    let every = bars.len().div_ceil(NAMES_MAX).max(1);
    let drawn = bars.iter().enumerate().map(|(nth, bar)| {
        let mut so_far = 0.0;
        let parts: Vec<Json> = bar
            .parts
            .iter()
            .filter(|(_, number)| *number > 0.0)
            .map(|(series, number)| {
                let (before, class) = (so_far, format!("s{}", series + 1));
                so_far += number;
                if standing {
                    let (low, high) = (scale(before, HEIGHT - FOOT - HEAD), scale(so_far, HEIGHT - FOOT - HEAD));
                    let x = nth as f64 * wide + wide * 0.06;
                    json!({ "x": tenth(x), "y": tenth(HEIGHT - FOOT - low - size(low, high)), "w": tenth(wide * 0.88), "h": tenth(size(low, high)), "class": class })
                } else {
                    let room = WIDTH - LEFT - RIGHT;
                    let (low, high) = (scale(before, room), scale(so_far, room));
                    let y = nth as f64 * ROW + 3.0;
                    json!({ "x": tenth(LEFT + low), "y": y, "w": tenth(size(low, high)), "h": ROW - 8.0, "class": class })
                }
            })
            .collect();
        let (text_x, text_y, shown) = match standing {
            true => (tenth(nth as f64 * wide + wide * 0.06), HEIGHT - 7.0, nth % every == 0),
            false => (LEFT - 10.0, tenth(nth as f64 * ROW + 17.0), true),
        };
        json!({
            "parts": parts, "label": if shown { wording::cut(&bar.label, LABEL_CHARS) } else { "".into() }, "text_x": text_x, "text_y": text_y,
            "count_x": tenth(LEFT + scale(bar.total(), WIDTH - LEFT - RIGHT) + 8.0), "full": wording::cut(&bar.full, FULL_CHARS), "written": bar.written,
        })
    });
    let drawn: Vec<Json> = drawn.collect();
    let height = if standing { HEIGHT } else { (bars.len() as f64 * ROW).max(ROW) };
    let highest = bars.iter().max_by(|left, right| left.total().total_cmp(&right.total()));
    json!({
        "width": WIDTH, "height": height, "lying": !standing, "bars": drawn, "axis": HEIGHT - FOOT,
        "most": highest.map(|bar| bar.written.clone()), "anchor": if standing { "start" } else { "end" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_upon_each_other() {
        let stack = |label: &str, parts: &[(usize, f64)]| Stack {
            label: label.into(),
            full: label.into(),
            written: "x".into(),
            parts: parts.to_vec(),
        };
        let bars = [stack("a", &[(0, 1.0), (1, 3.0)]), stack("b", &[(0, 2.0), (5, -1.0)]), stack("c", &[])];
        let drawn = stacked(&bars, true);
        let parts = &drawn["bars"][0]["parts"];
        assert_eq!(parts[0]["y"].as_f64().unwrap(), parts[1]["y"].as_f64().unwrap() + parts[1]["h"].as_f64().unwrap());
        assert_eq!(parts[1]["y"], HEAD);
        assert_eq!(drawn["bars"][1]["parts"].as_array().unwrap().len(), 1, "nothing below zero is drawn");
        let lying = stacked(&bars, false);
        assert_eq!(lying["bars"][0]["parts"][1]["x"], tenth(LEFT + (WIDTH - LEFT - RIGHT) / 4.0));
        assert_eq!(stacked(&[], true)["bars"], json!([]));
    }
}
