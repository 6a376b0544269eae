//! The `permitd` program: parses the command line and hands over.

/// A request allocates some dozens of small pieces, and an import hands rows from thread to thread: with this allocator an
/// import takes three quarters of its time (docs/BENCHMARKS.md, P5).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    #[cfg(feature = "failpoints")]
    let _failpoints = permitd::failpoint::from_environment();
    permitd::cli::leave_no_core_dumps();
    permitd::cli::use_small_pages();
    let exit = permitd::cli::run();
    permitd::telemetry::flush();
    exit
}
