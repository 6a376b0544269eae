//! The program on a terminal: progress, questions, and nothing of either where there is no terminal.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::{Home, Ran, number};

/// How long the program may say nothing.
const PATIENCE: Duration = Duration::from_secs(180);
const ROWS: u16 = 40;
const COLUMNS: u16 = 110;
/// What a terminal sends for Ctrl+D.
const END_OF_INPUT: &str = "\u{4}";

/// The program on a terminal of its own.
struct Terminal {
    child: Child,
    keyboard: File,
    shown: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// Everything that stood there at one time or another.
    screens: Vec<String>,
}

/// Where the program's standard output goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Terminal,
    Pipe,
}

/// What is left when the program has ended.
struct Left {
    exit: i32,
    /// What the terminal showed at one time or another.
    screens: Vec<String>,
    /// The lines that stand on it.
    lines: Vec<String>,
    /// Standard output, where that was not the terminal.
    piped: String,
}

impl Terminal {
    fn start(mut command: Command, output: Output) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).and_then(|()| unlockpt(&master)).unwrap();
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let open = || rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let stdout = if output == Output::Pipe { Stdio::piped() } else { open().into() };
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").stdin(open()).stdout(stdout).stderr(open());
        let child = command.spawn().unwrap();
        // With the command go the terminal's ends in this process: then reading ends when the program does.
        drop(command);
        let keyboard = File::from(master);
        let mut monitor = keyboard.try_clone().unwrap();
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error (EIO) is how the end is told.
            while let Ok(count @ 1..) = monitor.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let [rows, columns] = [ROWS, COLUMNS].map(|size| NonZeroU16::new(size).unwrap());
        Self { child, keyboard, shown, screen: vt100::Parser::new(rows, columns, 0), screens: Vec::new() }
    }

    /// Takes in what is shown next; false when the program has closed the terminal.
    fn look(&mut self) -> bool {
        match self.shown.recv_timeout(PATIENCE) {
            Ok(bytes) => {
                // What is drawn and taken away again may come at once: whatever stood there before a control is looked at.
                for piece in bytes.chunk_by(|_, next| !matches!(next, b'\r' | 0x1b)) {
                    self.screen.process(piece);
                    let shown = self.screen.screen().contents();
                    if self.screens.last() != Some(&shown) {
                        self.screens.push(shown);
                    }
                }
                true
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => false,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing more is shown after {:?}", self.screens.last()),
        }
    }

    /// Types when the program asks.
    fn answer(&mut self, question: &str, keys: &str) {
        while !self.screen.screen().contents().contains(question) {
            assert!(self.look(), "it never asked: {:?}", self.screens.last());
        }
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn end(mut self) -> Left {
        let mut piped = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut piped).unwrap();
        }
        while self.look() {}
        let exit = self.child.wait().unwrap().code().unwrap();
        let screen = self.screen.screen();
        assert_eq!(screen.cursor_position().1, 0, "the prompt follows on a line of its own: {}", screen.contents());
        assert!(!screen.hide_cursor());
        let lines = screen.contents().lines().map(ToOwned::to_owned).collect();
        Left { exit, screens: std::mem::take(&mut self.screens), lines, piped }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended by itself, unless the test failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Home {
    fn on_terminal(&self, arguments: &[&str]) -> Left {
        Terminal::start(self.command(arguments), Output::Terminal).end()
    }
}

impl Left {
    /// Different lines that stood there at one time or another, in their order, and that have all of these in them.
    fn ever(&self, parts: &[&str]) -> Vec<&str> {
        let lines = self.screens.iter().flat_map(|screen| screen.lines());
        let mut found: Vec<&str> = lines.filter(|line| parts.iter().all(|part| line.contains(part))).collect();
        found.dedup();
        found
    }
}

/// Nothing on either stream that is meant for a terminal, and nothing beside the answer.
fn is_plain(ran: &Ran) {
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(!ran.out.is_empty() && !ran.out.contains(['\u{1b}', '\r', '█', '░']), "{:?}", ran.out);
}

/// The same lines but for times and rates, which differ from run to run.
fn same_but_for_times<'a>(lines: impl IntoIterator<Item = &'a str>, others: &str) {
    let timeless = |line: &str| line.split(" in ").next().unwrap_or_default().to_owned();
    let lines: Vec<String> = lines.into_iter().map(timeless).collect();
    assert_eq!(lines, others.lines().map(timeless).collect::<Vec<_>>());
}

