//! `permitd import`: imports a file into a data set, or proposes a definition for it.

use std::{
    fs::File,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::{Data, Definitions, is_begun, origin, with_node},
    output::{confirmed, counted, facts, grouped},
    printable::printable,
    progress,
};
use crate::{
    actors::{
        commit::CommandError,
        import::{ImportError, ImportProgress, Order, Summary},
    },
    app::{self, DefinitionPlace, KnownDefinition, Node, StartError},
    config::Settings,
    dataset::{Definition, definition::Said, infer, reader::ReadLimits},
    domain::text::{escaped, one_line},
    store::records::DataSet,
};

/// How often the bar is brought up to date.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// Import a spreadsheet (.xlsx, .xls, .csv, .tsv) into a data set
///
/// An import is a comparison and all or nothing: rows that are new are inserted, changed ones updated, others left alone, and
/// the data set's version rises only when something changed. Rows that cannot be records go to a file with their line, column,
/// value and reason. A column that the file does not have leaves stored records as they are. What would remove more than 5 % of the
/// records, reject more than 1 % of the rows, or empty more than 5 % of a column's values is asked about, or wants --yes: the settings
/// import.removed_max, rejected_max and nulled_max, or [guard] of the definition, say other numbers. It works beside a running server, which serves the new rows at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd import December2016Issued.xlsx --dataset permits
  permitd import everything.csv --dataset permits --replace     also removes what the file does not hold
  permitd import everything.csv --dataset permits --dry-run     says what it would do, and changes nothing
  permitd import trees.csv --definition trees.toml              a data set of your own
  permitd import --define trees.csv > trees.toml                a definition to start from
  permitd import bäume.csv --dataset trees --delimiter ';' --decimal , --encoding windows-1252

Exit codes:
  0  done, also when rows were rejected, which it says
  3  there is no such file, or no definition of such a data set
  4  refused: it would remove, reject or empty more than may be without --yes; or another one runs
  6  the file cannot be imported; the data set is as it was")]
pub(super) struct ImportArgs {
    /// The file
    #[arg(value_name = "FILE", required_unless_present = "define", conflicts_with = "define")]
    file: Option<PathBuf>,
    /// The data set: one that was imported before, a built-in one, or one that the folder of definitions defines
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// The file is the whole data set: remove the records that it does not hold
    #[arg(long)]
    replace: bool,
    /// Only say what the import would do: everything is read, compared and counted, and nothing is changed
    #[arg(long)]
    dry_run: bool,
    /// Do as the file says: empty the columns that it does not have, and import it whatever is removed, rejected or emptied
    #[arg(long)]
    yes: bool,
    /// What becomes of stored values of columns that the file does not have [default: keep, with --yes empty]
    #[arg(long, value_name = "WHAT", value_parser = ["keep", "empty"])]
    absent: Option<String>,
    /// The definition to read the file by. It is stored with the records: later imports need only --dataset
    #[arg(long, value_name = "FILE.toml")]
    definition: Option<PathBuf>,
    #[command(flatten)]
    definitions: Definitions,
    /// Import nothing: print a definition for this unknown file, as commented TOML
    #[arg(long, value_name = "FILE", conflicts_with_all = ["replace", "definition", "dry_run", "yes", "absent"])]
    define: Option<PathBuf>,
    #[command(flatten)]
    file_options: FileOptions,
}

/// How this one file is written, where that is not told from it and is not what the definition says.
#[derive(Debug, Args)]
#[command(next_help_heading = "How the file is written")]
struct FileOptions {
    /// What separates cells: , ; | tab or another mark [default: told from the file]
    #[arg(long, value_name = "MARK")]
    delimiter: Option<String>,
    /// What encloses cells, or none, where quotation marks are texts [default: "]
    #[arg(long, value_name = "MARK")]
    quote: Option<String>,
    /// The encoding, such as utf-8, windows-1252, windows-1251, macintosh, shift_jis [default: told from the file]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// The sheet of a workbook [default: the first visible one with the header]
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// The decimal mark: . or , [default: .]
    #[arg(long, value_name = "MARK")]
    decimal: Option<String>,
    /// What groups digits: , . ' space or none [default: , where the decimal mark is a point]
    #[arg(long, value_name = "MARK")]
    thousands: Option<String>,
    /// How 1/2/2016 is read: month_first or day_first [default: month_first]
    #[arg(long, value_name = "ORDER")]
    date_order: Option<String>,
    /// The zone of times that write none, such as America/Los_Angeles [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A text that stands for no value, such as NA; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    blanks: Vec<String>,
    /// Rows at the top that are left out, by their lines
    #[arg(long, value_name = "COUNT")]
    skip_rows: Option<i64>,
    /// The table ends before a row that begins with this text; * at its end stands for anything; may be repeated
    #[arg(long, value_name = "TEXT")]
    stop_at: Vec<String>,
    /// A column whose blank cells have the value above them; may be repeated
    #[arg(long, value_name = "COLUMN", conflicts_with = "define")]
    fill_down: Vec<String>,
}

