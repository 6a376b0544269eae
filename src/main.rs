//! The `permitd` program: parses the command line and hands over.

fn main() -> std::process::ExitCode {
    #[cfg(feature = "failpoints")]
    let _failpoints = permitd::failpoint::from_environment();
    permitd::cli::run()
}
