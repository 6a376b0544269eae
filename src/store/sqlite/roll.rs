//! All people's addresses and names in memory, for searching: in one text, folded, in the order of lists. A search reads this text
//! instead of the whole table, which it would need to find a rare text.
//!
//! A process makes the roll with its first search, and updates it with each: the commits since name the rows to read again. Whoever
//! finds a person here reads the person's row, which decides.
//!
//! The roll is forgotten when this process erases a person, and after a while without searches: another process may have erased them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use memchr::memmem::Finder;
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::{StoreError, corrupt, lock};
use crate::{
    dataset::text::folded,
    domain::id::{StreamId, UserId},
};

/// Commits since the last search up to which the roll is updated. After more of them, it is read anew.
const COMMITS_MAX: u64 = 50_000;
/// The interval of checks for searches. An unused roll is kept for twice as long at most.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// The separator of two texts: no address and no name contains it.
const END: char = '\n';

/// A place in lists: the time of the invitation, and the id. The newest come first.
type ListPlace = (i64, Uuid);

/// The latest roll, and the state of the database that it was read from.
#[derive(Debug, Default)]
pub(super) struct KeptRoll {
    seen: Option<ReadFrom>,
    roll: Arc<Roll>,
    /// The number of times that the roll was forgotten. A read that began before the last one is not kept.
    forgotten: u64,
    /// The number of searches.
    searches: u64,
    /// Whether a task checks for an unused roll.
    is_watched: bool,
}

impl KeptRoll {
    #[cfg(test)]
    pub(super) fn knows_nobody(&self) -> bool {
        self.roll.texts.is_empty()
    }

    pub(super) fn forget(&mut self) {
        (self.seen, self.roll) = (None, Arc::default());
        self.forgotten += 1;
    }

    /// Notes that a task checks for an unused roll from now on. Returns the number of searches; none if such a task runs already.
    pub(super) fn begin_watch(&mut self) -> Option<u64> {
        (!std::mem::replace(&mut self.is_watched, true)).then_some(self.searches)
    }

    /// Forgets the roll if there was no search since `searches` were counted; otherwise returns the present count.
    pub(super) fn forget_idle(&mut self, searches: u64) -> Option<u64> {
        if self.searches != searches {
            return Some(self.searches);
        }
        self.forget();
        self.is_watched = false;
        None
    }
}

/// All people, as of one moment.
#[derive(Debug, Default)]
pub(super) struct Roll {
    /// The places of the people, in the order of lists.
    places: Vec<ListPlace>,
    /// The end of each person's texts.
    ends: Vec<usize>,
    texts: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ReadFrom {
    /// Changes when a rebuild has replaced the tables.
    schema: i64,
    /// The last commit.
    position: u64,
}

impl ReadFrom {
    /// Whether the commits in between are few enough for an update.
    fn is_shortly_before(self, other: Self) -> bool {
        self.schema == other.schema
            && other.position.checked_sub(self.position).is_some_and(|commits| commits <= COMMITS_MAX)
    }
}

impl Roll {
    /// The roll for the present database. Starts from the roll in `kept`, and stores the new one there.
    pub(super) fn current(connection: &Connection, kept: &Mutex<KeptRoll>) -> Result<Arc<Self>, StoreError> {
        let (before, known, forgotten) = {
            let mut kept = lock(kept);
            kept.searches += 1;
            (kept.seen, Arc::clone(&kept.roll), kept.forgotten)
        };
        // All reads are of one moment.
        let transaction = connection.unchecked_transaction()?;
        let seen = ReadFrom {
            schema: transaction.query_row("PRAGMA schema_version", [], |row| row.get(0))?,
            position: transaction.query_row("SELECT coalesce(max(position), 0) FROM commits", [], |row| row.get(0))?,
        };
        let roll = match before {
            Some(before) if before == seen => return Ok(known),
            Some(before) if before.is_shortly_before(seen) => match known.changed(&transaction, before.position)? {
                Some(changed) => Arc::new(changed),
                None => known,
            },
            _ => Arc::new(Self::read(&transaction)?),
        };
        let mut kept = lock(kept);
        if kept.forgotten == forgotten {
            (kept.seen, kept.roll) = (Some(seen), Arc::clone(&roll));
        }
        Ok(roll)
    }

    fn read(connection: &Connection) -> Result<Self, StoreError> {
        let mut roll = Self::default();
        let sql = "SELECT invited_at, id, email, name FROM users WHERE email IS NOT NULL OR name IS NOT NULL
                   ORDER BY invited_at DESC, id DESC";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get_ref(1)?.as_str().map_err(|error| corrupt("user id", error))?;
            let id = Uuid::parse_str(id).map_err(|error| corrupt("user id", error))?;
            let known = |column| row.get_ref(column)?.as_str_or_null().map_err(|error| corrupt("text", error));
            roll.push((row.get(0)?, id), &text(known(2)?, known(3)?));
        }
        Ok(roll)
    }