impl FileOptions {
    fn said(&self) -> Result<Said, Failure> {
        let skip_rows = self.skip_rows.map(|rows| rows.to_string());
        let singles = [
            ("delimiter", &self.delimiter),
            ("quote", &self.quote),
            ("encoding", &self.encoding),
            ("sheet", &self.sheet),
            ("decimal", &self.decimal),
            ("thousands", &self.thousands),
            ("time_zone", &self.time_zone),
            ("date_order", &self.date_order),
            ("skip_rows", &skip_rows),
        ];
        let singles = singles.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        let lists = [("blanks", &self.blanks), ("stop_at", &self.stop_at), ("fill_down", &self.fill_down)];
        let lists = lists.into_iter().flat_map(|(name, texts)| texts.iter().map(move |text| (name, text.as_str())));
        Said::of(singles.chain(lists))
            .map_err(|(name, reason)| Failure::usage(format!("--{}: {reason}", name.replace('_', "-"))))
    }
}

impl ImportArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[self.definitions.flag()])?;
        let said = self.file_options.said()?;
        if let Some(file) = &self.define {
            said.dialect.check().map_err(Failure::usage)?;
            return propose(file, self.dataset.as_deref(), &said, &settings);
        }
        let Some(file) = &self.file else {
            return Err(Failure::usage("a FILE is needed; see `permitd import --help`"));
        };
        // Refuses an unreadable file before a data directory is made.
        if !file.to_string_lossy().contains("://") {
            legible(file)?;
        }
        let early = if is_begun(&settings) { None } else { Some(self.definition(&settings, &[])?) };
        let opened = open(file, &settings)?;
        with_node(settings, Data::MayBeNew, async |node| {
            let service = &node.service;
            let chosen = match early {
                Some(chosen) => chosen,
                None => self.definition(&service.settings, &service.records.data_sets())?,
            };
            chosen.told();
            let began = Instant::now();
            let definition = Arc::clone(&chosen.known.definition);
            let reading = Arc::new(definition.reading_as(&said).map_err(Failure::usage)?);
            let summary = self.import(&node, opened, &file_name(file), (definition, reading)).await?;
            answer(&summary, &chosen, node.beside_server, &file_name(file), began.elapsed())
        })
    }

    /// Imports the file; where the guard is in the way, somebody at a terminal is asked.
    async fn import(
        &self,
        node: &Node,
        (file, bytes): (File, u64),
        file_name: &str,
        definitions: (Arc<Definition>, Arc<Definition>),
    ) -> Result<Summary, Failure> {
        let keeps_absent = self.absent.as_deref().map_or(!self.yes, |absent| absent == "keep");
        let again = file.try_clone().map_err(|error| Failure::unavailable(format!("{file_name}: {error}")))?;
        match self.try_import(node, (file, bytes), file_name, definitions.clone(), (self.yes, keeps_absent)).await {
            Err(ImportError::Guarded(guarded)) if io::stdin().is_terminal() => {
                let reason = guarded.reason();
                if !confirmed(&format!("{reason}. Import it all the same?"), &reason)? {
                    return Err(Failure::new(Exit::Refused, "nothing was imported"));
                }
                let imported =
                    self.try_import(node, (again, bytes), file_name, definitions, (true, keeps_absent)).await;
                imported.map_err(|error| about(file_name, error.into()))
            }
            imported => imported.map_err(|error| about(file_name, error.into())),
        }
    }

    async fn try_import(
        &self,
        node: &Node,
        (file, bytes): (File, u64),
        file_name: &str,
        (definition, reading): (Arc<Definition>, Arc<Definition>),
        (confirmed, keeps_absent): (bool, bool),
    ) -> Result<Summary, ImportError> {
        let id = node.service.committer.new_id().map_err(CommandError::from)?;
        let order = Order {
            file: Box::new(file),
            file_name: file_name.to_owned(),
            definition,
            reading,
            replace: self.replace,
            confirmed,
            keep_absent: Some(keeps_absent),
            staged: None,
            dry_run: self.dry_run,
            origin: origin(id),
            progress: Arc::new(ImportProgress::default()),
        };
        import(node, bytes, order).await.inspect_err(|error| {
            if let ImportError::Guarded(guarded) = error
                && let Some(path) = &guarded.would.rejects_file
            {
                warn_of_rejects(guarded.would.counts.rejected, path);
            }
        })
    }

    /// The definition to import by, and where it comes from. One that somebody names goes first; then that of the folder, which
    /// is kept by hand; then the one that the records were stored with; then a built-in one.
    fn definition(&self, settings: &Settings, stored: &[Arc<DataSet>]) -> Result<Chosen, Failure> {
        let known = app::known_definitions(settings.datasets())?;
        if let Some(path) = &self.definition {
            return self.named_definition(path, &known);
        }
        let mut names: Vec<&str> = known.iter().map(|known| known.definition.name.as_str()).collect();
        names.extend(stored.iter().map(|stored| stored.definition.name.as_str()));
        names.sort_unstable();
        names.dedup();
        let names = names.join(", ");
        let Some(name) = &self.dataset else {
            return Err(Failure::usage(format!(
                "which data set? give --dataset NAME ({names}) or --definition FILE.toml"
            )));
        };
        let stored = stored.iter().find(|stored| stored.definition.name == *name).map(|stored| &stored.definition);
        let (chosen, other) = match app::chosen_definition(known, stored, name) {
            Some(chosen) => chosen,
            None => {
                return Err(Failure::not_found(format!(
                    "there is no definition of a data set {name:?}; there are: {names}; give your own with --definition, and \
                     begin one with `permitd import --define FILE`"
                )));
            }
        };
        let other = other.filter(|other| other.definition.fingerprint() != chosen.definition.fingerprint());
        Ok(Chosen { known: chosen, other })
    }

    fn named_definition(&self, path: &Path, known: &[KnownDefinition]) -> Result<Chosen, Failure> {
        let builtin = |known: &&KnownDefinition| {
            known.place == DefinitionPlace::Builtin && Path::new(&known.definition.name) == path
        };
        let definition = match app::read_definition(path) {
            Ok(definition) => {
                KnownDefinition { definition: Arc::new(definition), place: DefinitionPlace::File(path.to_owned()) }
            }
            Err(StartError::Io { ref source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                // A built-in definition has no file, and is found by its name.
                let builtin = known.iter().find(builtin);
                builtin
                    .cloned()
                    .ok_or_else(|| Failure::not_found(format!("there is no definition {}", path.display())))?
            }
            Err(error @ StartError::Io { .. }) => return Err(Failure::new(Exit::BadFile, error.to_string())),
            Err(error) => return Err(error.into()),
        };
        match &self.dataset {
            Some(name) if *name != definition.definition.name => Err(Failure::usage(format!(
                "{} defines the data set {:?}, not {name:?}; leave --dataset out, or name that one",
                path.display(),
                definition.definition.name
            ))),
            _ => Ok(Chosen { known: definition, other: None }),
        }
    }
}

