//! Rows of the views as items of the table `views`. Beside the row's own attributes, named after its fields, an item has
//!
//! | attribute | holds |
//! |---|---|
//! | `k`, `r` | the stream that it follows from; which of its rows |
//! | `pv` | the row's version |
//! | `l`, `o` | the list that it is in, and its place there (people, plans, imports; keys of whose end their owners are to be told) |
//!
//! | `k` | `r` | is |
//! |---|---|---|
//! | `user#<id>` | `user`, `key#<key id>`, `session#<id>` | a person, a key, a session |
//! | `session#<id>` | `user` | whose a session is: it is asked for by its id alone |
//! | `plan#<name>` | `plan` | a plan |
//! | `dataset#<name>` | `import#<id>` | an import |
//! | `tokens#admin` | `token#<id>` | an administrator's token |
//! | `import#<id>` | `dataset` | in which data set an import is: it is asked for by its id alone |

mod read;

use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use uuid::Uuid;

pub(super) use self::read::{
    read_due, read_import, read_key, read_plan, read_scopes, read_session, read_status, read_token, read_user,
};
use super::item::{self, Item, check_size, damaged, get_text, moment, number, put_some, text};
use crate::{
    domain::{
        event::ImportCounts,
        id::{StreamId, UserId},
        key::KeyId,
        plan::Limits,
        view::{ImportRow, KeyRow, PlanRow, Rows, SessionRow, TokenRow, UserRow},
    },
    store::{StoreError, words},
};

/// The list of all people, the last invited first.
pub(super) const USERS: &str = "users";
/// The list of all plans, by name.
pub(super) const PLANS: &str = "plans";
/// The list of all imports, the last begun first.
pub(super) const IMPORTS: &str = "imports";

/// The lists of keys of whose end their owners are to be told, over which they are spread.
pub(super) const NOTICES: [&str; 8] =
    ["notices#0", "notices#1", "notices#2", "notices#3", "notices#4", "notices#5", "notices#6", "notices#7"];

const USER: &str = "user";
const PLAN: &str = "plan";
const DATASET: &str = "dataset";
const KEY_PREFIX: &str = "key#";
const SESSION_PREFIX: &str = "session#";
const IMPORT_PREFIX: &str = "import#";
const TOKEN_PREFIX: &str = "token#";

/// Which of a stream's rows an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

impl Kind {
    /// Reads `r`; `None` when it is no row that this permitd knows.
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

/// The items of one stream's rows, with those that lead to them.
pub(super) fn to_items(rows: &Rows) -> Result<Vec<Item>, StoreError> {
    let users = rows.users.iter().map(user);
    let keys = rows.keys.iter().map(key);
    let sessions = rows.sessions.iter().flat_map(|row| [session(row), session_pointer(row)]);
    let plans = rows.plans.iter().map(plan);
    let imports = rows.imports.iter().flat_map(|row| [import(row), pointer(row)]);
    let tokens = rows.tokens.iter().map(token);
    let items: Vec<Item> = users.chain(keys).chain(sessions).chain(plans).chain(imports).chain(tokens).collect();
    for item in &items {
        check_size(&format!("the view row {} {}", get_text(item, "k")?, get_text(item, "r")?), item)?;
    }
    Ok(items)
}

/// The rows in the items of one stream.
pub(super) fn from_items(items: &[Item]) -> Result<Rows, StoreError> {
    let mut rows = Rows::default();
    for item in items {
        let row = get_text(item, "r")?;
        match Kind::of(row) {
            Some(Kind::User) => rows.users.push(read_user(item)?),
            Some(Kind::Plan) => rows.plans.push(read_plan(item)?),
            Some(Kind::Key(_)) => rows.keys.push(read_key(item)?),
            Some(Kind::Session(_)) => rows.sessions.push(read_session(item)?),
            Some(Kind::Import(_)) => rows.imports.push(read_import(item)?),
            Some(Kind::Token(_)) => rows.tokens.push(read_token(item)?),
            None => return Err(unknown(item)),
        }
    }
    Ok(rows)
}

/// A row that is not understood is left alone: a newer permitd may have written it.
pub(super) fn unknown(item: &Item) -> StoreError {
    let part = |name| get_text(item, name).unwrap_or("?");
    let (stream, row) = (part("k"), part("r"));
    StoreError::Incompatible(format!(
        "the views hold a row {row:?} of {stream:?}, which this permitd does not know: use the newer one that wrote it, or remove it"
    ))
}

/// The key of a person's row.
pub(super) fn user_key(user: UserId) -> Item {
    place(&StreamId::User(user), USER)
}

/// The key of a key's row.
pub(super) fn key_key(user: UserId, key: KeyId) -> Item {
    place(&StreamId::User(user), &format!("{KEY_PREFIX}{key}"))
}

/// The key of a session's row.
pub(super) fn session_key(user: UserId, session: KeyId) -> Item {
    place(&StreamId::User(user), &format!("{SESSION_PREFIX}{session}"))
}

/// The key of a plan's row.
pub(super) fn plan_key(name: &str) -> Item {
    place(&StreamId::Plan(name.to_owned()), PLAN)
}

/// The key of an import's row.
pub(super) fn import_key(data_set: &str, import: Uuid) -> Item {
    place(&StreamId::DataSet(data_set.to_owned()), &format!("{IMPORT_PREFIX}{import}"))
}

/// The key of an administrator's token's row.
pub(super) fn token_key(id: KeyId) -> Item {
    place(&StreamId::AdminTokens, &format!("{TOKEN_PREFIX}{id}"))
}

/// The key of the item that says in which data set an import is.
pub(super) fn pointer_key(import: Uuid) -> Item {
    item::item([("k", text(format!("{IMPORT_PREFIX}{import}"))), ("r", text(DATASET))])
}

/// The key of the item that says whose a session is.
pub(super) fn session_pointer_key(session: KeyId) -> Item {
    item::item([("k", text(format!("{SESSION_PREFIX}{session}"))), ("r", text(USER))])
}

/// What an item leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An import.
    Import(Uuid),
    /// A session.
    Session(KeyId),
}

