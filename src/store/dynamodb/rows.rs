//! Rows of the views as items of the table `views`.
//!
//! | attribute | holds |
//! |---|---|
//! | `k`, `r` | the stream that it follows from; which of its rows |
//! | `pv` | the row's version |
//! | `l`, `o` | the list that it is in, and its place there (people, plans, imports; keys of whose end their owners are to be told) |
//! | `email` | a person's address |
//! | `d` | the row, as [`ViewRow`] writes it |
//!
//! | `k` | `r` | is |
//! |---|---|---|
//! | `user#<id>` | `user`, `key#<key id>`, `session#<id>` | a person, a key, a session |
//! | `session#<id>` | `user` | whose a session is: it is asked for by its id alone |
//! | `plan#<name>` | `plan` | a plan |
//! | `dataset#<name>` | `import#<id>` | an import |
//! | `tokens#admin` | `token#<id>` | an administrator's token |
//! | `import#<id>` | `dataset` | in which data set an import is: it is asked for by its id alone |

use std::fmt::{self, Display};

use jiff::Timestamp;
use uuid::Uuid;

use super::item::{self, Item, check_size, damaged, find_text, get_text, number, text};
use crate::{
    domain::{
        id::{StreamId, UserId},
        key::KeyId,
        view::{ImportRow, KeyRow, PlanRow, Rows, SessionRow, TokenRow, UserRow},
    },
    store::{StoreError, view_rows::ViewRow},
};

/// The list of all people, the last invited first.
pub(super) const USERS: &str = "users";
/// The list of all plans, by name.
pub(super) const PLANS: &str = "plans";
/// The list of all imports, the last begun first.
pub(super) const IMPORTS: &str = "imports";

/// The lists of keys whose owners are to be told that they end: the keys are spread over all of these.
pub(super) const NOTICES: [&str; 8] =
    ["notices#0", "notices#1", "notices#2", "notices#3", "notices#4", "notices#5", "notices#6", "notices#7"];

const USER: &str = "user";
const PLAN: &str = "plan";
const DATASET: &str = "dataset";
/// The prefix of the names of keys.
pub(super) const KEY_PREFIX: &str = "key#";
/// The prefix of the names of sessions.
pub(super) const SESSION_PREFIX: &str = "session#";
/// The prefix of the names of imports.
pub(super) const IMPORT_PREFIX: &str = "import#";
/// The prefix of the names of administrators' tokens.
pub(super) const TOKEN_PREFIX: &str = "token#";

/// The row of a stream that an item holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RowKind {
    /// The person.
    User,
    /// A key.
    Key(KeyId),
    /// A session.
    Session(KeyId),
    /// The plan.
    Plan,
    /// An import.
    Import(Uuid),
    /// An administrator's token.
    Token(KeyId),
}

impl RowKind {
    /// Reads `r`; `None` when this permitd does not know such a row.
    pub(super) fn of(row: &str) -> Option<Self> {
        if let Some(key) = row.strip_prefix(KEY_PREFIX) {
            return KeyId::parse(key).ok().map(Self::Key);
        }
        if let Some(session) = row.strip_prefix(SESSION_PREFIX) {
            return KeyId::parse(session).ok().map(Self::Session);
        }
        if let Some(token) = row.strip_prefix(TOKEN_PREFIX) {
            return KeyId::parse(token).ok().map(Self::Token);
        }
        if let Some(import) = row.strip_prefix(IMPORT_PREFIX) {
            return Uuid::parse_str(import).ok().map(Self::Import);
        }
        match row {
            USER => Some(Self::User),
            PLAN => Some(Self::Plan),
            _ => None,
        }
    }
}

/// Writes the form of `r`.
impl Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str(USER),
            Self::Key(id) => write!(f, "{KEY_PREFIX}{id}"),
            Self::Session(id) => write!(f, "{SESSION_PREFIX}{id}"),
            Self::Plan => f.write_str(PLAN),
            Self::Import(id) => write!(f, "{IMPORT_PREFIX}{id}"),
            Self::Token(id) => write!(f, "{TOKEN_PREFIX}{id}"),
        }
    }
}

/// The items of one stream's rows, with the pointers to them.
pub(super) fn to_items(rows: &Rows) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::new();
    put_each(&mut items, &rows.users)?;
    put_each(&mut items, &rows.keys)?;
    put_each(&mut items, &rows.sessions)?;
    put_each(&mut items, &rows.plans)?;
    put_each(&mut items, &rows.imports)?;
    put_each(&mut items, &rows.tokens)?;
    items.extend(pointed(rows).map(|(stream, kind)| pointer(&stream, kind)));
    for item in &items {
        check_size(&format!("the view row {} {}", get_text(item, "k")?, get_text(item, "r")?), item)?;
    }
    Ok(items)
}

fn put_each<T: ItemRow>(items: &mut Vec<Item>, rows: &[T]) -> Result<(), StoreError> {
    for row in rows {
        items.push(to_item(row)?);
    }
    Ok(())
}

