//! Tells the events of the log in sentences, as a person would. Ids appear only where there is no other name.

use std::collections::HashMap;

use fluent_bundle::{FluentArgs, FluentValue};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{language::Language, messages, wording};
use crate::{
    domain::{
        event::{BounceKind, Event, Recorded},
        guard::Excess,
        id::{StreamId, UserId, Who},
        key::KeyId,
        link::LinkPurpose,
        notice::Notice,
        permission::Permissions,
        persisted::{self, CodecError, StoredCommit},
        personal::PersonalKey,
        sign_in::SignInEvent,
    },
    http::{Problem, state::Service, store_problem::store_problem},
};

/// Longest name or reason in a sentence, characters.
const TEXT_CHARS_MAX: usize = 200;

/// The names of the people, keys and tokens in events.
#[derive(Debug, Default)]
struct KnownNames {
    /// The last four characters of keys.
    keys: HashMap<KeyId, String>,
    /// Names of people, or their addresses.
    people: HashMap<UserId, String>,
    /// Names of administrators' tokens.
    tokens: HashMap<KeyId, String>,
}

impl KnownNames {
    /// Finds the names for these events. Without `with_people` nobody is named.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn of<'e>(
        service: &Service,
        events: impl Iterator<Item = &'e Recorded>,
        with_people: bool,
    ) -> Result<Self, Problem> {
        let views = &service.committer.stores.views;
        let mut names = Self::default();
        let mut has_tokens = false;
        for recorded in events {
            has_tokens |= recorded.stream == StreamId::AdminTokens;
            if let Event::ApiKeyIssued { key_id, last_four, .. } = &recorded.event {
                names.keys.insert(*key_id, last_four.clone());
            }
            for key in keys_in(&recorded.event) {
                if !names.keys.contains_key(&key)
                    && let Some(row) = views.key(key).await.map_err(store_problem)?
                {
                    names.keys.insert(key, row.last_four);
                }
            }
            let people = people_in(recorded).into_iter().filter(|_| with_people);
            for person in people {
                if !names.people.contains_key(&person)
                    && let Some(row) = views.user(person).await.map_err(store_problem)?
                    && let Some(name) = row.name.or(row.email)
                {
                    names.people.insert(person, name);
                }
            }
        }
        if has_tokens {
            let rows = views.admin_tokens().await.map_err(store_problem)?;
            names.tokens = rows.into_iter().map(|row| (row.id, row.name)).collect();
        }
        Ok(names)
    }
}