/// What an item leads to; none when the item is a row.
pub(super) fn pointed_at(item: &Item) -> Result<Option<Target>, StoreError> {
    let stream = get_text(item, "k")?;
    if let Some(id) = stream.strip_prefix(SESSION_PREFIX) {
        return KeyId::parse(id).map(|id| Some(Target::Session(id))).map_err(|error| damaged("k", error));
    }
    let Some(id) = stream.strip_prefix(IMPORT_PREFIX) else { return Ok(None) };
    Uuid::parse_str(id).map(|id| Some(Target::Import(id))).map_err(|error| damaged("k", error))
}

/// What the rows of one person's keys begin with.
pub(super) fn key_prefix() -> AttributeValue {
    text(KEY_PREFIX)
}

/// What the rows of one person's sessions begin with.
pub(super) fn session_prefix() -> AttributeValue {
    text(SESSION_PREFIX)
}

/// What the rows of a data set's imports begin with.
pub(super) fn import_prefix() -> AttributeValue {
    text(IMPORT_PREFIX)
}

/// What the rows of the administrators' tokens begin with.
pub(super) fn token_prefix() -> AttributeValue {
    text(TOKEN_PREFIX)
}

fn place(stream: &StreamId, row: &str) -> Item {
    item::item([("k", text(stream.to_string())), ("r", text(row))])
}

/// A place in a list by time: sorts as the moments do, those of one moment by the id.
pub(super) fn order(at: Timestamp, id: impl Display) -> String {
    // Moments before 1970 are negative: with the sign's bit turned over they sort before the others.
    let sortable = at.as_microsecond().cast_unsigned() ^ (1 << 63);
    format!("{sortable:016x}#{id}")
}

/// The list that a key is in of whose end its owner is to be told.
fn notices_of(key: KeyId) -> &'static str {
    let sum = key.as_str().bytes().map(usize::from).sum::<usize>();
    NOTICES.get(sum % NOTICES.len()).copied().unwrap_or("notices#0")
}

fn row(stream: &StreamId, row: &str, version: u64) -> Item {
    let mut item = place(stream, row);
    item.insert("pv".to_owned(), number(version));
    item
}

fn in_list(item: &mut Item, list: &str, order: String) {
    item.insert("l".to_owned(), text(list));
    item.insert("o".to_owned(), text(order));
}

