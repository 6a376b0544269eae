//! `permitd sample`: generates a report for trials.

use std::{
    fs::{File, Permissions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::{CommandAnswer, Failure, number::whole, output::counted, progress};
use crate::dataset::sample::{SampleFormat, generate};

/// Generate a report of building permits with the shape, the statistics and the traps of a real month
///
/// The first row is the reference record #201612013997. The same seed gives the same bytes. Names and telephones are invented.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd sample --rows 2000 -o sample.xlsx
  permitd sample --rows 1000000 --seed 7 -o sample.csv")]
pub(super) struct Sample {
    /// Rows; at most 20,000,000, and 1,048,575 as .xlsx
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = whole(1..=20_000_000_u64))]
    rows: u64,
    /// What the generated values follow from
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    seed: u64,
    /// The file, .xlsx or .csv; replaced if it is there
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Sample {
    pub(super) fn run(self) -> Result<CommandAnswer, Failure> {
        let shown = self.output.display().to_string();
        let extension = self.output.extension().map(|extension| extension.to_ascii_lowercase());
        let format = match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("csv") => SampleFormat::Csv,
            Some("xlsx") => SampleFormat::Xlsx,
            _ => return Err(Failure::usage(format!("{shown} must end in .xlsx or .csv, which says the format"))),
        };
        let failed = |error: io::Error| Failure::unavailable(format!("{shown} cannot be written: {error}"));
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("."), ToOwned::to_owned);
        // The umask reduces this mode.
        let permissions = Permissions::from_mode(0o666);
        let mut file = tempfile::Builder::new()
            .prefix(".permitd-sample-")
            .permissions(permissions)
            .tempfile_in(folder)
            .map_err(failed)?;
        let bar = progress::spinner("{spinner} {binary_bytes} written, {elapsed}");
        let mut out = Reported { file: BufWriter::new(file.as_file_mut()), bar: bar.clone() };
        generate(self.rows, self.seed, format, &mut out)?;
        out.flush().map_err(failed)?;
        drop(out);
        progress::finish(&bar);
        let bytes = file.as_file().metadata().map_err(failed)?.len();
        file.persist(&self.output).map_err(|error| failed(error.error))?;
        let document = json!({ "file": self.output, "rows": self.rows, "seed": self.seed, "bytes": bytes });
        Ok(CommandAnswer::new(document, format!("{shown}: {}, {bytes} bytes", counted(self.rows, "row"))))
    }
}

/// A file that tells the bar what is written to it.
struct Reported<'a> {
    file: BufWriter<&'a mut File>,
    bar: ProgressBar,
}

impl Write for Reported<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bar.inc(u64::try_from(written).unwrap_or(0));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Reported<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