/// The definition that an import is by.
struct Chosen {
    known: KnownDefinition,
    /// Another one of the same name that says something else.
    other: Option<KnownDefinition>,
}

impl Chosen {
    /// Says which of two is used, where there are two.
    fn told(&self) {
        let Some(other) = &self.other else { return };
        let (name, used) = (&other.definition.name, printable(&self.known.place.to_string()).into_owned());
        let how = match other.place {
            DefinitionPlace::Builtin => format!("--definition {name} takes the built-in one"),
            _ => format!("the stored one is used again when none for {name:?} is in the folder"),
        };
        eprintln!(
            "note: there are two definitions of {name:?}, and they differ. Used is: {used}. Not used: {}; {how}",
            printable(&other.place.to_string())
        );
    }
}

/// A file's name goes into the log and into every list of imports.
fn legible(path: &Path) -> Result<(), Failure> {
    let name = file_name(path);
    let wrong = |what: &str| Failure::usage(format!("the name of the file {what}; rename it"));
    match one_line(&name) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(wrong("shows nothing")),
        Err(found) => Err(wrong(&format!("{name:?} holds {found}, which could make it look like another"))),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Opens a file that is to be read, if it is one and not too large.
fn open(path: &Path, settings: &Settings) -> Result<(File, u64), Failure> {
    let shown = path.display();
    let named = path.to_string_lossy().to_ascii_lowercase();
    if ["http://", "https://", "ftp://", "s3://"].iter().any(|scheme| named.starts_with(scheme)) {
        // An address may hold a password or a token, so the message leaves it out.
        let message = "this is an address, and permitd reads files: fetch it first, with `curl -LO ADDRESS`, and import what comes";
        return Err(Failure::usage(message));
    }
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::not_found(format!("there is no file {shown}")),
        _ => Failure::unavailable(format!("{shown} cannot be read: {error}")),
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        let message = format!("{shown} is a folder: name one of the files in it, a .xlsx, .xls, .csv, .tsv or .ndjson");
        return Err(Failure::new(Exit::BadFile, message));
    }
    if !metadata.is_file() {
        return Err(Failure::new(
            Exit::BadFile,
            format!("{shown} is no file; name a .xlsx, .xls, .csv, .tsv or .ndjson"),
        ));
    }
    let (bytes, max) = (metadata.len(), settings.import.file_bytes_max);
    if bytes > max {
        let message =
            format!("{shown} has {bytes} bytes, more than import.file_bytes_max = {max}; split it, or raise that");
        return Err(Failure::new(Exit::BadFile, message));
    }
    Ok((file, bytes))
}