fn user(of: &UserRow) -> Item {
    let mut item = row(&StreamId::User(of.id), USER, of.version);
    in_list(&mut item, USERS, order(of.invited_at, of.id.0));
    item.extend(item::item([
        ("role", text(of.role.as_str())),
        ("plan", text(&of.plan)),
        ("status", text(of.status.as_str())),
        ("invitation", text(of.invitation.state.as_str())),
        ("invitation_since", moment(of.invitation.since)),
        ("invited_at", moment(of.invited_at)),
        ("changed_at", moment(of.changed_at)),
    ]));
    put_some(&mut item, "email", of.email.as_deref().map(text));
    put_some(&mut item, "name", of.name.as_deref().map(text));
    put_some(&mut item, "deleted_at", of.deleted_at.map(moment));
    put_some(&mut item, "mail_failure", of.mail_failure.as_deref().map(text));
    put_some(&mut item, "notices_off", words::of_unwanted(of.notices).map(text));
    put_some(&mut item, "invitation_ends", of.invitation.expires_at.map(moment));
    put_some(&mut item, "first_request_at", of.first_request_at.map(moment));
    put_some(&mut item, "mail_stop", of.mail_stop.map(|stop| text(stop.as_str())));
    item
}

fn key(of: &KeyRow) -> Item {
    let mut item = row(&StreamId::User(of.user), &format!("{KEY_PREFIX}{}", of.id), of.version);
    item.extend(item::item([
        ("sha256", text(of.hash.to_hex())),
        ("last_four", text(&of.last_four)),
        ("issued_at", moment(of.issued_at)),
    ]));
    put_some(&mut item, "label", of.label.as_deref().map(text));
    put_some(&mut item, "mailed_at", of.mailed_at.map(moment));
    put_some(&mut item, "valid_until", of.valid_until.map(moment));
    put_some(&mut item, "replaced_by", of.replaced_by.map(|id| text(id.as_str())));
    put_some(&mut item, "revoked_at", of.revoked_at.map(moment));
    put_some(&mut item, "revocation_reason", of.revocation_reason.as_deref().map(text));
    put_some(&mut item, "expires_at", of.expires_at.map(moment));
    put_some(&mut item, "allowed_ips", of.allowed_ips.as_deref().map(words::joined).map(text));
    put_some(&mut item, "datasets", of.scopes.datasets.as_deref().map(words::joined).map(text));
    put_some(&mut item, "actions", words::of_actions(&of.scopes.actions).map(text));
    if let Some(at) = of.notice_at {
        item.insert("notice_at".to_owned(), moment(at));
        in_list(&mut item, notices_of(of.id), order(at, of.id));
    }
    item
}

fn session(of: &SessionRow) -> Item {
    let mut item = row(&StreamId::User(of.user), &format!("{SESSION_PREFIX}{}", of.id), of.version);
    item.extend(item::item([
        ("sha256", text(of.hash.to_hex())),
        ("started_at", moment(of.started_at)),
        ("expires_at", moment(of.expires_at)),
        ("idle_at", moment(of.idle_at)),
        ("seen_at", moment(of.seen_at)),
        ("method", text(&of.method)),
    ]));
    put_some(&mut item, "network", of.network.as_deref().map(text));
    put_some(&mut item, "ended_at", of.ended_at.map(moment));
    put_some(&mut item, "end_reason", of.end_reason.as_deref().map(text));
    item
}

/// Says whose a session is; never changes.
fn session_pointer(of: &SessionRow) -> Item {
    let mut item = session_pointer_key(of.id);
    item.insert(USER.to_owned(), text(of.user.to_string()));
    item
}

/// Whose the session is that a pointer leads to.
pub(super) fn read_session_pointer(item: &Item) -> Result<UserId, StoreError> {
    UserId::parse(get_text(item, USER)?).map_err(|error| damaged(USER, error))
}

fn plan(of: &PlanRow) -> Item {
    let mut item = row(&StreamId::Plan(of.name.clone()), PLAN, of.version);
    in_list(&mut item, PLANS, of.name.clone());
    let Limits { rate_per_s, burst, quota_per_day } = of.limits;
    item.extend(item::item([
        ("rate_per_s", number(rate_per_s)),
        ("burst", number(burst)),
        ("quota_per_day", number(quota_per_day)),
        ("retired", AttributeValue::Bool(of.retired)),
    ]));
    put_some(&mut item, "key_max_age_days", of.rules.key_max_age_days.map(number));
    put_some(&mut item, "datasets", of.rules.datasets.as_deref().map(words::joined).map(text));
    put_some(&mut item, "keys_max", of.rules.keys_max.map(number));
    item
}

