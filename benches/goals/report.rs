//! The table of results, and the machine that they come from.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use crate::Outcome;

/// One line of the table.
pub(crate) struct Finding {
    goal: &'static str,
    what: String,
    figures: String,
    ratio: String,
    wanted: String,
    met: Option<bool>,
}

impl Finding {
    /// Something that must reach at least `wanted` times what it is measured against.
    pub(crate) fn at_least(
        goal: &'static str,
        what: impl Into<String>,
        figures: impl Into<String>,
        ratio: f64,
        wanted: f64,
    ) -> Self {
        Self::new(goal, what, figures, show(ratio), format!("≥ {wanted}"), Some(ratio >= wanted))
    }

    /// Something that may be at most `wanted`.
    pub(crate) fn at_most(
        goal: &'static str,
        what: impl Into<String>,
        figures: impl Into<String>,
        ratio: f64,
        wanted: f64,
        unit: &str,
    ) -> Self {
        Self::new(
            goal,
            what,
            figures,
            format!("{}{unit}", show(ratio)),
            format!("≤ {wanted}{unit}"),
            Some(ratio <= wanted),
        )
    }

    /// Something that is told for comparison, and no goal.
    pub(crate) fn told(goal: &'static str, what: impl Into<String>, figures: impl Into<String>, ratio: f64) -> Self {
        Self::new(goal, what, figures, show(ratio), "–".to_owned(), None)
    }

    /// Something that was not measured, and why.
    pub(crate) fn absent(goal: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(goal, what, why, "–".to_owned(), "–".to_owned(), None)
    }

    fn new(
        goal: &'static str,
        what: impl Into<String>,
        figures: impl Into<String>,
        ratio: String,
        wanted: String,
        met: Option<bool>,
    ) -> Self {
        Self { goal, what: what.into(), figures: figures.into(), ratio, wanted, met }
    }
}

/// A number with as many digits as mean something.
pub(crate) fn show(number: f64) -> String {
    match number.abs() {
        large if large >= 100.0 => format!("{number:.0}"),
        middle if middle >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A rate, in thousands a second where it is large.
pub(crate) fn rate(per_s: f64) -> String {
    if per_s >= 10_000.0 { format!("{} k/s", show(per_s / 1000.0)) } else { format!("{}/s", show(per_s)) }
}

/// The Markdown table.
pub(crate) fn table(findings: &[Finding]) -> String {
    format!("| # | what | figures | ratio | wanted | met |\n|---|---|---|---|---|---|\n{}", rows(findings))
}

/// Its rows.
pub(crate) fn rows(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { goal, what, figures, ratio, wanted, met } in findings {
        let met = match met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        // Writing to a String cannot fail.
        writeln!(text, "| {goal} | {what} | {figures} | {ratio} | {wanted} | {met} |").ok();
    }
    text
}

/// The machine in one line a fact.
pub(crate) fn machine(options: &str) -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
        output.map_or_else(|| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory_gib = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0) / 1048576.0;
    format!(
        "- processor: {}, {cores} cores; memory: {memory_gib:.0} GiB\n- kernel: {}\n- compiler: {}\n- commit: {}\n- date: {}\n- options: {options}\n",
        field("/proc/cpuinfo", "model name"),
        said("uname", &["-sr"]),
        said("rustc", &["--version"]),
        said("git", &["describe", "--always", "--dirty"]),
        said("date", &["-u", "+%Y-%m-%d"]),
    )
}

/// What stands around the measured part of the page.
const PAGE: &str = "# Benchmarks
`make bench` prints this table; a run of all goals (`make bench BENCH=\"--large\"`) also writes it here. Ratios are what
counts: both sides of each were measured in the same run, in alternation, the server on one core and the load on the
other; the figures are medians. `PERFORMANCE` numbers P1 to P15 name the goals that the project has set itself.

";

/// Where the part begins that people have written: it is kept.
const NOTES: &str = "\n## Notes\n";

/// Writes the page. `tables` have their headings.
pub(crate) fn write_page(path: &Path, machine: &str, findings: &[Finding], tables: &[(&str, String)]) -> Outcome<()> {
    let page = fs::read_to_string(path).unwrap_or_default();
    let notes = page.find(NOTES).and_then(|at| page.get(at..)).unwrap_or_default();
    let mut text = format!("{PAGE}{}\n{machine}", table(findings));
    for (heading, table) in tables {
        write!(text, "\n## {heading}\n{table}")?;
    }
    fs::write(path, text + notes)?;
    Ok(())
}
