//! Definitions sent with a file: for a new data set, or to replace the present one.
//!
//! Guarantee: a definition can be replaced only by somebody who has seen it, so that changes by other imports are not lost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use uuid::Uuid;

use super::{FoundDefinition, ImportError, Imports};
use crate::dataset::{Column, Definition};

/// A definition to replace a data set's present one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redefinition {
    /// The text as a person wrote it: it may have mistakes.
    pub text: String,
    /// The fingerprint of the definition that it was made from.
    pub of: String,
}

/// What a changed definition newly shows, for the person who decides on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// Newly published columns.
    pub published: Vec<String>,
    /// Columns that are personal now, and would no longer be.
    pub not_personal: Vec<String>,
    /// Whether the data set's description becomes public, and not only its readers'.
    pub public: bool,
}

impl Opened {
    fn by(new: &Definition, present: &Definition) -> Self {
        let named = |column: &Column| present.columns.iter().find(|known| known.name == column.name).cloned();
        let names = |chosen: &dyn Fn(&Column) -> bool| {
            new.columns.iter().filter(|column| chosen(column)).map(|column| column.name.clone()).collect()
        };
        Self {
            published: names(&|column| named(column).is_none()),
            not_personal: names(&|column| !column.personal && named(column).is_some_and(|known| known.personal)),
            public: new.about.public && !present.about.public,
        }
    }
}

impl Imports {
    /// What an import's new definition would newly show. Known on the server with its file, until the import is done.
    ///
    /// # Errors
    /// When the import's stored files cannot be read.
    pub async fn opened_by(&self, import: Uuid) -> Result<Option<Opened>, ImportError> {
        let ticket = self.work.read_ticket(import).await?;
        let Some((text, name)) = ticket.and_then(|ticket| {
            ticket.redefines.as_ref()?;
            Some((ticket.definition?, ticket.dataset))
        }) else {
            return Ok(None);
        };
        let (Ok(new), Ok(present)) = (Definition::from_toml(&text, "the definition"), self.definition(&name)) else {
            return Ok(None);
        };
        Ok((new.fingerprint() != present.fingerprint()).then(|| Opened::by(&new, &present)))
    }
}

/// The definition that somebody wrote for a data set. `known` is the present one; `redefines` is the fingerprint of the one that was
/// changed, or `None` for a new data set.
///
/// # Errors
/// When the definition has a mistake; when the present one has changed since, or is kept in a file.
pub(super) fn own_definition(
    text: &str,
    name: &str,
    known: Option<&FoundDefinition>,
    redefines: Option<&str>,
) -> Result<Arc<Definition>, ImportError> {
    let own = Definition::from_toml(text, "the definition").map_err(|error| ImportError::Said(error.to_string()))?;
    if own.name != name {
        return Err(ImportError::Said(format!("the definition is of {:?}, and not of {name:?}", own.name)));
    }
    let (present, is_in_file) = match (known, redefines) {
        (None, None) => return Ok(Arc::new(own)),
        (None, Some(_)) => return Err(ImportError::NoDefinition { name: name.to_owned() }),
        (Some(known), _) => (known.definition.fingerprint(), known.is_in_file),
    };
    let why_not = match redefines {
        _ if present == own.fingerprint() => return Ok(Arc::new(own)),
        None => format!(
            "there is a data set {name:?} already, which is defined otherwise: choose it, or give the new one another name"
        ),
        Some(_) if is_in_file => format!(
            "the definition of {name:?} is kept in a file on the server, which every import reads: it has to be changed there"
        ),
        Some(of) if of != present => format!(
            "the definition of {name:?} was changed by an import since you began to change it: undo your changes, and make them anew"
        ),
        Some(_) => return Ok(Arc::new(own)),
    };
    Err(ImportError::Said(why_not))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SentFile, spool::Ticket},
        *,
    };

    const THINGS: &str = include_str!("../../../tests/datasets/things.toml");

    fn found(text: &str, is_in_file: bool) -> FoundDefinition {
        FoundDefinition { definition: Arc::new(Definition::from_toml(text, "x").unwrap()), is_in_file }
    }

    #[test]
    fn a_definition_takes_the_place_of_the_one_that_was_seen_alone() {
        let changed = THINGS.replace("\"Things\"", "\"Other\"");
        let (present, other) = (found(THINGS, false), found(&THINGS.replace("\"Things\"", "\"Third\""), false));
        let of = present.definition.fingerprint();
        let taken = |text: &str, known: Option<&FoundDefinition>, redefines: Option<&str>| {
            own_definition(text, "things", known, redefines).map_err(|error| error.to_string())
        };
        // For a new data set.
        assert_eq!(taken(&changed, None, None).unwrap().title, "Other");
        assert!(taken(&changed, Some(&present), None).unwrap_err().contains("already"));
        assert!(taken(THINGS, Some(&present), None).is_ok());
        // For an existing data set.
        assert_eq!(taken(&changed, Some(&present), Some(&of)).unwrap().title, "Other");
        assert!(taken(&changed, Some(&other), Some(&of)).unwrap_err().contains("was changed by an import"));
        assert!(
            taken(&changed, Some(&found(THINGS, true)), Some(&of)).unwrap_err().contains("in a file on the server")
        );
        assert!(taken(&changed, None, Some(&of)).unwrap_err().contains("there is no definition"));
        assert!(taken(&changed.replace("\"things\"", "\"birds\""), Some(&present), Some(&of)).is_err());
        // An import that died after its commit finds its own definition.
        assert!(taken(&changed, Some(&found(&changed, false)), Some(&of)).is_ok());
        assert!(taken(THINGS, Some(&found(THINGS, true)), Some(&of)).is_ok());
    }

    #[test]
    fn what_was_kept_before_definitions_could_be_changed_is_read() {
        let id = "00000000-0000-0000-0000-000000000001";
        let sent = format!(
            r#"{{"id":"{id}","dataset":"things","definition":"a draft","name":null,"import":null,"replace":false,"keep_absent":true,
            "options":[],"file_name":"a.csv","bytes":1,"sha256":"0","who":"admin:1","sent_at":"2026-01-01T00:00:00Z"}}"#
        );
        let sent: SentFile = serde_json::from_str(&sent).unwrap();
        assert_eq!(sent.redefinition, None);
        let ticket = format!(
            r#"{{"id":"{id}","dataset":"things","replace":false,"dry_run":false,"keep_absent":true,"options":[],"file_name":"a.csv",
            "bytes":1,"sha256":"0","who":"admin:1","correlation_id":"r","accepted_at":"2026-01-01T00:00:00Z","state":"waiting",
            "report":null,"reason":null}}"#
        );
        let ticket: Ticket = serde_json::from_str(&ticket).unwrap();
        assert_eq!((ticket.definition, ticket.redefines), (None, None));
    }
}
