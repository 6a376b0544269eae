//! Errors of templates.

use std::{fmt, io, path::PathBuf};

use serde::Serialize;

/// A mistake in a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// The line of the mistake, where there is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl Mistake {
    pub(super) fn of_file(file: PathBuf, reason: String) -> Self {
        Self { file: file.display().to_string(), line: None, reason }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

/// Templates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    /// The directory cannot be read.
    #[error("mail.templates = {}: {source}; name the folder of your templates, which `permitd config mails --write DIR` begins", .folder.display())]
    Folder {
        /// The directory.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Templates in the directory have mistakes.
    #[error("mail.templates = {}: {}; `permitd config mails` tells what there is", .folder.display(), shown(.mistakes))]
    Mistakes {
        /// The directory.
        folder: PathBuf,
        /// The mistakes.
        mistakes: Vec<Mistake>,
    },
    /// The built-in templates cannot be written.
    #[error("{}: {source}", .path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The most mistakes that a refusal lists.
pub(super) const MISTAKES_MAX: usize = 20;

pub(super) fn shown(mistakes: &[Mistake]) -> String {
    let mut told: Vec<String> = mistakes.iter().take(MISTAKES_MAX).map(ToString::to_string).collect();
    if let Some(more) = mistakes.len().checked_sub(MISTAKES_MAX).filter(|more| *more > 0) {
        told.push(format!("and {more} more"));
    }
    told.join("; ")
}