async fn import(node: &Node, bytes: u64, order: Order) -> Result<Summary, ImportError> {
    let progress = Arc::clone(&order.progress);
    let bar = progress::bar(bytes, "{bar:32} {binary_bytes}/{binary_total_bytes}  {msg}");
    let mut ticks = tokio::time::interval(REPORT_INTERVAL);
    let work = node.service.imports.import(order);
    tokio::pin!(work);
    let report = |bytes: u64| {
        bar.set_position(bytes);
        bar.set_message(counted(progress.rows.load(Ordering::Relaxed), "row"));
    };
    let imported = loop {
        tokio::select! {
            imported = &mut work => break imported,
            _ = ticks.tick() => report(progress.bytes.load(Ordering::Relaxed)),
        }
    };
    if imported.is_ok() {
        report(bytes);
    }
    progress::finish(&bar);
    imported
}

/// Says on standard error where the rejected rows are.
fn warn_of_rejects(rejected: u64, path: &Path) {
    let (rows, what) = (counted(rejected, "row"), if rejected == 1 { "a record" } else { "records" });
    eprintln!("warning: {rows} could not be {what}; {} says which, and why", path.display());
}

/// Says of which file a failure is, where it is one of the file.
fn about(file_name: &str, mut failure: Failure) -> Failure {
    if failure.exit == Exit::BadFile {
        failure.message = format!("{file_name}: {}", failure.message);
    }
    failure
}

fn answer(
    summary: &Summary,
    chosen: &Chosen,
    beside_server: bool,
    file_name: &str,
    took: Duration,
) -> Result<CommandAnswer, Failure> {
    let counts = &summary.counts;
    let rows = counts.inserted + counts.updated + counts.unchanged + counts.rejected;
    let version = match (summary.dry_run, summary.changed) {
        (_, false) => ", as before",
        (true, true) => ", and would rise",
        (false, true) => "",
    };
    let would_be = if summary.dry_run { "would be " } else { "" };
    let mut lines = vec![
        (format!("{would_be}inserted"), grouped(counts.inserted)),
        (format!("{would_be}updated"), grouped(counts.updated)),
        (format!("{would_be}unchanged"), grouped(counts.unchanged)),
        (format!("{would_be}removed"), grouped(counts.removed)),
        (format!("{would_be}rejected"), grouped(counts.rejected)),
        ("version".to_owned(), format!("{}{version}", summary.dataset_version)),
    ];
    if let Some(path) = &summary.rejects_file {
        lines.push(("rejects file".to_owned(), path.display().to_string()));
    }
    let values = |column: &String| summary.kept_columns.get(column).or(summary.emptied_columns.get(column));
    let blank = summary.absent_columns.iter().filter(|column| values(column).is_none_or(|values| *values == 0));
    let blank: Vec<&str> = blank.map(String::as_str).collect();
    for (label, columns) in
        [("not in the file", blank.join(", ")), ("headers not read", summary.unmatched_headers.join(", "))]
    {
        if !columns.is_empty() {
            lines.push((label.to_owned(), columns));
        }
    }
    for note in &summary.notes {
        eprintln!("warning: {}", printable(note));
    }
    let dry = if summary.dry_run { "; a dry run, nothing was changed" } else { "" };
    let head =
        format!("{file_name} into {}: {} in {:.1} s{dry}\n", summary.dataset, counted(rows, "row"), took.as_secs_f64());
    if let Some(path) = summary.rejects_file.as_ref().filter(|_| counts.rejected > 0) {
        warn_of_rejects(counts.rejected, path);
    }
    let path = format!("/{}", summary.dataset);
    let by = if beside_server { "the server that runs" } else { "`permitd serve`" };
    lines.push(("definition".to_owned(), chosen.known.place.to_string()));
    lines.push(("served as".to_owned(), format!("GET {path}, by {by}")));
    let mut document = serde_json::to_value(summary).map_err(|error| Failure::unavailable(error.to_string()))?;
    if let Some(fields) = document.as_object_mut() {
        let (used, other) = (&chosen.known, chosen.other.as_ref().map(|other| other.place.to_string()));
        let fingerprint = used.definition.fingerprint();
        let definition =
            serde_json::json!({ "from": used.place.to_string(), "fingerprint": fingerprint, "differs_from": other });
        fields.insert("path".to_owned(), path.into());
        fields.insert("definition".to_owned(), definition);
    }
    let lines: Vec<(&str, String)> = lines.iter().map(|(label, shown)| (label.as_str(), shown.clone())).collect();
    Ok(CommandAnswer::new(document, head + &facts(&lines) + &remarks(summary)))
}

