//! P5: importing against reading and inserting without doing anything else.

use std::{fs::File, path::Path, process::Command, time::Duration};

use calamine::{Reader, Xlsx, open_workbook};
use permitd::dataset::{
    Definition,
    reader::{ReadLimits, open},
};
use rusqlite::{Connection, params_from_iter};

use crate::{
    Outcome, Plan,
    fixture::sample,
    load::median,
    process::{self, Ran, watched},
    report::{Finding, show},
};

/// Rows of the small import, a fifth of the large one.
const FEWER: u64 = 5;
/// Runs of each import: they take long.
const ROUNDS_MAX: u32 = 3;

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let (many, few) = (plan.many, plan.many / FEWER);
    let (many_csv, few_csv, many_xlsx) =
        (sample(plan, many, "csv")?, sample(plan, few, "csv")?, sample(plan, many, "xlsx")?);
    let [mut bare_csv, mut csv, mut small_csv, mut bare_xlsx, mut xlsx, mut read, mut proposal] =
        [const { Vec::new() }; 7];
    for _ in 0..plan.rounds.min(ROUNDS_MAX) {
        bare_csv.push(watched(child("bare-insert")?.arg(&many_csv).arg(plan.scratch.join("bare.db")))?);
        csv.push(import(plan, &many_csv, "csv")?);
        small_csv.push(import(plan, &few_csv, "few")?);
        bare_xlsx.push(watched(child("bare-workbook")?.arg(&many_xlsx))?);
        xlsx.push(import(plan, &many_xlsx, "xlsx")?);
        read.push(watched(child("read-records")?.arg(&many_csv))?);
        proposal.push(watched(process::permitd().args(["import", "--define"]).arg(&many_csv))?);
    }
    let [bare_csv, csv, small_csv, bare_xlsx, xlsx, read, proposal] =
        [bare_csv, csv, small_csv, bare_xlsx, xlsx, read, proposal].map(|runs| middle(&runs));
    let against = |ours: &Ran, theirs: &Ran| format!("{} s against {} s", seconds(ours.wall), seconds(theirs.wall));
    let times = |ours: &Ran, theirs: &Ran| ours.wall.as_secs_f64() / theirs.wall.as_secs_f64();
    let memory = format!(
        "{} MiB for {many} rows (.xlsx {} MiB), {} MiB for {few}",
        show(csv.peak_mib),
        show(xlsx.peak_mib),
        show(small_csv.peak_mib)
    );
    Ok(vec![
        Finding::at_most(
            "P5",
            format!("import of {many} rows of CSV, against one bare prepared statement"),
            against(&csv, &bare_csv),
            times(&csv, &bare_csv),
            2.0,
            "",
        ),
        Finding::at_most(
            "P5",
            format!("import of {many} rows of .xlsx, against calamine reading them"),
            against(&xlsx, &bare_xlsx),
            times(&xlsx, &bare_xlsx),
            1.7,
            "",
        ),
        Finding::at_most(
            "P5",
            format!("proposal for {many} rows of CSV, against reading them once as an import does"),
            against(&proposal, &read),
            times(&proposal, &read),
            2.0,
            "",
        ),
        Finding::at_most(
            "P5",
            "peak memory of five times the rows",
            memory,
            csv.peak_mib / small_csv.peak_mib,
            1.25,
            "",
        ),
    ])
}

/// The median time, and the most memory that any of the runs took.
fn middle(runs: &[Ran]) -> Ran {
    let wall = Duration::from_secs_f64(median(runs.iter().map(|ran| ran.wall.as_secs_f64())));
    Ran { wall, peak_mib: runs.iter().map(|ran| ran.peak_mib).fold(0.0, f64::max) }
}

fn seconds(wall: Duration) -> String {
    show(wall.as_secs_f64())
}

fn child(role: &str) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role);
    Ok(command)
}

/// Imports a file into a data directory of its own.
fn import(plan: &Plan, file: &Path, name: &str) -> Outcome<Ran> {
    let data = plan.scratch.join(format!("import-{name}"));
    let ran = watched(process::permitd().arg("import").arg(file).args(["--dataset", "permits", "--data"]).arg(&data))?;
    std::fs::remove_dir_all(data)?;
    Ok(ran)
}

/// Reads a CSV file and inserts every row as text, with one prepared statement in one transaction.
pub(crate) fn insert_bare(file: &Path, database: &Path) -> Outcome<()> {
    let mut reader = csv::Reader::from_path(file)?;
    let columns = reader.headers()?.len();
    let mut connection = Connection::open(database)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    let names: Vec<String> = (0..columns).map(|column| format!("c{column} TEXT")).collect();
    connection.execute_batch(&format!("DROP TABLE IF EXISTS rows; CREATE TABLE rows ({}) STRICT", names.join(", ")))?;
    let places = vec!["?"; columns].join(", ");
    let transaction = connection.transaction()?;
    let mut insert = transaction.prepare(&format!("INSERT INTO rows VALUES ({places})"))?;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        insert.execute(params_from_iter(record.iter()))?;
    }
    drop(insert);
    transaction.commit()?;
    Ok(())
}

/// Reads every row as a record of the built-in definition, and does nothing with it.
pub(crate) fn read_records(file: &Path) -> Outcome<()> {
    let definition = Definition::builtin()?.into_iter().find(|definition| definition.name == "permits");
    let definition = definition.ok_or("there is no definition of permits")?;
    for row in open(File::open(file)?, "permits.csv", &definition, &ReadLimits::default())? {
        std::hint::black_box(row?);
    }
    Ok(())
}

/// Reads every cell of the first sheet, and does nothing with it.
pub(crate) fn read_bare(file: &Path) -> Outcome<()> {
    let mut workbook: Xlsx<_> = open_workbook(file)?;
    let sheet = workbook.sheet_names().first().cloned().ok_or("there is no sheet")?;
    let mut cells = workbook.worksheet_cells_reader(&sheet)?;
    while let Some(cell) = cells.next_cell()? {
        std::hint::black_box(cell);
    }
    Ok(())
}
