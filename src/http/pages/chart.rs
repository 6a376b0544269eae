//! Charts as SVG: stacked bars, one for each day. The page has the same numbers in a table.

use std::fmt::Write as _;

use super::templates::escaped;

/// What a part of a bar can look like: the classes of the style.
const CLASSES: [&str; 5] = ["s1", "s2", "s3", "s4", "s5"];
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 10.0;

/// One kind of what is counted: a value for each day.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// What it is called.
    pub(super) label: String,
    /// How many on each day.
    pub(super) values: Vec<u64>,
}

/// The class of the layer at this place.
pub(super) fn class_of(place: usize) -> &'static str {
    CLASSES.get(place % CLASSES.len()).copied().unwrap_or("s1")
}

/// The least round number that is not less: 1, 2 or 5 times a power of ten.
fn round_up(value: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let round = power.saturating_mul(step);
            if round >= value {
                return round;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[allow(clippy::cast_precision_loss, reason = "a bar's height is not exact")]
fn share(value: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { value as f64 / of as f64 }
}

/// The chart as markup. `days` are shown as they are, the first, the middle and the last below the axis; `title` says what it is to
/// those who cannot see it; `written` writes a number.
pub(super) fn bars(title: &str, days: &[String], layers: &[Layer], written: impl Fn(u64) -> String) -> String {
    let total = |day: usize| layers.iter().filter_map(|layer| layer.values.get(day)).sum::<u64>();
    let most = round_up((0..days.len()).map(total).max().unwrap_or(0).max(1));
    let (inner, base) = (HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM);
    #[allow(clippy::cast_precision_loss, reason = "there are some dozens of days")]
    let step = (WIDTH - LEFT) / days.len().max(1) as f64;
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escaped(title)
    );
    // Writing into a text does not fail.
    for (value, y) in [(most, TOP), (most / 2, TOP + inner / 2.0), (0, base)] {
        write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            escaped(&written(value))
        )
        .ok();
    }
    let named = [0, days.len() / 2, days.len().saturating_sub(1)];
    let mut x = LEFT;
    for (place, day) in days.iter().enumerate() {
        write!(svg, "<g><title>{}: {}</title>", escaped(day), escaped(&written(total(place)))).ok();
        let mut y = base;
        for (nth, layer) in layers.iter().enumerate() {
            let height = share(layer.values.get(place).copied().unwrap_or(0), most) * inner;
            if height > 0.0 {
                y -= height;
                write!(
                    svg,
                    "<rect class=\"{}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                    class_of(nth),
                    x + step * 0.12,
                    step * 0.76
                )
                .ok();
            }
        }
        svg.push_str("</g>");
        if named.contains(&place) {
            let anchor = if place == 0 {
                "start"
            } else if place + 1 == days.len() {
                "end"
            } else {
                "middle"
            };
            let at = if place == 0 {
                x
            } else if place + 1 == days.len() {
                WIDTH
            } else {
                x + step / 2.0
            };
            write!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>", HEIGHT - 6.0, escaped(day))
                .ok();
        }
        x += step;
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number() {
        assert_eq!([1, 2, 3, 7, 10, 11, 499, 501].map(round_up), [1, 2, 5, 10, 10, 20, 500, 1000]);
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn bars_are_as_high_as_what_they_show_and_names_are_no_markup() {
        let layer = |label: &str, values: &[u64]| Layer { label: label.to_owned(), values: values.to_vec() };
        let days = ["<1>".to_owned(), "2".to_owned()];
        let svg = bars("use", &days, &[layer("a", &[10, 0]), layer("b", &[0, 5])], |n| n.to_string());
        assert_eq!(svg.matches("<rect").count(), 2, "nothing is drawn of nothing: {svg}");
        assert!(svg.contains("class=\"s1\" x=\"95.8\" y=\"10.0\" width=\"252.3\" height=\"148.0\""), "{svg}");
        assert!(svg.contains("height=\"74.0\"") && svg.contains("&lt;1&gt;") && !svg.contains("<1>"), "{svg}");
        assert!(bars("use", &[], &[], |n| n.to_string()).ends_with("</svg>"));
    }
}
