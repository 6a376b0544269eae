//! P12: how long a build takes.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Outcome, Plan,
    process::{output, watched},
    report::{Finding, show},
};

/// A file that much depends on, to be changed.
const CHANGED: &str = "src/domain/plan.rs";

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    if !plan.large {
        return Ok(vec![Finding::absent("P12", "build times", "measured with `--large`")]);
    }
    let tree = copy(plan)?;
    let cargo = |arguments: &[&str]| {
        // The one of the path chooses the toolchain for what it calls, too; the one that has built this need not.
        let mut command = Command::new("cargo");
        command.args(arguments).arg("--offline").current_dir(&tree).env("CARGO_TARGET_DIR", tree.join("target"));
        command
    };
    let release_s = watched(&mut cargo(&["build", "--release", "--bin", "permitd"]))?.wall.as_secs_f64();
    watched(&mut cargo(&["test", "--no-run"]))?;
    let mut file = fs::OpenOptions::new().append(true).open(tree.join(CHANGED))?;
    writeln!(file, "// One more line.")?;
    let test_s = watched(&mut cargo(&["test", "--no-run"]))?.wall.as_secs_f64();
    Ok(vec![
        Finding::at_most("P12", "a clean release build", format!("{} s", show(release_s)), release_s, 330.0, " s"),
        Finding::at_most(
            "P12",
            "a test rebuild after one changed line",
            format!("{} s", show(test_s)),
            test_s,
            15.0,
            " s",
        ),
    ])
}

/// The committed files, in a folder of their own.
fn copy(plan: &Plan) -> Outcome<PathBuf> {
    let tree = plan.scratch.join("tree");
    fs::create_dir_all(&tree)?;
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut archive = Command::new("git").args(["archive", "HEAD"]).current_dir(home).stdout(Stdio::piped()).spawn()?;
    let packed = archive.stdout.take().ok_or("git gives no output")?;
    output(Command::new("tar").args(["-x", "-C"]).arg(&tree).stdin(packed))?;
    archive.wait()?;
    Ok(tree)
}