/// The rows in the items of one stream, and the names of rows whose attributes differ from their documents.
pub(super) fn from_items(items: &[Item]) -> Result<(Rows, Vec<String>), StoreError> {
    let (mut rows, mut strayed) = (Rows::default(), Vec::new());
    for item in items {
        let is_so = match RowKind::of(get_text(item, "r")?) {
            Some(RowKind::User) => take(item, &mut rows.users)?,
            Some(RowKind::Plan) => take(item, &mut rows.plans)?,
            Some(RowKind::Key(_)) => take(item, &mut rows.keys)?,
            Some(RowKind::Session(_)) => take(item, &mut rows.sessions)?,
            Some(RowKind::Import(_)) => take(item, &mut rows.imports)?,
            Some(RowKind::Token(_)) => take(item, &mut rows.tokens)?,
            None => return Err(unknown(item)),
        };
        if !is_so {
            strayed.push(format!("attributes of {} {}", get_text(item, "k")?, get_text(item, "r")?));
        }
    }
    Ok((rows, strayed))
}

/// Adds the row of an item. Returns whether its attributes agree with its document.
fn take<T: ItemRow>(item: &Item, rows: &mut Vec<T>) -> Result<bool, StoreError> {
    let row = read(item)?;
    let is_so = to_item(&row)? == *item;
    rows.push(row);
    Ok(is_so)
}

/// Reads the row of an item.
pub(super) fn read<T: ViewRow>(item: &Item) -> Result<T, StoreError> {
    let earlier = || damaged("d", "an earlier permitd wrote the row: `permitd events replay` writes it anew");
    T::from_document(find_text(item, "d")?.ok_or_else(earlier)?)
}

fn to_item<T: ItemRow>(row: &T) -> Result<Item, StoreError> {
    let (stream, kind) = row.place();
    let mut item = row_key(&stream, kind);
    item.insert("pv".to_owned(), number(row.version()));
    item.insert("d".to_owned(), text(row.to_document()?));
    item.extend(row.indexed().into_iter().map(|(name, value)| (name.to_owned(), text(value))));
    Ok(item)
}

/// A row with an item of its own.
trait ItemRow: ViewRow {
    /// Its stream, and its row of that stream.
    fn place(&self) -> (StreamId, RowKind);