fn token(of: &TokenRow) -> Item {
    let mut item = row(&StreamId::AdminTokens, &format!("{TOKEN_PREFIX}{}", of.id), of.version);
    let scopes: Vec<&str> = of.scopes.iter().map(|scope| scope.as_str()).collect();
    item.extend(item::item([
        ("sha256", text(of.hash.to_hex())),
        ("name", text(&of.name)),
        ("scopes", text(scopes.join(","))),
        ("read_only", AttributeValue::Bool(of.read_only)),
        ("issued_at", moment(of.issued_at)),
    ]));
    put_some(&mut item, "expires_at", of.expires_at.map(moment));
    put_some(&mut item, "revoked_at", of.revoked_at.map(moment));
    item
}

fn import(of: &ImportRow) -> Item {
    let mut item = row(&StreamId::DataSet(of.dataset.clone()), &format!("{IMPORT_PREFIX}{}", of.id), of.version);
    in_list(&mut item, IMPORTS, order(of.started_at, of.id));
    item.extend(item::item([
        ("file_name", text(&of.file_name)),
        ("definition", text(&of.definition)),
        ("replaces", AttributeValue::Bool(of.replace)),
        ("status", text(&of.status)),
        ("started_at", moment(of.started_at)),
    ]));
    put_some(&mut item, "ended_at", of.ended_at.map(moment));
    put_some(&mut item, "dataset_version", of.dataset_version.map(number));
    put_some(&mut item, "reason", of.reason.as_deref().map(text));
    if let Some(ImportCounts { inserted, updated, unchanged, removed, rejected }) = of.counts {
        item.extend(item::item([
            ("inserted", number(inserted)),
            ("updated", number(updated)),
            ("unchanged", number(unchanged)),
            ("removed", number(removed)),
            ("rejected", number(rejected)),
        ]));
    }
    item
}

/// Says in which data set an import is; never changes.
fn pointer(of: &ImportRow) -> Item {
    let mut item = pointer_key(of.id);
    item.insert(DATASET.to_owned(), text(&of.dataset));
    item
}