#[test]
fn an_import_shows_how_far_it_is() {
    let home = Home::new();
    home.sample(20_000, "a.csv");
    let left = home.on_terminal(&["import", "a.csv", "--dataset", "permits"]);
    assert_eq!(left.exit, 0, "{:?}", left.lines);
    // The first is drawn before a row is read, the last when all are.
    let bars = left.ever(&["MiB", "rows"]);
    assert!(bars.last().is_some_and(|bar| bar.contains('█')), "{bars:?}");
    let rows = |bar: &&str| {
        let words: Vec<&str> = bar.split_whitespace().collect();
        words[words.len() - 2].replace(',', "").parse::<u64>().unwrap()
    };
    let rows: Vec<u64> = bars.iter().map(rows).collect();
    assert!(rows.is_sorted() && rows.first() < rows.last(), "it moves on: {bars:?}");

    let plain = home.run(&["import", "a.csv", "--dataset", "permits"]);
    is_plain(&plain);
    assert!(left.lines[0].starts_with("a.csv into permits: 20,000 rows in "), "the bar is gone: {:?}", left.lines);
    assert_eq!(left.lines.len(), plain.out.lines().count(), "{:?}", left.lines);
}

#[test]
fn a_bar_stays_out_of_what_is_piped_on() {
    let home = Home::new();
    home.sample(20_000, "a.csv");
    let left =
        Terminal::start(home.command(&["import", "a.csv", "--dataset", "permits", "--json"]), Output::Pipe).end();
    assert!(!left.ever(&["█", "MiB/", "rows"]).is_empty());
    assert_eq!((left.exit, left.lines.as_slice()), (0, [].as_slice()), "the bar is gone");
    assert_eq!(number(&serde_json::from_str(&left.piped).unwrap(), "inserted"), 20_000);
}

#[test]
fn a_sample_shows_how_far_it_is() {
    let home = Home::new();
    for name in ["a.csv", "a.xlsx"] {
        let arguments = ["sample", "--rows", "20000", "-o", name];
        let left = home.on_terminal(&arguments);
        assert!(!left.ever(&["written, "]).is_empty(), "{:?}", left.screens);
        let plain = home.run(&arguments);
        is_plain(&plain);
        same_but_for_times(left.lines.iter().map(String::as_str), &plain.out);
    }
}

#[test]
fn a_replay_shows_how_far_it_is() {
    let home = Home::new();
    let people: Vec<String> = (0..40).map(|n| format!("user{n}@example.org")).collect();
    home.json(&[&["invite"], people.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat());
    for command in ["replay", "verify"] {
        let left = home.on_terminal(&["events", command]);
        assert!(!left.ever(&["█", " commits  ", "events/s"]).is_empty(), "{:?}", left.screens);
        let plain = home.run(&["events", command]);
        is_plain(&plain);
        same_but_for_times(left.lines.iter().map(String::as_str), &plain.out);
    }
}

#[test]
fn an_import_that_removes_much_asks_first() {
    let home = Home::new();
    home.sample(40, "many.csv");
    home.sample(3, "few.csv");
    home.json(&["import", "many.csv", "--dataset", "permits"]);
    let records = || number(&home.json(&["datasets", "show", "permits"]), "records");
    let answering = |keys: &str| {
        let import = home.command(&["import", "few.csv", "--dataset", "permits", "--replace"]);
        let mut terminal = Terminal::start(import, Output::Terminal);
        terminal.answer("Import it all the same? [y/N] ", keys);
        terminal.end()
    };
    let left = answering("n\n");
    assert_eq!((left.exit, records()), (4, 40), "{:?}", left.lines);
    assert!(left.lines.iter().any(|line| line.contains("of 40 records would be removed")), "{:?}", left.lines);
    let left = answering("y\n");
    assert_eq!((left.exit, records()), (0, 3), "{:?}", left.lines);
}

#[test]
fn a_deletion_asks_first() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let status = || home.json(&["users", "list"])["users"][0]["status"].as_str().unwrap().to_owned();
    let delete = ["users", "delete", "ana@example.org"];
    let answering = |keys: &str| {
        let mut terminal = Terminal::start(home.command(&delete), Output::Terminal);
        terminal
            .answer("Delete ana@example.org, end all their keys and erase their personal data, for ever? [y/N] ", keys);
        terminal.end()
    };
    for keys in ["n\n", "\n", "nobody\n", END_OF_INPUT] {
        let left = answering(keys);
        assert_eq!(left.exit, 4, "{keys:?}: {:?}", left.lines);
        assert_eq!(left.lines.last().unwrap(), "error: ana@example.org was not deleted", "{keys:?}: {:?}", left.lines);
        assert_eq!(status(), "active", "{keys:?}");
    }

    // A pipe is no person, whatever comes out of it.
    let mut piped = home.command(&delete).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(b"y\n").unwrap();
    let refused = piped.wait_with_output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(told.contains("add --yes") && !told.contains("[y/N]"), "{told}");
    assert!(home.refused(2, &delete).contains("add --yes"));
    assert_eq!(status(), "active");

    let left = answering("y\n");
    assert_eq!(left.exit, 0, "{:?}", left.lines);
    assert!(left.lines.last().unwrap().contains("ana@example.org: deleted"), "{:?}", left.lines);
    assert_eq!(status(), "deleted");
}
