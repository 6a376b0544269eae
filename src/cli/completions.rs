//! `permitd completions`: completion scripts for shells.

use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use super::{CommandAnswer, Failure};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd completions bash > ~/.local/share/bash-completion/completions/permitd
  permitd completions zsh > ~/.zfunc/_permitd
  permitd completions fish > ~/.config/fish/completions/permitd.fish")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut program: Command) -> Result<CommandAnswer, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "permitd", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        Ok(CommandAnswer::new(json!({ "shell": self.shell.to_string(), "script": script }), script))
    }
}
