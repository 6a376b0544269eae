//! The command line, through the real program: what it prints, its exit codes, what it changes with and without a server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "cli/accounts.rs"]
mod accounts;
#[path = "cli/backup.rs"]
mod backup;
#[cfg(target_os = "linux")]
#[path = "cli/connections.rs"]
mod connections;
#[path = "cli/events.rs"]
mod events;
#[path = "cli/health.rs"]
mod health;
#[path = "support/provider.rs"]
mod identity_server;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/lists.rs"]
mod lists;
#[path = "cli/looking_back.rs"]
mod looking_back;
#[path = "cli/mails.rs"]
mod mails;
#[cfg(target_os = "linux")]
#[path = "cli/memory.rs"]
mod memory;
#[path = "cli/naming.rs"]
mod naming;
#[path = "cli/private.rs"]
mod private;
#[path = "cli/provider.rs"]
mod provider;
#[path = "cli/readme.rs"]
mod readme;
#[path = "cli/rehearse.rs"]
mod rehearse;
#[path = "cli/sealing.rs"]
mod sealing;
#[path = "cli/server.rs"]
mod server;
mod support;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/transfer.rs"]
mod transfer;
#[path = "cli/twins.rs"]
mod twins;
#[path = "cli/usage.rs"]
mod usage;

use std::path::PathBuf;

use serde_json::Value;

/// What a run of the program came to.
struct Ran {
    exit: i32,
    out: String,
    err: String,
}

/// A folder to run the program in, with a data directory in it that is there from the first command on.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: support::data_dir() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = support::permitd();
        command.current_dir(self.folder.path()).env("PERMITD_DATA", "data").args(arguments);
        // The usual ports may be taken by others on this machine.
        if arguments.first() == Some(&"serve") {
            command.env("PERMITD_LISTEN", "127.0.0.1:0").env("PERMITD_OPS_LISTEN", "127.0.0.1:0");
        }
        command
    }

    /// The program, started by a shell that sets something first, such as `umask 077`.
    fn command_under(&self, setting: &str, arguments: &[&str]) -> std::process::Command {
        let program = self.command(arguments);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{setting} && exec \"$0\" \"$@\"")]);
        shell.arg(program.get_program()).args(program.get_args());
        shell.current_dir(self.folder.path()).envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    }

    /// Runs the program to its end, with nothing to read.
    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).stdin(std::process::Stdio::null()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        // Not at its end either, when what it had begun is let go of.
        assert!(!err.contains("panic"), "{arguments:?}: {err}");
        Ran { exit: output.status.code().unwrap(), out: String::from_utf8(output.stdout).unwrap(), err }
    }

    /// Runs the program with `--json`: it succeeds and prints one document, and nothing else.
    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.exit, 0, "{arguments:?}: {}", ran.err);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", ran.out))
    }

    /// Runs the program, which fails with this exit code and says so in words and as a document.
    fn refused(&self, exit: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.exit, exit, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.is_empty() && ran.err.contains("error: "), "{arguments:?}: {}{}", ran.out, ran.err);
        let with_json = self.run(&[arguments, &["--json"]].concat());
        let document: Value = serde_json::from_str(with_json.err.lines().last().unwrap()).unwrap();
        assert_eq!((with_json.exit, document["error"]["exit_code"].as_i64()), (exit, Some(exit.into())));
        ran.err
    }

    /// The mails in the outbox, oldest first.
    fn mails(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.data().join("outbox")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// A generated report in the folder.
    fn sample(&self, rows: u64, name: &str) -> PathBuf {
        let ran = self.run(&["sample", "--rows", &rows.to_string(), "-o", name]);
        assert_eq!(ran.exit, 0, "{}", ran.err);
        self.path(name)
    }
}

/// The key in a mail.
fn key_in(mail: &str) -> String {
    let at = mail.find("pmt_").unwrap();
    mail[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// The path of the link in a mail.
fn link_in(mail: &str) -> String {
    let at = mail.find("/links/pml_").unwrap();
    mail[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/')).collect()
}

/// A number in a document.
fn number(document: &Value, name: &str) -> u64 {
    document[name].as_u64().unwrap_or_else(|| panic!("{name} in {document}"))
}