/// What an administrator should know of columns that the file does not have, and of a guard that would be in the way.
fn remarks(summary: &Summary) -> String {
    let mut remarks = String::new();
    let [kept, emptied] = if summary.dry_run {
        ["would be kept as they are", "would be emptied"]
    } else {
        ["kept as they were", "emptied"]
    };
    let advice = "; --yes takes the file's blanks and defaults";
    for (what, columns, advice) in [(kept, &summary.kept_columns, advice), (emptied, &summary.emptied_columns, "")] {
        let columns = columns.iter().filter(|(_, values)| **values > 0);
        let columns: Vec<String> =
            columns.map(|(name, values)| format!("{name} ({})", counted(*values, "value"))).collect();
        if !columns.is_empty() {
            remarks.push_str(&format!("not in the file, {what}: {}{advice}\n", columns.join(", ")));
        }
    }
    for (header, column) in &summary.similar_headers {
        let header = escaped(header);
        remarks.push_str(&format!(
            "header not read: {header:?} looks like {column}; if it is, add it to that column's headers in the definition\n"
        ));
    }
    if let Some(reason) = &summary.refused_unless_confirmed {
        remarks.push_str(&format!("without --yes this would be refused: {reason}\n"));
    }
    remarks
}

fn propose(file: &Path, dataset: Option<&str>, said: &Said, settings: &Settings) -> Result<CommandAnswer, Failure> {
    let (opened, _) = open(file, settings)?;
    let limits = ReadLimits {
        rows_max: settings.import.rows_max,
        sheet_bytes_max: settings.import.inflate_bytes_max,
        ..ReadLimits::default()
    };
    let name = dataset.map_or_else(|| data_set_name(file), ToOwned::to_owned);
    let proposed = infer::propose(opened, &file_name(file), &name, said, &limits);
    let mut toml = proposed.map_err(|error| about(&file_name(file), error.into()))?;
    toml.push_str(&next_steps(&file_name(file), &name));
    Ok(CommandAnswer::file(serde_json::json!({ "dataset": name, "definition": toml }), toml))
}

/// Comments on what to do with a definition that was proposed.
fn next_steps(file: &str, dataset: &str) -> String {
    // Keeps one line per file, whatever its name.
    let file: String = file.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    format!(
        "\n# `permitd datasets language` prints all that can be said here. Once it is as it should be and saved as {dataset}.toml:\n\
         #   permitd import '{file}' --definition {dataset}.toml --dry-run     # what would come of it\n\
         #   permitd import '{file}' --definition {dataset}.toml               # import it\n\
         #   permitd serve                                                  # GET /{dataset}\n"
    )
}

/// A data set's name after a file's: `NYC permits 2024.csv` gives `nyc_permits_2024`.
fn data_set_name(file: &Path) -> String {
    infer::data_set_name(&file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_next_is_said_in_comments_alone() {
        let next = next_steps("some\nname = 1.csv", "some");
        assert!(next.contains("permitd import 'some name = 1.csv' --definition some.toml"), "{next}");
        assert!(next.lines().all(|line| line.is_empty() || line.starts_with('#')), "{next}");
    }

    #[test]
    fn names_of_data_sets() {
        for (file, name) in [
            ("NYC permits 2024.csv", "nyc_permits_2024"),
            ("x/2016-Issued.xlsx", "data_2016_issued"),
            ("größe.csv", "groesse"),
            ("events.csv", "events_data"),
            ("---.csv", "data"),
        ] {
            assert_eq!(data_set_name(Path::new(file)), name);
        }
    }
}