/// What a pointer says.
pub(super) fn read_pointer(item: &Item) -> Result<&str, StoreError> {
    get_text(item, DATASET)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        bounds::{DataAction, KeyScopes},
        event::Role,
        key::KeyHash,
        notice::NoticeChoice,
        permission::Permission,
        plan::KeyRules,
        user::MailStop,
        view::{InvitationProgress, InvitationState, UserStatus},
    };

    fn at(us: i64) -> Timestamp {
        Timestamp::from_microsecond(us).unwrap()
    }

    fn person() -> UserRow {
        UserRow {
            id: UserId(Uuid::from_u128(7)),
            version: 3,
            email: Some("ana@example.org".to_owned()),
            name: Some(String::new()),
            role: Role::Admin,
            plan: "default".to_owned(),
            status: UserStatus::Active,
            invited_at: at(1),
            changed_at: at(2),
            deleted_at: None,
            mail_failure: None,
            notices: NoticeChoice { quota: false, ..NoticeChoice::default() },
            invitation: InvitationProgress { state: InvitationState::Mailed, since: at(2), expires_at: Some(at(9)) },
            mail_stop: Some(MailStop::Bounced),
            first_request_at: Some(at(5)),
        }
    }

    fn plan_row(rate_per_s: f64) -> PlanRow {
        let limits = Limits { rate_per_s, burst: u32::MAX, quota_per_day: u64::MAX };
        let rules = KeyRules {
            key_max_age_days: Some(90),
            datasets: Some(vec!["a".to_owned(), "b".to_owned()]),
            keys_max: Some(3),
        };
        PlanRow { name: "large".to_owned(), version: 1, limits, rules, retired: true }
    }

    proptest! {
        #[test]
        fn places_sort_as_moments_do(a in -377_705_023_201_000_000..253_402_207_200_999_999i64, b in -377_705_023_201_000_000..253_402_207_200_999_999i64, id: u128) {
            let id = Uuid::from_u128(id);
            prop_assert_eq!(order(at(a), id).cmp(&order(at(b), id)), a.cmp(&b));
        }

        #[test]
        fn a_rate_reads_back_to_the_last_bit(rate in 0.001..10_000_000.0) {
            let row = plan_row(rate);
            prop_assert_eq!(read_plan(&plan(&row)).unwrap(), row);
        }
    }

    #[test]
    fn rows_read_back_from_their_items() {
        let rows = Rows {
            users: vec![person()],
            keys: vec![KeyRow {
                id: KeyId::from_random([1; 12]),
                user: person().id,
                version: 2,
                hash: KeyHash::parse(&"5e".repeat(32)).unwrap(),
                last_four: "abcd".to_owned(),
                label: Some("laptop".to_owned()),
                issued_at: at(5),
                mailed_at: Some(at(6)),
                valid_until: Some(at(7)),
                replaced_by: Some(KeyId::from_random([2; 12])),
                revoked_at: Some(at(8)),
                revocation_reason: Some("requested".to_owned()),
                expires_at: Some(at(9_000_000)),
                allowed_ips: Some(vec!["192.0.2.0/24".to_owned(), "2001:db8::1".to_owned()]),
                scopes: KeyScopes { datasets: Some(vec!["permits".to_owned()]), actions: vec![DataAction::Read] },
                notice_at: Some(at(8_000_000)),
            }],
            tokens: vec![TokenRow {
                id: KeyId::from_random([3; 12]),
                version: 2,
                hash: KeyHash::parse(&"7a".repeat(32)).unwrap(),
                name: "nightly".to_owned(),
                scopes: Permission::ALL.to_vec(),
                read_only: true,
                issued_at: at(5),
                expires_at: Some(at(6)),
                revoked_at: None,
            }],
            ..Rows::default()
        };
        assert_eq!(from_items(&to_items(&rows).unwrap()).unwrap(), rows);
    }

    #[test]
    fn a_session_reads_back_and_is_found_by_its_id() {
        let row = SessionRow {
            id: KeyId::from_random([1; 12]),
            user: person().id,
            version: 2,
            hash: KeyHash::parse(&"5e".repeat(32)).unwrap(),
            started_at: at(5),
            expires_at: at(9),
            idle_at: at(8),
            seen_at: at(6),
            method: "password".to_owned(),
            network: Some("192.0.2.1".to_owned()),
            ended_at: Some(at(7)),
            end_reason: Some("signed_out".to_owned()),
        };
        let items = to_items(&Rows { sessions: vec![row.clone()], ..Rows::default() }).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(read_session(&items[0]).unwrap(), row);
        assert_eq!(pointed_at(&items[1]).unwrap(), Some(Target::Session(row.id)));
        assert_eq!(read_session_pointer(&items[1]).unwrap(), row.user);
        assert_eq!(from_items(&items[..1]).unwrap().sessions, [row]);
    }

    #[test]
    fn an_erased_person_leaves_no_attribute() {
        let erased =
            UserRow { email: None, name: None, status: UserStatus::Deleted, deleted_at: Some(at(9)), ..person() };
        let item = user(&erased);
        assert!(!item.contains_key("email") && !item.contains_key("name"));
        assert_eq!(read_user(&item).unwrap(), erased);
    }

    #[test]
    fn an_import_is_found_by_its_id() {
        let row = ImportRow {
            id: Uuid::from_u128(4),
            dataset: "permits".to_owned(),
            version: 1,
            file_name: "f.csv".to_owned(),
            definition: "d".to_owned(),
            replace: false,
            status: "running".to_owned(),
            started_at: at(1),
            ended_at: None,
            dataset_version: None,
            counts: None,
            reason: None,
        };
        let items = to_items(&Rows { imports: vec![row.clone()], ..Rows::default() }).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(read_import(&items[0]).unwrap(), row);
        assert_eq!(
            (pointed_at(&items[0]).unwrap(), pointed_at(&items[1]).unwrap()),
            (None, Some(Target::Import(row.id)))
        );
        assert_eq!(read_pointer(&items[1]).unwrap(), "permits");
    }

    #[test]
    fn a_row_that_is_too_large_is_refused_by_name() {
        let large = UserRow { mail_failure: Some("x".repeat(400 * 1024)), ..person() };
        let refused = to_items(&Rows { users: vec![large], ..Rows::default() }).unwrap_err().to_string();
        assert!(refused.contains("user#00000000-0000-0000-0000-000000000007 user"), "{refused}");
    }
}
