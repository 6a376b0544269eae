//! Writes the log, the personal keys and the ledger's account of a copy into a new database: what a deployment held at an earlier moment.
//!
//! The copy gets what commits say, and nothing that acts: no message to publish, no claim, no mark of a server secret, no answer.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::{Database, StoreError, batches, chain, corrupt, quarantine, stored, views};
use crate::{
    domain::{
        admission::UsageCount,
        id::{StreamId, UserId},
        key::KeyId,
        persisted::StoredCommit,
        personal::PersonalKey,
        view::{ImportRow, State},
    },
    store::{DayUsage, EarlierToken, LastUse, NETWORK, Quarantine, use_name},
};

/// The page cache, KiB: the indexes of the log are filled in random order.
const CACHE_KIB: u32 = 64 * 1024;
/// People that are read at a time.
const PEOPLE_PAGE: usize = 500;

/// What a copy keeps of a person beside their stream.
#[derive(Debug, Default)]
pub struct CopiedPerson {
    /// The key that their data in the log is sealed with; none once they were erased.
    pub key: Option<PersonalKey>,
    /// Their consumption, by day.
    pub usage: Vec<DayUsage>,
    /// Their requests, by day, key, data set and status.
    pub counts: Vec<UsageCount>,
    /// The last uses of their keys.
    pub uses: Vec<LastUse>,
}

/// A new database that becomes a copy.
pub struct CopiedLog {
    database: Database,
    connection: Connection,
}

impl CopiedLog {
    /// Makes the database in an empty folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(folder: &Path) -> Result<Self, StoreError> {
        let database = Database::open(folder)?;
        let connection = database.connect()?;
        // A crash leaves a copy that is marked as unfinished, and is begun anew.
        connection.execute_batch(&format!("PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB}"))?;
        Ok(Self { database, connection })
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Adds commits, each at its own position and version.
    ///
    /// # Errors
    /// When they cannot be written, or one cannot be read.
    pub fn put(&mut self, commits: &[StoredCommit]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for commit in commits {
            stored::insert(&transaction, commit, false)?;
        }
        Ok(transaction.commit()?)
    }

