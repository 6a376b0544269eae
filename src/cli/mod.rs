//! The command line: one file per subcommand.
//!
//! A command returns its `CommandAnswer`; this file prints it as text or as one JSON document, and turns failures into a line on standard
//! error and an exit code.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use self::global::Common;
use failure::{Exit, Failure};
use output::CommandAnswer;
use printable::printable;

mod failure;
mod global;
mod number;
mod open;
mod output;
mod printable;
mod progress;

mod admin_tokens;
mod aws;
mod backup;
mod completions;
mod config;
mod datasets;
mod dead_letters;
mod demo;
mod events;
mod health;
mod import;
mod imports;
mod invite;
mod keys;
mod leak;
mod mail;
mod man;
mod moving;
mod openapi;
mod people;
mod plans;
mod sample;
mod secret;
mod serve;
mod sign_in;
mod usage;
mod users;

/// Shown below the help of `permitd` itself.
const AFTER_HELP: &str = "\
Examples:
  permitd demo                                          see it work, with sample data
  permitd import December2016Issued.xlsx --dataset permits
  permitd invite ana@example.org
  permitd serve

Settings come from the defaults, a configuration file, PERMITD_… variables and flags, in this order:
`permitd config` shows those in force, `permitd config --default` the commented defaults.

Exit codes:
  0  done; of an import also when rows were rejected, which it says
  1  `events verify` or `aws check` found differences, `aws setup` some that it cannot put right, or
     `config mails` templates that cannot be used
  2  wrong usage, or a wrong setting
  3  there is no such user, key, plan, event stream, data set, import, dead letter or file
  4  refused: the state does not allow it, or it exists already; of `invite` also when only some
     of it was done
  5  unavailable: the store is busy, the disk full, the address taken, the server not ready; trying
     again may help
  6  the file cannot be imported; the data set is as it was
  7  what is stored is damaged or of a newer permitd: a person must look
  130  a second signal ended a server before it had stopped in order";

/// What is said to who names nobody.
const WHOSE: &str = "EMAIL is a person's address or id: `permitd users list` shows them";

/// Publishes a table of records as an invite-only REST API: keys by mail, exact quotas, an append-only history.
#[derive(Debug, Parser)]
#[command(name = "permitd", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Health(health::Health),
    Import(Box<import::ImportArgs>),
    Imports(imports::ImportsArgs),
    Invite(invite::Invite),
    Users(users::UsersArgs),
    Keys(keys::Keys),
    Plans(plans::Plans),
    #[command(name = "datasets")]
    DataSets(datasets::DataSetsArgs),
    Events(events::Events),
    DeadLetters(dead_letters::DeadLetters),
    Mail(mail::MailArgs),
    Move(moving::MoveArgs),
    Backup(backup::Backup),
    Restore(backup::Restore),
    #[command(visible_alias = "admin-token")]
    AdminTokens(admin_tokens::AdminTokensArgs),
    Secret(secret::SecretArgs),
    Aws(aws::AwsArgs),
    Sample(sample::Sample),
    Config(config::Config),
    #[command(name = "openapi")]
    OpenApi(openapi::OpenApi),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Has the system write no core dump of this process: it would hold the server secret and keys. Where the system cannot be
/// asked, it is as it was.
pub fn leave_no_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
    // A limit alone does not stop programs that take dumps, such as systemd-coredump.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).ok();
}

/// Has the system take memory by small pages. The allocator asks for huge ones, of which a process that needs a few KiB here and there
/// gets 2 MiB each: 16 MiB more at rest and 30 MiB more while a file is imported, and requests are no faster (docs/BENCHMARKS.md, P9).
/// Where the system cannot be asked, it is as it was.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

/// Parses the command line, runs the command, prints what it answers. The help of `permitd` lists the exit codes.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error, &arguments),
    };
    let outcome = match cli.command {
        CliCommand::Demo(command) => command.run(&cli.common),
        CliCommand::Serve(command) => command.run(&cli.common),
        CliCommand::Health(command) => command.run(&cli.common),
        CliCommand::Import(command) => command.run(&cli.common),
        CliCommand::Imports(command) => command.run(&cli.common),
        CliCommand::Invite(command) => command.run(&cli.common),
        CliCommand::Users(command) => command.run(&cli.common),
        CliCommand::Keys(command) => command.run(&cli.common),
        CliCommand::Plans(command) => command.run(&cli.common),
        CliCommand::DataSets(command) => command.run(&cli.common),
        CliCommand::Events(command) => command.run(&cli.common),
        CliCommand::DeadLetters(command) => command.run(&cli.common),
        CliCommand::Mail(command) => command.run(&cli.common),
        CliCommand::Move(command) => command.run(&cli.common),
        CliCommand::Backup(command) => command.run(&cli.common),
        CliCommand::Restore(command) => command.run(&cli.common),
        CliCommand::AdminTokens(command) => command.run(&cli.common),
        CliCommand::Secret(command) => command.run(&cli.common),
        CliCommand::Aws(command) => command.run(&cli.common),
        CliCommand::Sample(command) => command.run(),
        CliCommand::Config(command) => command.run(&cli.common),
        CliCommand::OpenApi(command) => command.run(&cli.common),
        CliCommand::Completions(command) => command.run(Cli::command()),
        CliCommand::Man(command) => command.run(Cli::command()),
    };
    match outcome.and_then(|answer| answer.print(cli.common.json).map(|()| answer.exit)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print(cli.common.json);
            failure.exit.into()
        }
    }
}

fn refuse_usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => Exit::Done.into(),
            Err(_) => Exit::Unavailable.into(),
        };
    }
    let whose = lacks_person(error).then_some(WHOSE);
    if arguments.iter().any(|argument| argument == "--json") {
        // The first paragraph has the error; the others are for people.
        let text = error.render().to_string();
        let what = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let words: Vec<&str> = what.split_whitespace().collect();
        let whose = whose.map(|whose| format!("; {whose}")).unwrap_or_default();
        Failure::usage(format!("{}{whose}; see --help", words.join(" "))).print(true);
        return Exit::Usage.into();
    }
    let plain = error.render().to_string();
    let shown = printable(&plain);
    // The arguments may hold characters that make a terminal show another text; then the error is shown escaped, without colours.
    let printed = if shown == plain { error.print() } else { io::stderr().write_all(shown.as_bytes()) };
    if let Some(whose) = whose {
        eprintln!("{whose}");
    }
    if printed.is_ok() { Exit::Usage.into() } else { Exit::Unavailable.into() }
}

/// Whether somebody has to be named, and is not.
fn lacks_person(error: &clap::Error) -> bool {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return false };
    error.kind() == ErrorKind::MissingRequiredArgument && missing.iter().any(|argument| argument.ends_with("<EMAIL>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example_that_parses() {
        fn examples(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<String> = help
                .lines()
                .filter_map(|line| line.strip_prefix("  permitd "))
                .map(|line| line.split("  ").next().unwrap().to_owned())
                .collect();
            assert!(!lines.is_empty(), "{path} --help has no example");
            found.extend(lines);
            for sub in command.get_subcommands() {
                examples(sub, &format!("{path} {}", sub.get_name()), found);
            }
        }
        let mut found = Vec::new();
        examples(&Cli::command(), "permitd", &mut found);
        for line in found {
            let line = line.split(" > ").next().unwrap().split(" < ").next().unwrap().split(" | ").next().unwrap();
            let words = std::iter::once("permitd").chain(line.split_whitespace());
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("permitd {line}: {error}");
            }
        }
    }
}
