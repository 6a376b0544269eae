//! The deployment's mark: the file is being filled, or was moved.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use crate::store::DeploymentMark;

/// The deployment's mark, if it bears one.
pub(super) fn read_mark(connection: &Connection) -> Result<Option<DeploymentMark>, StoreError> {
    let sql = "SELECT mark FROM deployment";
    let json: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    json.as_deref().map(DeploymentMark::read).transpose()
}

/// # Errors
/// Where the deployment bears a mark: its log takes no commit.
pub(super) fn refuse_marked(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT mark FROM deployment")?;
    let json: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
    json.map_or(Ok(()), |json| Err(StoreError::Unavailable(DeploymentMark::read(&json)?.to_string())))
}

/// Replaces the deployment's mark.
pub(super) fn write_mark(connection: &Connection, mark: Option<&DeploymentMark>) -> Result<(), StoreError> {
    match mark {
        Some(mark) => {
            let sql = "INSERT OR REPLACE INTO deployment (one, mark) VALUES (1, ?1)";
            connection.prepare_cached(sql)?.execute([mark.json()?])?;
        }
        None => {
            connection.execute("DELETE FROM deployment", [])?;
        }
    }
    Ok(())
}
