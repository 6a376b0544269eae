//! Measures the goals P1 to P15, and those of people, in one run and prints them as one table: `make bench`, or
//! `cargo bench --bench goals -- --only P1,P3 --quick`. P15 is thirty questions put to permitd, DuckDB, Datasette and ROAPI, a table of its
//! own: `make bench BENCH="--only P15"`, with `--rows` for another number of records, with `--large` at 200,000, 1,000,000 and 5,000,000.
//! Only the last two sizes have goals.

mod admin;
mod append;
mod asks;
mod aws;
mod build;
mod constant;
mod filters;
mod fixture;
mod footprint;
mod growth;
mod http;
mod import;
mod load;
mod others;
mod pages;
mod people;
mod process;
mod reads;
mod refusals;
mod replay;
mod replica;
mod report;
mod transfer;

use std::{
    cell::{Cell, OnceCell, RefCell},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use self::{fixture::Fixture, report::Finding};

/// Characters of an error that are shown in the table.
const ERROR_CHARS_MAX: usize = 300;

/// What a measurement comes to.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures what docs/BENCHMARKS.md shows.
#[derive(Parser)]
struct Options {
    /// Only these goals, such as P1,P3.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Smaller sizes and shorter rounds: to try the benchmark, not for figures.
    #[arg(long)]
    quick: bool,
    /// Records of the data set that is read from.
    #[arg(long, default_value_t = 200_000)]
    rows: u64,
    /// Read with a session's token in place of a key (P1).
    #[arg(long)]
    by_session: bool,
    /// Also what takes long: 5,000,000 records (P11, P15), 10,000,000 events (P7) and clean builds (P12).
    #[arg(long)]
    large: bool,
    /// Cargo says this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does as another process of a measurement.
#[derive(Subcommand)]
enum Role {
    /// Serves a constant answer.
    #[command(hide = true)]
    Constant { address: SocketAddr, body_bytes: usize },
    /// Runs the SQL of a filter.
    #[command(hide = true)]
    Sql { records: PathBuf },
    /// Reads a CSV file and inserts its rows.
    #[command(hide = true)]
    BareInsert { file: PathBuf, database: PathBuf },
    /// Reads a workbook.
    #[command(hide = true)]
    BareWorkbook { file: PathBuf },
    /// Reads the records of a file as an import does, and does nothing with them.
    #[command(hide = true)]
    ReadRecords { file: PathBuf },
    /// Reads records from DynamoDB.
    #[command(hide = true)]
    BareReads { endpoint: String, paths: PathBuf, seconds: u32 },
    /// Scans a table in DynamoDB.
    #[command(hide = true)]
    BareScan { endpoint: String, table: String },
}

/// How much to measure.
struct Plan {
    rows: u64,
    /// Rows of the large import, and events of the replay.
    many: u64,
    rounds: u32,
    round_s: u32,
    large: bool,
    /// Whether P1's reads are made with a session's token.
    by_session: bool,
    /// Where everything is put.
    scratch: PathBuf,
    /// Removes it at the end.
    _folder: tempfile::TempDir,
    seed: Cell<u64>,
    fixture: OnceCell<Fixture>,
    /// Tables of their own, with their headings.
    tables: RefCell<Vec<(&'static str, String)>>,
}

impl Plan {
    fn of(options: &Options) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("goals-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let scratch = folder.path().to_owned();
        let (rows, many, rounds, round_s) =
            if options.quick { (options.rows.min(20_000), 100_000, 3, 1) } else { (options.rows, 1_000_000, 5, 3) };
        Ok(Self {
            rows,
            many,
            rounds,
            round_s,
            large: options.large,
            by_session: options.by_session,
            scratch,
            _folder: folder,
            seed: Cell::new(1),
            fixture: OnceCell::new(),
            tables: RefCell::default(),
        })
    }

    /// The data directory that most goals are measured on.
    fn fixture(&self) -> Outcome<&Fixture> {
        if self.fixture.get().is_none() {
            let fixture = Fixture::new(self, self.rows)?;
            return Ok(self.fixture.get_or_init(|| fixture));
        }
        self.fixture.get().ok_or_else(|| "there is no data".into())
    }

    /// Another number every time, the same in every run.
    fn next_seed(&self) -> u64 {
        self.seed.replace(self.seed.get() + 1)
    }
}

/// A goal's measurement.
type Measure = fn(&Plan) -> Outcome<Vec<Finding>>;

const GOALS: [(&str, Measure); 18] = [
    ("P1", reads::measure),
    ("P2", refusals::measure),
    ("P3", filters::measure),
    ("P4", others::measure),
    ("P5", import::measure),
    ("P6", append::measure),
    ("P7", replay::measure),
    ("P7", transfer::measure),
    ("P8", aws::measure),
    ("P8", replica::measure),
    ("P8", transfer::measure_aws),
    ("P9", footprint::memory),
    ("P10", footprint::start),
    ("P11", growth::measure),
    ("P12", build::measure),
    ("P14", pages::measure),
    ("P15", asks::measure),
    ("people", people::measure),
];

fn measure(options: &Options) -> Outcome<()> {
    let plan = Plan::of(options)?;
    let is_named = |goal: &str, only: &str| only.eq_ignore_ascii_case(goal) || (goal, only) == ("P15", "asks");
    let wanted = |goal: &str| options.only.is_empty() || options.only.iter().any(|only| is_named(goal, only));
    let (mut findings, mut failed) = (Vec::new(), Vec::new());
    for (goal, measure) in GOALS.into_iter().filter(|(goal, _)| wanted(goal)) {
        eprintln!("measuring {goal} …");
        // One that cannot be measured must not cost the others.
        let found = measure(&plan).unwrap_or_else(|error| {
            failed.push(goal);
            vec![Finding::absent(goal, "could not be measured", first_line(&error.to_string()))]
        });
        eprint!("{}", report::rows(&found));
        findings.extend(found);
    }
    let machine = report::machine(&std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    println!("{}\n{machine}", report::table(&findings));
    if options.only.is_empty() && !options.quick {
        report::write_page(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/BENCHMARKS.md"),
            &machine,
            &findings,
            &plan.tables.borrow(),
        )?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join(", ")).into()) }
}

/// As much of an error as fits into a table.
fn first_line(error: &str) -> String {
    error.lines().next().unwrap_or_default().chars().take(ERROR_CHARS_MAX).filter(|char| *char != '|').collect()
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.role {
        None => measure(&options),
        Some(Role::Constant { address, body_bytes }) => constant::serve(address, body_bytes),
        Some(Role::Sql { records }) => filters::run_sql(&records),
        Some(Role::BareInsert { file, database }) => import::insert_bare(&file, &database),
        Some(Role::BareWorkbook { file }) => import::read_bare(&file),
        Some(Role::ReadRecords { file }) => import::read_records(&file),
        Some(Role::BareReads { endpoint, paths, seconds }) => aws::read_bare(&endpoint, &paths, seconds),
        Some(Role::BareScan { endpoint, table }) => replica::scan_bare(&endpoint, &table),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