/// Tells the events of the wanted types in these commits, in their order. An event from a newer permitd is told as such.
///
/// # Errors
/// When the store does not answer, or an event is damaged.
pub(super) async fn told_all(
    service: &Service,
    commits: &[StoredCommit],
    key: Option<&PersonalKey>,
    (language, with_people): (Language, bool),
    wants: impl Fn(&str) -> bool,
) -> Result<Vec<Value>, Problem> {
    let mut read: Vec<(&StoredCommit, Option<Vec<Recorded>>)> = Vec::new();
    for commit in commits {
        match persisted::decode(commit, key) {
            Ok(events) => read.push((commit, Some(events))),
            Err(CodecError::Unknown { .. }) => read.push((commit, None)),
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    let events = read.iter().filter_map(|(_, events)| events.as_deref()).flatten();
    let names = KnownNames::of(service, events, with_people).await?;
    let mut shown = Vec::new();
    for (commit, events) in &read {
        match events {
            Some(events) => {
                for recorded in events.iter().filter(|recorded| wants(recorded.event.type_name())) {
                    shown.push(told(recorded, &names, language)?);
                }
            }
            None => shown.push(not_known(commit, language)?),
        }
    }
    Ok(shown)
}

fn told(recorded: &Recorded, names: &KnownNames, language: Language) -> Result<Value, Problem> {
    let ids = [
        ("event", recorded.id.to_string()),
        ("type", recorded.event.type_name().to_owned()),
        ("stream", format!("{}, {}", recorded.stream, recorded.version)),
        ("actor", recorded.origin.who.to_string()),
        ("request", recorded.origin.correlation_id.clone()),
    ];
    let person = match &recorded.stream {
        StreamId::User(id) => Some(*id),
        StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => None,
    };
    let sentence = sentence(recorded, names, language)?;
    Ok(json!({ "sentence": sentence, "at": recorded.recorded_at, "person": person, "ids": ids }))
}

fn not_known(commit: &StoredCommit, language: Language) -> Result<Value, Problem> {
    let types = persisted::type_names(commit).map_err(Problem::internal)?.join(", ");
    let sentence = messages::say(language, "events-unknown", &FluentArgs::new());
    let sentence = sentence.ok_or_else(|| Problem::internal("there is no message events-unknown"))?;
    let ids = [("type", types), ("stream", format!("{}, {}", commit.stream, commit.version))];
    Ok(json!({ "sentence": sentence, "at": commit.recorded_at, "person": null, "ids": ids }))
}

/// The message for events of a type: `event-api-key-issued` for `ApiKeyIssued`.
pub(super) fn message_of(type_name: &str) -> String {
    let mut id = "event".to_owned();
    for c in type_name.chars() {
        if c.is_ascii_uppercase() {
            id.push('-');
        }
        id.push(c.to_ascii_lowercase());
    }
    id
}

/// Tells an event in a sentence.
///
/// # Errors
/// A fault of ours: a message that is missing.
fn sentence(recorded: &Recorded, names: &KnownNames, language: Language) -> Result<String, Problem> {
    let teller = Teller { names, language, recorded };
    let id = message_of(recorded.event.type_name());
    messages::say(language, &id, &teller.arguments()?)
        .ok_or_else(|| Problem::internal(format!("the event {id} cannot be told")))
}

fn keys_in(event: &Event) -> Vec<KeyId> {
    match event {
        Event::ApiKeyChanged { key_id, .. }
        | Event::ApiKeyExpiring { key_id, .. }
        | Event::ApiKeyMailed { key_id, .. }
        | Event::ApiKeyRevoked { key_id, .. }
        | Event::LeakNoticeMailed { key_id, .. } => vec![*key_id],
        Event::ApiKeyRotated { key_id, replaced_by, .. } => vec![*key_id, *replaced_by],
        _ => Vec::new(),
    }
}

fn people_in(recorded: &Recorded) -> Vec<UserId> {
    let mut people = Vec::new();
    if let StreamId::User(id) = recorded.stream {
        people.push(id);
    }
    if let Event::LeakNoticeMailed { to, .. } = recorded.event {
        people.push(to);
    }
    people
}

struct Teller<'t> {
    names: &'t KnownNames,
    language: Language,
    recorded: &'t Recorded,
}

type Arguments = FluentArgs<'static>;

fn set(arguments: &mut Arguments, name: &'static str, text: impl AsRef<str>) {
    let text: String = text.as_ref().chars().take(TEXT_CHARS_MAX).collect();
    arguments.set(name, FluentValue::from(text));
}

fn count(arguments: &mut Arguments, name: &'static str, number: impl TryInto<u32>) {
    arguments.set(name, FluentValue::from(f64::from(number.try_into().unwrap_or(u32::MAX))));
}

impl Teller<'_> {
    /// The values for the sentence.
    fn arguments(&self) -> Result<Arguments, Problem> {
        let mut arguments = FluentArgs::new();
        set(&mut arguments, "by", self.word(&format!("events-by-{}", self.doer()))?);
        match &self.recorded.stream {
            StreamId::User(id) => set(&mut arguments, "person", self.person(*id)?),
            StreamId::Plan(name) => set(&mut arguments, "plan", name),
            StreamId::DataSet(name) => set(&mut arguments, "dataset", name),
            StreamId::AdminTokens => {}
        }
        match &self.recorded.event {
            Event::SignIn(event) => self.of_sign_in(event, &mut arguments),
            event => self.of(event, &mut arguments)?,
        }
        Ok(arguments)
    }

    fn word(&self, id: &str) -> Result<String, Problem> {
        messages::say(self.language, id, &FluentArgs::new())
            .ok_or_else(|| Problem::internal(format!("there is no message {id}")))
    }

    /// The kind of the event's actor.
    fn doer(&self) -> &'static str {
        let Who(who) = &self.recorded.origin.who;
        let themselves = match self.recorded.stream {
            StreamId::User(id) => self.recorded.origin.who == Who::user(id),
            StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => false,
        };
        match who.split(':').next() {
            Some("system") => "server",
            _ if themselves => "themselves",
            Some("cli") => "operator",
            _ => "administrator",
        }
    }

    fn person(&self, id: UserId) -> Result<String, Problem> {
        self.names.people.get(&id).map_or_else(|| self.word("events-somebody"), |name| Ok(name.clone()))
    }

    fn key(&self, id: KeyId) -> String {
        self.names.keys.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn moment(&self, at: Timestamp) -> String {
        wording::moment(at, self.language)
    }

    fn permissions(&self, permissions: Permissions) -> Result<String, Problem> {
        let words: Vec<String> = permissions
            .list()
            .map(|permission| self.word(&format!("admin-may-{}", permission.as_str())))
            .collect::<Result<_, _>>()?;
        Ok(words.join(", "))
    }

    fn of(&self, event: &Event, arguments: &mut Arguments) -> Result<(), Problem> {
        match event {
            Event::UserInvited { role, plan, .. } => {
                set(arguments, "role", self.word(&format!("admin-role-{}", role.as_str()))?);
                set(arguments, "plan", plan);
            }
            Event::RoleChanged { role } => {
                set(arguments, "role", self.word(&format!("admin-role-{}", role.as_str()))?);
            }
            Event::PlanAssigned { plan } => set(arguments, "plan", plan),
            Event::ApiKeyIssued { last_four, invitation, .. } => {
                set(arguments, "key", last_four);
                set(arguments, "for", if invitation.is_some() { "invitation" } else { "use" });
            }
            Event::ApiKeyChanged { key_id, .. } => set(arguments, "key", self.key(*key_id)),
            Event::ApiKeyExpiring { key_id, days } => {
                set(arguments, "key", self.key(*key_id));
                count(arguments, "days", *days);
            }
            Event::ApiKeyMailed { key_id, .. } => set(arguments, "key", self.key(*key_id)),
            Event::ApiKeyRotated { key_id, replaced_by, valid_until } => {
                set(arguments, "key", self.key(*key_id));
                set(arguments, "new", self.key(*replaced_by));
                set(arguments, "until", self.moment(*valid_until));
            }
            Event::ApiKeyRevoked { key_id, reason } => {
                set(arguments, "key", self.key(*key_id));
                set(arguments, "reason", reason.as_str());
            }
            Event::LeakNoticeMailed { key_id, to, refused } => {
                set(arguments, "key", self.key(*key_id));
                set(arguments, "to", self.person(*to)?);
                set(arguments, "outcome", if refused.is_some() { "refused" } else { "mailed" });
            }
            Event::MailFailed { class, .. } | Event::MailComplained { class, .. } => set(arguments, "class", class),
            Event::QuotaReached { percent, .. } => count(arguments, "percent", *percent),
            Event::NoticeMailed { notice, .. } => set(arguments, "notice", notice_word(*notice)),
            Event::NoticeFailed { notice, class, .. } => {
                set(arguments, "notice", notice_word(*notice));
                set(arguments, "class", class);
            }
            Event::MailBounced { kind, class, .. } => {
                set(arguments, "kind", if *kind == BounceKind::Permanent { "permanent" } else { "transient" });
                set(arguments, "class", class);
            }
            Event::PlanDefined { limits, .. } => {
                arguments.set("rate", FluentValue::from(limits.rate_per_s));
                count(arguments, "burst", limits.burst);
                // A message's number cannot hold every quota exactly.
                set(arguments, "quota", wording::decimal(&limits.quota_per_day.to_string(), self.language));
            }
            Event::AdminTokenIssued { name, permissions, .. } => {
                set(arguments, "name", name);
                set(arguments, "may", self.permissions(*permissions)?);
                set(arguments, "access", if permissions.read_only { "read" } else { "write" });
            }
            Event::AdminTokenRevoked { token } => {
                let name = self.names.tokens.get(token).cloned();
                set(arguments, "name", name.unwrap_or_else(|| token.to_string()));
            }
            event => self.of_data(event, arguments),
        }
        Ok(())
    }

    fn of_data(&self, event: &Event, arguments: &mut Arguments) {
        match event {
            Event::ImportStarted { file_name, replace, .. } => {
                set(arguments, "file", file_name);
                set(arguments, "mode", if *replace { "replace" } else { "merge" });
            }
            Event::ImportCompleted { counts, .. } => {
                count(arguments, "inserted", counts.inserted);
                count(arguments, "updated", counts.updated);
                count(arguments, "removed", counts.removed);
                count(arguments, "rejected", counts.rejected);
            }
            Event::ImportFailed { reason, .. } => set(arguments, "reason", reason),
            Event::ImportHeld { why, .. } => {
                let why: Vec<String> = why.iter().map(Excess::to_string).collect();
                set(arguments, "reason", why.join("; "));
            }
            Event::ImportDiscarded { reason, .. } => {
                set(arguments, "why", if reason.is_some() { "told" } else { "none" });
                set(arguments, "reason", reason.as_deref().unwrap_or_default());
            }
            Event::DataSetRemoved { dataset_version } => count(arguments, "version", *dataset_version),
            Event::DataSetRenamed { to, .. } => set(arguments, "to", to),
            Event::DataSetTakenOver { from, records, .. } => {
                set(arguments, "from", from);
                count(arguments, "records", *records);
            }
            // These events name only the actor and the person or thing.
            _ => {}
        }
    }

    fn of_sign_in(&self, event: &SignInEvent, arguments: &mut Arguments) {
        match event {
            SignInEvent::LinkIssued { purpose, expires_at, .. } => {
                let purpose = match purpose {
                    LinkPurpose::Invitation => "invitation",
                    LinkPurpose::PasswordReset => "password",
                    LinkPurpose::ClaimKey => "key",
                };
                set(arguments, "purpose", purpose);
                set(arguments, "until", self.moment(*expires_at));
            }
            SignInEvent::SessionStarted { method, .. } => set(arguments, "method", method.as_str()),
            SignInEvent::SessionEnded { reason, .. } => set(arguments, "reason", reason.as_str()),
            SignInEvent::SecondFactorUsed { recovery, .. } => {
                set(arguments, "code", if recovery.is_some() { "recovery" } else { "usual" });
            }
            SignInEvent::LinkMailed { .. }
            | SignInEvent::LinkUsed { .. }
            | SignInEvent::LinkVoided { .. }
            | SignInEvent::PasswordSet { .. }
            | SignInEvent::PasswordRehashed { .. }
            | SignInEvent::SessionSeen { .. }
            | SignInEvent::SecondFactorBegun { .. }
            | SignInEvent::SecondFactorConfirmed { .. }
            | SignInEvent::SecondFactorRemoved => {}
        }
    }
}