    /// The roll updated with the commits since; none if it stays the same.
    fn changed(&self, connection: &Connection, position: u64) -> Result<Option<Self>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT DISTINCT stream FROM commits WHERE position > ?1")?;
        let mut of_one = connection.prepare_cached("SELECT invited_at, email, name FROM users WHERE id = ?1")?;
        let (mut commits, mut changed) = (statement.query([position])?, HashSet::new());
        let mut others = BTreeMap::new();
        while let Some(commit) = commits.next()? {
            let stream = commit.get_ref(0)?.as_str().map_err(|error| corrupt("stream", error))?;
            let Ok(StreamId::User(UserId(id))) = StreamId::parse(stream) else { continue };
            let found = of_one
                .query_row([id.to_string()], |row| {
                    let text = text(row.get_ref(1)?.as_str_or_null()?, row.get_ref(2)?.as_str_or_null()?);
                    Ok((row.get(0)?, text))
                })
                .optional()?;
            let Some((invited_at, text)) = found else { continue };
            let place = (invited_at, id);
            if self.text_of(place).unwrap_or_default() != text {
                changed.insert(id);
                others.insert(std::cmp::Reverse(place), text);
            }
        }
        if others.is_empty() {
            return Ok(None);
        }
        let mut roll = Self { texts: String::with_capacity(self.texts.len()), ..Self::default() };
        let mut others = others.into_iter().map(|(place, text)| (place.0, text)).peekable();
        for (nth, place) in self.places.iter().enumerate() {
            while let Some((other, text)) = others.next_if(|(other, _)| other >= place) {
                roll.push(other, &text);
            }
            if !changed.contains(&place.1) {
                roll.push(*place, self.nth_text(nth));
            }
        }
        others.for_each(|(place, text)| roll.push(place, &text));
        Ok(Some(roll))
    }

    /// Adds a person after all others, unless both texts are missing.
    fn push(&mut self, place: ListPlace, text: &str) {
        if !text.is_empty() {
            self.texts.push_str(text);
            self.places.push(place);
            self.ends.push(self.texts.len());
        }
    }

    fn begin(&self, nth: usize) -> usize {
        nth.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    fn nth_text(&self, nth: usize) -> &str {
        let end = self.ends.get(nth).copied().unwrap_or(0);
        self.texts.get(self.begin(nth)..end).unwrap_or_default()
    }

    fn text_of(&self, place: ListPlace) -> Option<&str> {
        let nth = self.places.binary_search_by(|other| place.cmp(other)).ok()?;
        Some(self.nth_text(nth))
    }

    /// The people who may have `needle` (folded) in their address or name, in the order of lists, after a place.
    pub(super) fn search(&self, needle: &str, after: Option<ListPlace>) -> impl Iterator<Item = UserId> {
        let first = after.map_or(0, |after| self.places.partition_point(|place| *place >= after));
        let (finder, mut from) = (Finder::new(needle).into_owned(), self.begin(first));
        std::iter::from_fn(move || {
            let at = from + finder.find(self.texts.as_bytes().get(from..)?)?;
            let nth = self.ends.partition_point(|end| *end <= at);
            // One match per person is enough.
            from = self.ends.get(nth).copied()?;
            self.places.get(nth).map(|(_, id)| UserId(*id))
        })
    }
}

/// The searched text of a person; empty if nothing is known.
fn text(email: Option<&str>, name: Option<&str>) -> String {
    let mut text = String::new();
    for part in [email, name].into_iter().flatten() {
        text.push_str(&folded(part));
        text.push(END);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    fn roll(people: &BTreeMap<Reverse<ListPlace>, String>) -> Roll {
        let mut roll = Roll::default();
        people.iter().for_each(|(place, name)| roll.push(place.0, &text(None, Some(name))));
        roll
    }

    #[test]
    fn what_nobody_searches_is_forgotten() {
        let connection = Connection::open_in_memory().unwrap();
        let id = Uuid::from_u128(1).to_string();
        connection
            .execute_batch(&format!(
                "CREATE TABLE commits (position, stream); CREATE TABLE users (id, invited_at, email, name);
                 INSERT INTO users VALUES ('{id}', 1, 'ana@example.org', 'Ana')"
            ))
            .unwrap();
        let kept = Mutex::new(KeptRoll::default());
        let search = || assert_eq!(Roll::current(&connection, &kept).unwrap().search("ana@", None).count(), 1);
        let is_empty = || lock(&kept).roll.texts.is_empty();
        search();
        let searches = lock(&kept).searches;
        search();
        let by_now = lock(&kept).forget_idle(searches);
        assert!(by_now.is_some() && !is_empty(), "somebody has searched since");
        assert_eq!(lock(&kept).forget_idle(by_now.unwrap()), None);
        assert!(is_empty() && !lock(&kept).is_watched);
        search();
        assert!(!is_empty());
    }

    proptest! {
        /// Small alphabets, so that texts contain one another, and places coincide.
        #[test]
        fn a_search_finds_who_has_it_in_the_order_of_lists(
            people in btree_map((0..4_i64, 0..50_u128), "[aAbßé]{1,5}", 0..30),
            needle in "[abßé]{1,3}",
            after in proptest::option::of((0..4_i64, 0..50_u128)),
        ) {
            let place = |(at, id): (i64, u128)| (at, Uuid::from_u128(id));
            let people: BTreeMap<_, _> = people.into_iter().map(|(of, name)| (Reverse(place(of)), name)).collect();
            let (needle, after) = (folded(&needle), after.map(place));
            let is_behind = |place: &ListPlace| after.is_none_or(|after| *place < after);
            let wanted: Vec<UserId> = people
                .iter()
                .filter(|(place, name)| is_behind(&place.0) && folded(name).contains(&*needle))
                .map(|(place, _)| UserId(place.0.1))
                .collect();
            prop_assert_eq!(roll(&people).search(&needle, after).collect::<Vec<_>>(), wanted);
        }
    }
}
