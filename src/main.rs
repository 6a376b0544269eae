//! The `permitd` program: parses the command line and hands over.

fn main() -> std::process::ExitCode {
    permitd::cli::run()
}
