//! What the questions are about: the sample with a place for each record, imported twice, so that there is a version before the last one; and
//! the same rows as CSV.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use permitd::dataset::Definition;
use serde_json::Value;

use crate::{
    Outcome, Plan,
    filters::NOT_READY,
    fixture::{Fixture, sample},
    http,
    process::{self, Server},
    report::show,
};

/// The built-in definition.
const DEFINITION: &str = include_str!("../../../schemas/datasets/permits.toml");
/// A place besides.
const LOCATION: &str = "
[[column]]
name = \"location\"
type = \"point\"
description = \"Where the work is done.\"
headers = [\"LOCATION\"]
";
/// The corner of the city's box in the south-west, and how far it reaches, in millionths of a degree: of latitude, then of longitude.
const CORNER: [u64; 2] = [37_700_000, 122_520_000];
const REACH: [u64; 2] = [130_000, 160_000];
/// How many different places there are at most: San Francisco has about 200,000 parcels of land.
const PLACES: u64 = 200_000;
/// One in so many records has another status since the last version.
const CHANGED_ONE_IN: u64 = 1_000;
/// The header of the status, and its new value.
const STATUS: (&str, &str) = ("STATUS", "COMPLETE");

/// A data directory of two versions, and its rows.
pub(super) struct World {
    /// The data directory.
    pub(super) fixture: Fixture,
    /// The version before the last one.
    pub(super) before: u64,
    /// The rows of that version.
    pub(super) csv_before: PathBuf,
    /// Where the rows of the last version are to be.
    pub(super) csv: PathBuf,
    /// Whether they have places.
    pub(super) has_places: bool,
}

impl World {
    /// Imports so many records.
    pub(super) fn new(plan: &Plan, size: u64) -> Outcome<Self> {
        let place = |name: &str| plan.scratch.join(format!("{name}-{size}"));
        let text = format!("{DEFINITION}{LOCATION}");
        let parsed = Definition::from_toml(&text, "permits.toml");
        if let Err(error) = &parsed {
            eprintln!("not there: places, since a definition with a point is refused: {error}");
        }
        let has_places = parsed.is_ok();
        let definition = place("permits").with_extension("toml");
        fs::write(&definition, if has_places { &text } else { DEFINITION })?;
        let (first, second) = (place("first").with_extension("csv"), place("second").with_extension("csv"));
        write_rows(&sample(plan, size, "csv")?, has_places, [&first, &second], (size / CHANGED_ONE_IN).max(1))?;
        let fixture = Fixture::of_file(plan, &format!("asks-{size}"), size, &first, Some(&definition))?;
        let (csv_before, csv) = (place("before").with_extension("csv"), place("asks").with_extension("csv"));
        let server = fixture.serve(&[NOT_READY])?;
        let before = version(&server, &fixture.key)?;
        export(&server, &fixture.key, "format=csv", &csv_before)?;
        drop(server);
        let mut import = process::permitd();
        import.arg("import").arg(&second).args(["--dataset", "permits", "--yes", "--data"]).arg(&fixture.data);
        process::output(&mut import)?;
        for file in [first, second] {
            fs::remove_file(file)?;
        }
        // What an import has written would otherwise go to the disk while questions are asked.
        process::output(&mut Command::new("sync"))?;
        Ok(Self { fixture, before, csv_before, csv, has_places })
    }
}

/// Writes the sample's rows with a place each, if they are to have one; and the first `changed` of them with another status.
fn write_rows(sample: &Path, has_places: bool, [all, some]: [&Path; 2], changed: u64) -> Outcome<()> {
    let mut reader = csv::Reader::from_path(sample)?;
    let mut header = reader.headers()?.clone();
    let status = header.iter().position(|name| name == STATUS.0).ok_or("the sample has no status")?;
    if has_places {
        header.push_field("LOCATION");
    }
    let (mut all, mut some) = (csv::Writer::from_path(all)?, csv::Writer::from_path(some)?);
    all.write_record(&header)?;
    some.write_record(&header)?;
    let mut row = csv::StringRecord::new();
    let mut nth = 0;
    while reader.read_record(&mut row)? {
        if has_places {
            row.push_field(&point(nth));
        }
        all.write_record(&row)?;
        if nth < changed {
            some.write_record(row.iter().enumerate().map(|(at, cell)| if at == status { STATUS.1 } else { cell }))?;
        }
        nth += 1;
    }
    all.flush()?;
    some.flush()?;
    Ok(())
}

/// The place of a row: one of [`PLACES`], the same in every run.
fn point(row: u64) -> String {
    let place = mixed(row) % PLACES;
    let [south, west] = CORNER;
    let [latitudes, longitudes] = REACH;
    let latitude = south + mixed(2 * place) % latitudes;
    let longitude = west - mixed(2 * place + 1) % longitudes;
    let degrees = |millionths: u64| format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    format!("POINT (-{} {})", degrees(longitude), degrees(latitude))
}

/// A number that looks random and follows from another one (SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The version that is served.
fn version(server: &Server, key: &str) -> Outcome<u64> {
    let answer = http::get(server.address, "/permits?limit=1", Some(key)).ok_or("no page")?;
    let document: Value = serde_json::from_slice(&answer.body)?;
    document.pointer("/dataset/version").and_then(Value::as_u64).ok_or_else(|| "a page has no version".into())
}

/// Exports all records to a file, and tells how long it took, how many bytes that was and what memory.
pub(super) fn export(server: &Server, key: &str, query: &str, file: &Path) -> Outcome<()> {
    // A projection may have been made before.
    server.forget_peak()?;
    let (resident_mib, started) = (server.resident_mib(), Instant::now());
    let mut export = Command::new("curl");
    export.args(["--silent", "--show-error", "--fail", "--header", &format!("x-api-key: {key}"), "--output"]);
    export.arg(file).args(["--write-out", "%{size_download}"]);
    let bytes = process::output(export.arg(format!("http://{}/permits?{query}", server.address)))?;
    let wall_s = started.elapsed().as_secs_f64();
    let growth_mib = server.peak_mib() - resident_mib;
    let sent_mib = String::from_utf8_lossy(&bytes).trim().parse::<u64>()? / (1024 * 1024);
    println!("export {query}: {} s, {sent_mib} MiB, memory grew by {} MiB at most", show(wall_s), show(growth_mib));
    Ok(())
}
