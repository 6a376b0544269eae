//! The `permitd` program: parses the command line and runs it.

/// Requests allocate dozens of small pieces, and imports pass rows between threads: with this allocator an import takes three quarters of
/// the time (docs/BENCHMARKS.md, P5).
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
