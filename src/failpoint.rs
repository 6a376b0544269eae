//! Named failpoints for the crash tests. Without the feature `failpoints` they do nothing.

/// A place where the crash tests kill the process, as SIGKILL does: nothing is flushed, no destructor runs. `FAILPOINTS="<name>=return"` in
/// the environment kills at the first passage, `"2*off->return"` at the third.
#[cfg(feature = "failpoints")]
pub fn crash_point(name: &str) {
    if fail::eval(name, |_| ()).is_some() {
        kill_self(name);
    }
}

/// A place where the crash tests kill the process; does nothing in this build.
#[cfg(not(feature = "failpoints"))]
pub fn crash_point(_name: &str) {}

/// A place where tests delay a thread: `FAILPOINTS="<name>=sleep(50)"` waits for 50 ms at each passage.
#[cfg(feature = "failpoints")]
pub fn delay_point(name: &str) {
    // The delay is over when `eval` returns; its value is not used.
    fail::eval(name, |_| ());
}

/// A place where tests delay a thread; does nothing in this build.
#[cfg(not(feature = "failpoints"))]
pub fn delay_point(_name: &str) {}

/// Whether a test has switched off ([`switch_off`]) what goes by the machine's own clock, so that it comes at any moment.
#[cfg(feature = "failpoints")]
pub fn is_off(name: &str) -> bool {
    fail::eval(name, |_| ()).is_some()
}

/// Whether a test has switched something off; never in this build.
#[cfg(not(feature = "failpoints"))]
pub fn is_off(_name: &str) -> bool {
    false
}

/// Switches something off in this process.
///
/// # Errors
/// When there can be no such failpoint.
#[cfg(feature = "failpoints")]
pub fn switch_off(name: &str) -> Result<(), String> {
    fail::cfg(name, "return")
}

#[cfg(feature = "failpoints")]
fn kill_self(name: &str) -> ! {
    eprintln!("failpoint {name}: killed");
    let killed = std::process::Command::new("kill").arg("-KILL").arg(std::process::id().to_string()).status();
    eprintln!("failpoint {name}: kill -KILL answered {killed:?}");
    std::process::abort()
}

/// Reads `FAILPOINTS`. Keep the returned scenario as long as the failpoints are to work.
#[cfg(feature = "failpoints")]
pub fn from_environment<'a>() -> fail::FailScenario<'a> {
    fail::FailScenario::setup()
}
