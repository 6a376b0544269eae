//! Progress on standard error; nothing where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is drawn while nobody reports.
const TICK: Duration = Duration::from_millis(100);

/// A bar for work of a known length, in the form that `template` gives it.
pub(super) fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    start(bar, template)
}

/// A spinner for work of an unknown length.
pub(super) fn spinner(template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    start(bar, template)
}

fn start(bar: ProgressBar, template: &str) -> ProgressBar {
    // An invalid template leaves the default bar: it must not stop the work.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    // A separate thread ticks, and may not run before the work is done.
    bar.tick();
    bar.enable_steady_tick(TICK);
    bar
}

/// Draws the bar as it is now, so that the end of even the shortest work was shown, and takes it away.
pub(super) fn finish(bar: &ProgressBar) {
    bar.disable_steady_tick();
    bar.tick();
    bar.finish_and_clear();
}
