//! The file of rejected rows.

use std::{fs::File, io::BufWriter, path::PathBuf};

use super::ImportError;
use crate::{
    dataset::{cell::inert, reader::CellProblem},
    private,
};

/// The rejects file, made with the first rejected row.
pub(super) struct Rejects {
    path: PathBuf,
    writer: Option<csv::Writer<BufWriter<File>>>,
    rows: u64,
}

impl Rejects {
    /// The rejects file at this path.
    pub(super) fn into(path: PathBuf) -> Self {
        Self { path, writer: None, rows: 0 }
    }

    /// The number of rejected rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes a row's problems.
    pub(super) fn write(&mut self, line: u64, problems: &[CellProblem]) -> Result<(), ImportError> {
        self.rows += 1;
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |error: csv::Error| ImportError::Rejects { path, source: error.into() }
        };
        let path = &self.path;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let io_failed = |source| ImportError::Rejects { path: path.clone(), source };
                if let Some(folder) = path.parent() {
                    private::directory(folder).map_err(|error| io_failed(std::io::Error::other(error)))?;
                }
                // The first reading of an approved import has left a file.
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_failed(error)),
                    _ => {}
                }
                let file = private::new_file(path).map_err(io_failed)?;
                let mut writer = csv::Writer::from_writer(BufWriter::new(file));
                writer.write_record(["line", "column", "value", "reason"]).map_err(failed(path))?;
                none.insert(writer)
            }
        };
        for CellProblem { column, value, reason } in problems {
            let (line, column, value, reason) = (line.to_string(), inert(column), inert(value), inert(reason));
            writer.write_record([line.as_str(), &column, &value, &reason]).map_err(failed(path))?;
        }
        Ok(())
    }

    /// Finishes the file; `None` when no row was rejected.
    pub(super) fn finish(self) -> Result<Option<PathBuf>, ImportError> {
        let Some(mut writer) = self.writer else { return Ok(None) };
        match writer.flush() {
            Ok(()) => Ok(Some(self.path)),
            Err(source) => Err(ImportError::Rejects { path: self.path, source }),
        }
    }
}
