//! A large file that is sent over HTTP and imported: the server's memory.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::GOAL;
use crate::{
    Outcome, Plan,
    admin::{Admin, field},
    fixture,
    process::Server,
    report::{Finding, show},
};

/// Rows of a sample that tells how long a row is.
const FEW_ROWS: u64 = 20_000;
/// How long the import may take at all.
const DONE_WITHIN: Duration = Duration::from_secs(1200);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn measure(plan: &Plan) -> Outcome<Finding> {
    let few_bytes = fs::metadata(fixture::sample(plan, FEW_ROWS, "csv")?)?.len();
    // A gigabyte where a million rows are many.
    let rows = 1000 * plan.many * FEW_ROWS / few_bytes;
    let file = fixture::sample(plan, rows, "csv")?;
    let mib = fs::metadata(&file)?.len() / (1 << 20);
    let data = plan.scratch.join("data-upload");
    fs::create_dir(&data)?;
    let server = Server::permitd(&data, &[])?;
    let admin = Admin::of_first_start(&server, &data)?;
    let at_rest_mib = server.peak_mib();
    let started = Instant::now();
    let path = "/imports?dataset=permits&filename=permits.csv";
    let accepted = admin.send_file(&format!("POST {path}"), "text/csv", &file)?;
    let sent = started.elapsed();
    fs::remove_file(&file)?;
    let import = format!("GET /imports/{}", field(&accepted, "id")?);
    loop {
        let import = admin.ask(&import, &serde_json::Value::Null)?;
        match field(&import, "status")? {
            "completed" => break,
            "uploading" | "reading" | "committing" if started.elapsed() < DONE_WITHIN => {}
            _ => return Err(format!("the import did not end well: {import}").into()),
        }
        thread::park_timeout(LOOK_EVERY);
    }
    let (done, peak_mib) = (started.elapsed(), server.peak_mib());
    drop(server);
    fs::remove_dir_all(&data)?;
    let figures = format!(
        "{} MiB at most, {} MiB before; {rows} rows, sent after {} s, visible after {} s",
        show(peak_mib),
        show(at_rest_mib),
        show(sent.as_secs_f64()),
        show(done.as_secs_f64())
    );
    let what = format!("the server's memory while {mib} MiB of CSV are sent and imported");
    Ok(Finding::at_most(GOAL, what, figures, peak_mib, 128.0, " MiB"))
}