fn notice_word(notice: Notice) -> &'static str {
    match notice {
        Notice::KeyMade { .. } => "made",
        Notice::KeyRevoked { .. } => "revoked",
        Notice::KeyExpiring { .. } => "expiring",
        Notice::QuotaReached { .. } => "quota",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::domain::id::CommandId;

    /// Every released event, taken from the golden files, has a sentence of its own in every language.
    #[test]
    fn every_event_has_a_sentence() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/events/golden");
        let mut told_types = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let type_name = path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
            let stream = match type_name.as_str() {
                name if name.starts_with("Import") || name.starts_with("DataSet") => "dataset#permits",
                name if ["PlanDefined", "PlanRetired"].contains(&name) => "plan#gold",
                name if name.starts_with("AdminToken") => "tokens#admin",
                _ => "user#00000000-0000-0000-0000-00000000000a",
            };
            let commit = StoredCommit {
                stream: StreamId::parse(stream).unwrap(),
                version: 1,
                position: 1,
                command: CommandId::stored("x"),
                request_hash: None,
                recorded_at: Timestamp::UNIX_EPOCH,
                events: format!("[{text}]"),
                marked: false,
                hash: None,
            };
            let [recorded] = <[Recorded; 1]>::try_from(persisted::decode(&commit, None).unwrap()).unwrap();
            for language in Language::ALL {
                let told = sentence(&recorded, &KnownNames::default(), language)
                    .unwrap_or_else(|_| panic!("{type_name} has no sentence in {}", language.tag()));
                assert!(told.ends_with(['.', '…']) && !told.contains(&type_name), "{type_name}: {told}");
            }
            told_types.insert(type_name);
        }
        let known: BTreeSet<String> = persisted::types().into_iter().map(ToOwned::to_owned).collect();
        assert_eq!(told_types, known);
    }

    #[test]
    fn every_type_of_event_has_a_name_to_choose_it_by() {
        for language in Language::ALL {
            for name in persisted::types() {
                let id = message_of(name).replacen("event-", "events-type-", 1);
                assert!(messages::say(language, &id, &FluentArgs::new()).is_some(), "{id}");
            }
        }
    }
}
