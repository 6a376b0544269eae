//! The command line: one file per subcommand.

/// Parses the command line and runs the command. The exit code is 0 on success.
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
