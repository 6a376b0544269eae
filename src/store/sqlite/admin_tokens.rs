//! The administrator's tokens.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Database, StoreError};
use crate::store::{AdminTokens, PutToken};

#[async_trait]
impl AdminTokens for Database {
    async fn count(&self) -> Result<u64, StoreError> {
        self.read(|connection| Ok(connection.query_row("SELECT count(*) FROM admin_tokens", [], |row| row.get(0))?))
            .await
    }

    async fn put(&self, id: &str, sha256: &str, created_at: Timestamp, how: PutToken) -> Result<bool, StoreError> {
        let (id, sha256) = (id.to_owned(), sha256.to_owned());
        self.write(move |connection| {
            match how {
                PutToken::Beside => {}
                PutToken::Instead => drop(connection.execute("DELETE FROM admin_tokens", [])?),
                PutToken::First => {
                    let sql = "SELECT EXISTS (SELECT 1 FROM admin_tokens)";
                    if connection.query_row(sql, [], |row| row.get(0))? {
                        return Ok(false);
                    }
                }
            }
            let sql = "INSERT INTO admin_tokens (id, sha256, created_at) VALUES (?1, ?2, ?3)";
            connection.execute(sql, params![id, sha256, created_at.as_microsecond()])?;
            Ok(true)
        })
        .await
    }

    async fn find(&self, sha256: &str) -> Result<Option<String>, StoreError> {
        let sha256 = sha256.to_owned();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT id FROM admin_tokens WHERE sha256 = ?1")?;
            Ok(statement.query_row([sha256], |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn hashes(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT sha256 FROM admin_tokens")?;
            let hashes = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(hashes)
        })
        .await
    }
}