    /// The attributes for the indexes.
    fn indexed(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl ItemRow for UserRow {
    fn place(&self) -> (StreamId, RowKind) {
        (StreamId::User(self.id), RowKind::User)
    }

    fn indexed(&self) -> Vec<(&'static str, String)> {
        let in_list = [("l", USERS.to_owned()), ("o", order(self.invited_at, self.id.0))];
        in_list.into_iter().chain(self.email.clone().map(|email| ("email", email))).collect()
    }
}

impl ItemRow for KeyRow {
    fn place(&self) -> (StreamId, RowKind) {
        (StreamId::User(self.user), RowKind::Key(self.id))
    }

    fn indexed(&self) -> Vec<(&'static str, String)> {
        let in_list = |at| vec![("l", notices_of(self.id).to_owned()), ("o", order(at, self.id))];
        self.notice_at.map(in_list).unwrap_or_default()
    }
}

impl ItemRow for SessionRow {
    fn place(&self) -> (StreamId, RowKind) {
        (StreamId::User(self.user), RowKind::Session(self.id))
    }
}

impl ItemRow for PlanRow {
    fn place(&self) -> (StreamId, RowKind) {
        (StreamId::Plan(self.name.clone()), RowKind::Plan)
    }

    fn indexed(&self) -> Vec<(&'static str, String)> {
        vec![("l", PLANS.to_owned()), ("o", self.name.clone())]
    }
}

impl ItemRow for ImportRow {
    fn place(&self) -> (StreamId, RowKind) {
        (StreamId::DataSet(self.dataset.clone()), RowKind::Import(self.id))
    }

    fn indexed(&self) -> Vec<(&'static str, String)> {
        vec![("l", IMPORTS.to_owned()), ("o", order(self.started_at, self.id))]
    }
}

impl ItemRow for TokenRow {
    fn place(&self) -> (StreamId, RowKind) {
        (StreamId::AdminTokens, RowKind::Token(self.id))
    }
}

/// The error for an unknown row, which is left alone: a newer permitd may have written it.
pub(super) fn unknown(item: &Item) -> StoreError {
    let part = |name| get_text(item, name).unwrap_or("?");
    let (stream, row) = (part("k"), part("r"));
    StoreError::Incompatible(format!(
        "the views hold a row {row:?} of {stream:?}, which this permitd does not know: use the newer one that wrote it, or remove it"
    ))
}

/// The key of a row.
pub(super) fn row_key(stream: &StreamId, kind: RowKind) -> Item {
    item::item([("k", text(stream.to_string())), ("r", text(kind.to_string()))])
}

/// The sessions and imports among these rows, with their streams: they are looked up by id alone, so a pointer item names the
/// stream of each.
pub(super) fn pointed(rows: &Rows) -> impl Iterator<Item = (StreamId, RowKind)> {
    rows.sessions.iter().map(ItemRow::place).chain(rows.imports.iter().map(ItemRow::place))
}

/// The key of the pointer item of a session or an import.
pub(super) fn pointer_key(kind: RowKind) -> Item {
    let of = if matches!(kind, RowKind::Session(_)) { USER } else { DATASET };
    item::item([("k", text(kind.to_string())), ("r", text(of))])
}

/// The pointer item of a session or an import; it never changes.
fn pointer(stream: &StreamId, kind: RowKind) -> Item {
    let (mut item, stream) = (pointer_key(kind), stream.to_string());
    let (of, whose) = stream.split_once('#').unwrap_or_default();
    item.insert(of.to_owned(), text(whose));
    item
}

/// The session or import that an item points to; none when the item is a row.
pub(super) fn pointed_at(item: &Item) -> Result<Option<RowKind>, StoreError> {
    let name = get_text(item, "k")?;
    if !name.starts_with(SESSION_PREFIX) && !name.starts_with(IMPORT_PREFIX) {
        return Ok(None);
    }
    RowKind::of(name).map(Some).ok_or_else(|| damaged("k", "it is no id"))
}

/// The stream that a pointer item names.
pub(super) fn read_pointer(item: &Item) -> Result<StreamId, StoreError> {
    Ok(match find_text(item, DATASET)? {
        Some(data_set) => StreamId::DataSet(data_set.to_owned()),
        None => StreamId::User(UserId::parse(get_text(item, USER)?).map_err(|error| damaged(USER, error))?),
    })
}

/// A sort key of a list by time: sorts as moments do, and by id within a moment.
pub(super) fn order(at: Timestamp, id: impl Display) -> String {
    // Moments before 1970 are negative: with the sign bit flipped they sort before the others.
    let sortable = at.as_microsecond().cast_unsigned() ^ (1 << 63);
    format!("{sortable:016x}#{id}")
}

/// The list of notices that a key belongs to.
fn notices_of(key: KeyId) -> &'static str {
    let sum = key.as_str().bytes().map(usize::from).sum::<usize>();
    NOTICES.get(sum % NOTICES.len()).copied().unwrap_or("notices#0")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{domain::view::UserStatus, store::view_rows::samples};

    fn at(us: i64) -> Timestamp {
        Timestamp::from_microsecond(us).unwrap()
    }

    proptest! {
        #[test]
        fn places_sort_as_moments_do(a in -377_705_023_201_000_000..253_402_207_200_999_999i64, b in -377_705_023_201_000_000..253_402_207_200_999_999i64, id: u128) {
            let id = Uuid::from_u128(id);
            prop_assert_eq!(order(at(a), id).cmp(&order(at(b), id)), a.cmp(&b));
        }
    }

    #[test]
    fn rows_read_back_from_their_items_and_sessions_and_imports_are_found_by_their_ids() {
        let rows = samples::full();
        let items = to_items(&rows).unwrap();
        let (pointers, items): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| pointed_at(item).unwrap().is_some());
        assert_eq!(from_items(&items).unwrap(), (rows.clone(), Vec::new()));
        let led_to = pointers.iter().map(|item| (read_pointer(item).unwrap(), pointed_at(item).unwrap().unwrap()));
        assert!(led_to.eq(pointed(&rows)));
    }

    #[test]
    fn an_attribute_that_does_not_follow_from_its_row_is_told() {
        for name in ["pv", "l", "o", "email"] {
            let mut item = to_item(&samples::full().users[0]).unwrap();
            item.insert(name.to_owned(), text("eve@example.org"));
            let (rows, strayed) = from_items(&[item]).unwrap();
            assert_eq!((rows.users, strayed.len()), (samples::full().users, 1), "{name}");
            assert!(strayed[0].starts_with("attributes of user#") && !strayed[0].contains("eve@"), "{strayed:?}");
        }
    }

    #[test]
    fn a_row_of_an_earlier_permitd_says_what_to_do() {
        let mut item = to_item(&samples::full().users[0]).unwrap();
        item.remove("d");
        let refused = from_items(&[item]).unwrap_err().to_string();
        assert!(refused.contains("permitd events replay"), "{refused}");
    }

    #[test]
    fn an_erased_person_leaves_nothing() {
        let person = samples::full().users.remove(0);
        let (email, name) = (person.email.clone().unwrap(), person.name.clone().unwrap());
        let erased = UserRow { email: None, name: None, status: UserStatus::Deleted, ..person };
        let item = to_item(&erased).unwrap();
        let all = format!("{item:?}");
        assert!(!item.contains_key("email") && !all.contains(&email) && !all.contains(&name), "{all}");
        assert_eq!(read::<UserRow>(&item).unwrap(), erased);
    }

    #[test]
    fn a_row_that_is_too_large_is_refused_by_name() {
        let large = UserRow { mail_failure: Some("x".repeat(400 * 1024)), ..samples::full().users.remove(0) };
        let refused = to_items(&Rows { users: vec![large], ..Rows::default() }).unwrap_err().to_string();
        assert!(refused.contains("user#00000000-0000-0000-0000-000000000007 user"), "{refused}");
    }
}