    /// Drops the commits of a stream behind the first that is missing: the clock of another writer may have stamped a later commit with an
    /// earlier moment. Returns how many.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub fn drop_behind_gaps(&mut self) -> Result<usize, StoreError> {
        let sql = "DELETE FROM commits WHERE position IN (
                       SELECT position FROM (
                           SELECT position, version, row_number() OVER (PARTITION BY stream ORDER BY version) AS place FROM commits
                       ) WHERE place != version
                   )";
        Ok(self.connection.execute(sql, [])?)
    }

    /// Adds the quarantines: what cannot be read of the deployment cannot be read of its copy.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put_quarantines<'q>(&self, all: impl IntoIterator<Item = &'q Quarantine>) -> Result<(), StoreError> {
        all.into_iter().try_for_each(|set_aside| quarantine::insert(&self.connection, set_aside).map(drop))
    }

    /// The people with a stream, a page at a time, after one.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn people(&self, after: Option<UserId>) -> Result<Vec<UserId>, StoreError> {
        let after = after.map_or_else(|| "user#".to_owned(), |after| StreamId::User(after).to_string());
        let sql = "SELECT DISTINCT stream FROM commits WHERE stream > ?1 AND stream < 'user$' ORDER BY stream LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let streams: Vec<String> =
            statement.query_map(params![after, PEOPLE_PAGE], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let people = streams.iter().map(|stream| match StreamId::parse(stream) {
            Ok(StreamId::User(user)) => Ok(user),
            Ok(_) => Err(corrupt("stream", "it is no person's")),
            Err(error) => Err(corrupt("stream", error)),
        });
        people.collect()
    }

    /// Adds what a copy keeps of people beside their streams, up to a moment and its day.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_people(
        &mut self,
        people: &[(UserId, CopiedPerson)],
        as_of: Timestamp,
        day: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (user, person) in people {
            let user = user.to_string();
            if let Some(key) = &person.key {
                let sql = "INSERT INTO personal_keys (user, key) VALUES (?1, ?2)";
                transaction.prepare_cached(sql)?.execute(params![user, key.as_bytes().as_slice()])?;
            }
            for usage in person.usage.iter().filter(|usage| usage.day <= day) {
                let sql = "INSERT INTO usage (user, day, used) VALUES (?1, ?2, ?3)";
                transaction.prepare_cached(sql)?.execute(params![user, usage.day, usage.used])?;
            }
            for line in person.counts.iter().filter(|line| line.day <= day) {
                let key = line.key.as_ref().map_or("", KeyId::as_str);
                let sql = "INSERT INTO usage_counts (user, day, key, dataset, status, requests, counted)
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                let UsageCount { day, ref dataset, status, requests, counted, .. } = *line;
                transaction
                    .prepare_cached(sql)?
                    .execute(params![user, day, key, dataset, status, requests, counted])?;
            }
            for used in person.uses.iter().filter(|used| used.at <= as_of) {
                let at_us = used.at.as_microsecond();
                let sealed = person.key.as_ref().zip(used.network.as_ref());
                let network = sealed.and_then(|(key, network)| key.seal(use_name(used.key, at_us), NETWORK, network));
                let network_at = network.as_ref().map(|_| at_us);
                let sql = "INSERT INTO key_uses (user, key, at, network, network_at) VALUES (?1, ?2, ?3, ?4, ?5)";
                transaction.prepare_cached(sql)?.execute(params![
                    user,
                    used.key.as_str(),
                    at_us,
                    network,
                    network_at
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Adds administrators' tokens from before tokens were events, and the last uses of tokens up to a moment.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put_tokens(
        &mut self,
        earlier: &[EarlierToken],
        uses: &[(KeyId, Timestamp)],
        as_of: Timestamp,
    ) -> Result<(), StoreError> {
        for token in earlier {
            let sql = "INSERT INTO admin_tokens (id, sha256, created_at) VALUES (?1, ?2, 0)";
            self.connection.execute(sql, [&token.id, &token.hash.to_hex()])?;
        }
        for (token, at) in uses.iter().filter(|(_, at)| *at <= as_of) {
            let sql = "INSERT INTO token_uses (token, used_at) VALUES (?1, ?2)";
            self.connection.execute(sql, params![token.as_str(), at.as_microsecond()])?;
        }
        Ok(())
    }

    /// Every import in the views.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub fn imports(&self) -> Result<Vec<ImportRow>, StoreError> {
        views::all_imports(&self.connection)
    }

    /// Whether a data set was withdrawn, by its stream.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub fn is_withdrawn(&self, name: &str) -> Result<bool, StoreError> {
        let stream = StreamId::parse(&format!("dataset#{name}")).map_err(|error| corrupt("stream", error))?;
        Ok(match batches::folded(&self.connection, &stream)? {
            State::DataSet(_, data_set) => data_set.withdrawn,
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => false,
        })
    }

    /// The moment and position of the last commit; none where there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn last(&self) -> Result<Option<(Timestamp, u64)>, StoreError> {
        use rusqlite::OptionalExtension;
        let sql = "SELECT recorded_at, position FROM commits ORDER BY position DESC LIMIT 1";
        let last: Option<(i64, u64)> =
            self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let at = |us| Timestamp::from_microsecond(us).map_err(|error| corrupt("moment", error));
        last.map(|(us, position)| Ok((at(us)?, position))).transpose()
    }

    /// Finishes the file: it is whole by itself and on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        use crate::store::Upkeep;
        // Commits of an earlier permitd may come without the hash of their chain.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        chain::complete(&transaction)?;
        transaction.commit()?;
        self.connection.execute_batch("PRAGMA synchronous = FULL")?;
        self.connection.close().map_err(|(_, error)| error)?;
        self.database.close().await
    }
}
