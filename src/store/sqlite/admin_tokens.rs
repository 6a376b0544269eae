//! When administrators' tokens were last used, and the tokens from before tokens were events.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::params;

use super::{
    Database, StoreError, corrupt,
    views::{key_id, moment},
};
use crate::{
    domain::key::{KeyHash, KeyId},
    store::{AdminTokens, EarlierToken},
};

#[async_trait]
impl AdminTokens for Database {
    async fn earlier(&self) -> Result<Vec<EarlierToken>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT id, sha256 FROM admin_tokens ORDER BY created_at, id")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let hash = KeyHash::parse(&row.get::<_, String>(1)?).map_err(|error| corrupt("token hash", error))?;
                found.push(EarlierToken { id: row.get(0)?, hash });
            }
            Ok(found)
        })
        .await
    }

    async fn note_use(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        if self.is_read_only() {
            // A copy shows the uses of then.
            return Ok(());
        }
        self.write(move |connection| {
            let sql = "INSERT INTO token_uses (token, used_at) VALUES (?1, ?2)
                       ON CONFLICT (token) DO UPDATE SET used_at = max(used_at, excluded.used_at)";
            connection.prepare_cached(sql)?.execute(params![id.as_str(), at.as_microsecond()])?;
            Ok(())
        })
        .await
    }

    async fn uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT token, used_at FROM token_uses ORDER BY token")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((key_id(&row.get::<_, String>(0)?)?, moment(row.get(1)?)?));
            }
            Ok(found)
        })
        .await
    }
}
