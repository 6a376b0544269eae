//! The event log.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use permitd::{
    domain::{
        chain::ChainHash,
        event::{Event, Role},
        id::{CommandId, UserId},
        persisted::{self, StoredCommit},
        personal::Personal,
        plan::{KeyRules, Limits},
    },
    store::{AdministratorsChange, AnswerPlace, Append, AppendError, ClaimChange, KeptAnswer, NewAnswer, Stores},
};
use uuid::Uuid;

use crate::backend::{Backend, Stream, beginning, invited, issued, key, take};

fn role(number: u64) -> Event {
    Event::RoleChanged { role: if number.is_multiple_of(2) { Role::Admin } else { Role::Reader } }
}

pub(crate) async fn versions_rise_by_one_and_a_stream_is_read_in_order<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    assert_eq!(ana.write(&stores, vec![invited("ana@example.org")], beginning()).await, 1);
    let both = vec![Event::UserDisabled, Event::UserEnabled];
    assert_eq!(ana.write(&stores, both.clone(), beginning()).await, 2);
    assert_eq!(ana.write(&stores, vec![role(0)], beginning()).await, 3);
    Stream::user(2).write(&stores, vec![invited("ben@example.org")], beginning()).await;
    let commits = stores.log.load(&ana.id, 0, 10).await.unwrap();
    assert_eq!(commits.iter().map(|commit| commit.version).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(commits.iter().all(|commit| commit.stream == ana.id && commit.recorded_at == beginning()));
    let read = persisted::decode(&commits[1], ana.key.as_ref()).unwrap();
    assert_eq!(read.iter().map(|recorded| recorded.event.clone()).collect::<Vec<_>>(), both, "one commit, both events");
    assert_eq!(stores.log.load(&ana.id, 1, 1).await.unwrap(), commits[1..2]);
    assert!(stores.log.load(&ana.id, 3, 10).await.unwrap().is_empty());
}

/// Asserts that each commit has a hash, which follows from its content and the commit before it.
fn assert_chained(commits: &[StoredCommit]) {
    let mut head = ChainHash::START;
    for commit in commits {
        head = head.then(&commit.link());
        assert_eq!(commit.hash, Some(head), "version {} of {}", commit.version, commit.stream);
    }
    assert_eq!(persisted::head(commits), head);
}

pub(crate) async fn the_commits_of_a_stream_are_chained_by_hash<B: Backend>() {
    let backend = B::new();
    let (stores, others) = (backend.stores(), backend.stores_of_another_process());
    let (mut ana, mut free) = (Stream::user(1), Stream::plan("free"));
    let (append, state) = ana.commit(vec![invited("ana@example.org")], beginning());
    let asked = Append { request_hash: Some("mark".to_owned()), ..append };
    (ana.version, ana.state, ana.head) = (stores.log.append(asked.clone()).await.unwrap(), state, asked.hash());
    free.write(&stores, vec![role(0)], beginning()).await;
    for number in 1..=3 {
        ana.write(&others, vec![role(number), role(number + 1)], beginning()).await;
    }
    let commits = stores.log.load(&ana.id, 0, 10).await.unwrap();
    assert_eq!(commits.len(), 4);
    assert_chained(&commits);
    assert_eq!(commits.last().and_then(|last| last.hash), Some(ana.head));
    let read = stores.log.read(0, 10).await.unwrap();
    let back = stores.log.read_back(None, 10).await.unwrap();
    for found in [read, back] {
        let mut of_ana: Vec<_> = found.into_iter().filter(|commit| commit.stream == ana.id).collect();
        of_ana.sort_by_key(|commit| commit.version);
        assert_chained(&of_ana);
        assert_eq!(of_ana.len(), 4, "however they are read");
    }
}

/// Writers that compete for one stream, and the commits of each.
const WRITERS: u64 = 20;
const COMMITS_PER_WRITER: u64 = 20;

pub(crate) async fn twenty_writers_of_one_stream_lose_nothing<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    let writers = (0..WRITERS).map(|writer| {
        let stores = if writer % 2 == 0 { backend.stores() } else { backend.stores_of_another_process() };
        async move {
            let mut written = Vec::new();
            let mut conflicts = 0u64;
            let mut stream = Stream::user(1);
            while u64::try_from(written.len()).unwrap() < COMMITS_PER_WRITER {
                match stream.try_write(&stores, vec![role(writer)]).await {
                    Ok(version) => written.push(version),
                    Err(AppendError::Conflict) => {
                        conflicts += 1;
                        let commits = stores.log.load(&stream.id, stream.version, 1000).await.unwrap();
                        for commit in &commits {
                            let key = Stream::user(1).key;
                            let events = persisted::decode(commit, key.as_ref()).unwrap();
                            events.iter().for_each(|event| stream.state.apply(event));
                            stream.version = commit.version;
                            stream.head = commit.hash_after(stream.head);
                        }
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            (written, conflicts)
        }
    });
    let done = join_all(writers).await;
    let mut versions: Vec<u64> = done.iter().flat_map(|(written, _)| written.clone()).collect();
    versions.sort_unstable();
    let last = 1 + WRITERS * COMMITS_PER_WRITER;
    assert_eq!(versions, (2..=last).collect::<Vec<_>>(), "each has a version of its own");
    assert!(done.iter().map(|(_, conflicts)| conflicts).sum::<u64>() > 0, "they did compete");
    assert_chained(&stores.log.load(&ana.id, 0, 1000).await.unwrap());
    let row = stores.views.user(ana.user_id()).await.unwrap().expect("the row");
    assert_eq!(row.version, last);
}

/// Appends once more. Where the stream's current version is expected, looks through what is loaded first, as everybody does
/// who appends: that nobody wrote since they looked is all that the append can tell them then.
async fn ask_again(stores: &Stores, append: Append, current: u64) -> Result<u64, AppendError> {
    if append.expected_version == current {
        let loaded = stores.log.load(&append.stream, 0, 1000).await?;
        assert_eq!(loaded.last().map(|commit| commit.version), Some(current));
        if let Some(earlier) = loaded.into_iter().find(|commit| commit.command == append.command) {
            return Err(AppendError::AlreadyDone(Box::new(earlier)));
        }
    }
    stores.log.append(append).await
}

pub(crate) async fn a_command_commits_once<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    let (mut append, state) = ana.commit(vec![role(0)], beginning());
    append.command = CommandId::stored("idem:1");
    append.request_hash = Some("hash".to_owned());
    assert_eq!(stores.log.append(append.clone()).await.unwrap(), 2);
    (ana.version, ana.state, ana.head) = (2, state, append.hash());
    for number in 0..50 {
        ana.write(&stores, vec![role(number)], beginning()).await;
    }
    // Whatever version the retry expects, it gets the first answer.
    for expected_version in [1, ana.version, 7] {
        let again = ask_again(&stores, Append { expected_version, ..append.clone() }, ana.version).await;
        let Err(AppendError::AlreadyDone(earlier)) = again else { panic!("{again:?}") };
        assert_eq!((earlier.version, earlier.request_hash.as_deref()), (2, Some("hash")));
        assert_eq!(earlier.events, append.events);
    }
    assert_eq!(stores.log.load(&ana.id, 0, 1000).await.unwrap().len(), 52);
    let (mut late, _) = ana.commit(vec![role(0)], beginning());
    late.command = CommandId::stored("idem:2");
    assert_eq!(stores.log.append(late.clone()).await.unwrap(), 53);
    for expected_version in [52, 53, 1] {
        let again = ask_again(&stores, Append { expected_version, ..late.clone() }, 53).await;
        assert!(matches!(&again, Err(AppendError::AlreadyDone(earlier)) if earlier.version == 53), "{again:?}");
    }
    // The command is the stream's own: another stream may have one of the same name.
    let ben = Stream::user(2);
    let (mut append, _) = ben.commit(vec![invited("ben@example.org")], beginning());
    append.command = CommandId::stored("idem:1");
    assert_eq!(stores.log.append(append).await.unwrap(), 1);
}

pub(crate) async fn a_name_has_one_owner<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let claimants = (1..=20u128).map(|number| {
        let stores = if number % 2 == 0 { backend.stores() } else { backend.stores_of_another_process() };
        async move {
            let stream = Stream::user(number);
            let (mut append, _) = stream.commit(vec![invited("ana@example.org")], beginning());
            append.claims = vec![take("email#ana", &stream.user_id().to_string())];
            (number, stores.log.append(append).await)
        }
    });
    let done = join_all(claimants).await;
    let winners: Vec<u128> = done.iter().filter(|(_, done)| done.is_ok()).map(|(number, _)| *number).collect();
    assert_eq!(winners.len(), 1);
    let owner = Stream::user(winners[0]).user_id().to_string();
    for (_, refused) in done.iter().filter(|(_, done)| done.is_err()) {
        assert!(matches!(refused, Err(AppendError::ClaimTaken { owner: taken }) if *taken == owner), "{refused:?}");
    }
    // Whoever does not have it cannot let it go; whoever has it can, and then another may take it.
    let stranger = Stream::user(50);
    let (mut append, _) = stranger.commit(vec![invited("x@example.org")], beginning());
    append.claims = vec![ClaimChange::Release { name: "email#ana".to_owned(), owner: "nobody".to_owned() }];
    stores.log.append(append).await.unwrap();
    let (mut append, _) = Stream::user(51).commit(vec![invited("ana@example.org")], beginning());
    append.claims = vec![take("email#ana", "51")];
    assert!(matches!(stores.log.append(append.clone()).await, Err(AppendError::ClaimTaken { .. })));
    let (mut release, _) = Stream::user(52).commit(vec![invited("y@example.org")], beginning());
    release.claims = vec![ClaimChange::Release { name: "email#ana".to_owned(), owner }];
    stores.log.append(release).await.unwrap();
    stores.log.append(append).await.unwrap();
}

pub(crate) async fn a_refused_commit_leaves_nothing<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let (mut first, _) = Stream::user(1).commit(vec![invited("ana@example.org")], beginning());
    first.claims = vec![take("email#ana", "1")];
    stores.log.append(first).await.unwrap();
    let ben = Stream::user(2);
    let (mut append, _) = ben.commit(vec![invited("ana@example.org")], beginning());
    append.claims = vec![take("email#ben", "2"), take("email#ana", "2")];
    append.publishes = true;
    assert!(matches!(stores.log.append(append).await, Err(AppendError::ClaimTaken { .. })));
    assert!(stores.log.load(&ben.id, 0, 10).await.unwrap().is_empty());
    assert_eq!(stores.views.user(ben.user_id()).await.unwrap(), None);
    assert_eq!(stores.log.personal_key(ben.user_id()).await.unwrap(), None);
    assert!(stores.log.unpublished(None, 10).await.unwrap().is_empty());
    let (mut append, _) = Stream::user(3).commit(vec![invited("c@example.org")], beginning());
    append.claims = vec![take("email#ben", "3")];
    stores.log.append(append).await.expect("the name that it asked for first is free");
}

pub(crate) async fn personal_keys_are_kept_outside_and_destroyed<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    let key = stores.log.personal_key(ana.user_id()).await.unwrap();
    assert_eq!(key, ana.key);
    let commits = stores.log.load(&ana.id, 0, 10).await.unwrap();
    assert!(!commits[0].events.contains("ana@"), "the log holds no plain address");
    ana.write(&stores, vec![Event::UserDeleted], beginning()).await;
    assert_eq!(stores.log.personal_key(ana.user_id()).await.unwrap(), None);
    assert_eq!(stores.log.load(&ana.id, 0, 10).await.unwrap()[0], commits[0], "the log stays whole");
}

pub(crate) async fn long_logs_are_read_in_pages_both_ways<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut streams: Vec<Stream> = (1..=7).map(Stream::user).collect();
    for stream in &mut streams {
        stream.write(&stores, vec![invited("x@example.org")], beginning()).await;
    }
    for number in 0..93u64 {
        let at = usize::try_from(number % 7).unwrap();
        streams[at].write(&stores, vec![role(number)], beginning()).await;
    }
    let (mut forwards, mut after) = (Vec::new(), 0);
    loop {
        let page = stores.log.read(after, 9).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 9);
        after = last.position;
        forwards.extend(page);
    }
    assert_eq!(forwards.len(), 100);
    assert!(forwards.is_sorted_by(|left, right| left.position < right.position));
    let (mut backwards, mut before) = (Vec::new(), None);
    loop {
        let page = stores.log.read_back(before, 9).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.position);
        backwards.extend(page);
    }
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let mut stream = Vec::new();
    while let page = stores.log.load(&streams[0].id, u64::try_from(stream.len()).unwrap(), 4).await.unwrap()
        && !page.is_empty()
    {
        stream.extend(page);
    }
    assert_eq!(stream, forwards.iter().filter(|commit| commit.stream == streams[0].id).cloned().collect::<Vec<_>>());
}

pub(crate) async fn a_mark_stays_until_it_is_cleared<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let later = |seconds| beginning().checked_add(SignedDuration::from_secs(seconds)).unwrap();
    let mut streams: Vec<Stream> = (1..=5).map(Stream::user).collect();
    for (stream, at) in streams.iter_mut().zip([40, 10, 30, 20, 50]) {
        let (mut append, _) = stream.commit(vec![invited("x@example.org")], later(at));
        append.publishes = true;
        stores.log.append(append).await.unwrap();
    }
    Stream::plan("p")
        .write(&stores, vec![Event::PlanDefined { limits: Limits::default(), rules: KeyRules::default() }], beginning())
        .await;
    let marked = async |after: Option<&StoredCommit>| {
        let commits = stores.log.unpublished(after, 10).await.unwrap();
        commits.into_iter().map(|commit| commit.recorded_at).collect::<Vec<_>>()
    };
    assert_eq!(marked(None).await, [10, 20, 30, 40, 50].map(later), "oldest first, whatever their order");
    let first = stores.log.unpublished(None, 2).await.unwrap();
    assert_eq!(first.len(), 2);
    assert_eq!(marked(first.last()).await, [30, 40, 50].map(later), "and goes on behind one");
    stores.log.mark_published(&streams[1].id, 1).await.unwrap();
    stores.log.mark_published(&streams[1].id, 1).await.expect("clearing twice does no harm");
    stores.log.mark_published(&streams[0].id, 2).await.expect("nor does a commit that is not there");
    assert_eq!(marked(None).await, [20, 30, 40, 50].map(later));
}

pub(crate) async fn a_stream_may_be_larger_than_1_mb<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut ana = Stream::user(1);
    ana.write(&stores, vec![invited("ana@example.org")], beginning()).await;
    let failed = Event::MailFailed {
        invitation: Uuid::from_u128(5),
        class: "550".to_owned(),
        reason: Personal::Known("ö".repeat(90_000)),
    };
    for _ in 0..8 {
        ana.write(&stores, vec![failed.clone()], beginning()).await;
    }
    let commits = stores.log.load(&ana.id, 0, 100).await.unwrap();
    assert_eq!(commits.len(), 9);
    assert!(commits.iter().map(|commit| commit.events.len()).sum::<usize>() > 1 << 20);
    assert_eq!(persisted::decode(&commits[8], ana.key.as_ref()).unwrap()[0].event, failed);
}

pub(crate) async fn a_key_id_is_issued_once<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    let mut people: Vec<Stream> = (1..=12).map(Stream::user).collect();
    for person in &mut people {
        person.write(&stores, vec![invited("x@example.org")], beginning()).await;
    }
    let claimants = people.iter().enumerate().map(|(number, person)| {
        let stores = if number % 2 == 0 { backend.stores() } else { backend.stores_of_another_process() };
        async move {
            let (append, _) = person.commit(vec![issued(&key(1))], beginning());
            stores.log.append(append).await
        }
    });
    let done = join_all(claimants).await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "of all at once one is issued it: {done:?}");
    for refused in done.iter().filter(|done| done.is_err()) {
        assert!(matches!(refused, Err(AppendError::KeyIssued { key: taken }) if *taken == key(1).id()), "{refused:?}");
    }
    let mut owner = people.swap_remove(done.iter().position(Result::is_ok).unwrap());
    assert_eq!(stores.views.key(key(1).id()).await.unwrap().map(|row| row.user), Some(owner.user_id()));
    // Nor is it issued once more to the same person, nor when they are gone; and nothing of a refused commit is written.
    let (events, at) = (vec![issued(&key(1))], beginning());
    (owner.state, owner.version) = (owner.commit(events.clone(), at).1, 2);
    let (again, _) = owner.commit(events.clone(), at);
    assert!(matches!(stores.log.append(again).await, Err(AppendError::KeyIssued { .. })));
    owner.write(&stores, vec![Event::UserDeleted], at).await;
    for person in &mut people {
        let (append, _) = person.commit([events.clone(), vec![role(1)]].concat(), at);
        assert!(matches!(stores.log.append(append).await, Err(AppendError::KeyIssued { .. })));
        assert_eq!(stores.log.load(&person.id, 1, 10).await.unwrap(), []);
        person.write(&stores, vec![role(1)], at).await;
    }
    assert_eq!(crate::replay::differences(&stores), Vec::<String>::new());
}

fn answer(command: &str, hash: &str, answer: &str) -> NewAnswer {
    NewAnswer {
        command: CommandId::stored(command),
        request_hash: hash.to_owned(),
        answer: answer.to_owned(),
        instead_of: None,
        now: beginning(),
        expires_at: later(86_400),
    }
}

fn later(seconds: i64) -> Timestamp {
    beginning().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

pub(crate) async fn a_client_s_command_has_one_answer<B: Backend>() {
    let backend = B::new();
    let (stores, others) = (backend.stores(), backend.stores_of_another_process());
    let find = async |command: &str, hash: &str, now| {
        others.answers.find(&CommandId::stored(command), hash, now).await.unwrap()
    };
    let kept = |hash: &str, text: &str| {
        Some(KeptAnswer { request_hash: hash.to_owned(), kept: AnswerPlace::Text(text.to_owned()) })
    };
    assert_eq!(find("idem:1", "a", beginning()).await, None);

    // Kept without a commit: others find it, nobody else keeps another, and no stream commits the command.
    assert!(stores.answers.keep(answer("idem:1", "a", "first")).await.unwrap());
    assert!(!others.answers.keep(answer("idem:1", "a", "second")).await.unwrap());
    assert_eq!(find("idem:1", "a", beginning()).await, kept("a", "first"));
    assert_eq!(find("idem:1", "b", beginning()).await, kept("a", "first"), "whoever asks for something else learns so");
    let ana = Stream::user(1);
    let (mut append, _) = ana.commit(vec![invited("ana@example.org")], beginning());
    append.command = CommandId::stored("idem:1");
    append.request_hash = Some("a".to_owned());
    let refused = stores.log.append(append.clone()).await;
    assert!(matches!(refused, Err(AppendError::Answered)), "{refused:?}");
    assert!(stores.log.load(&ana.id, 0, 10).await.unwrap().is_empty());

    // One that says that the command is under way gives way to its end, once.
    let end = NewAnswer { instead_of: Some("first".to_owned()), ..answer("idem:1", "a", "end") };
    assert!(stores.answers.keep(end.clone()).await.unwrap());
    assert!(!stores.answers.keep(NewAnswer { answer: "another".to_owned(), ..end }).await.unwrap());

    // Once it has expired it is as if it had never been.
    assert_eq!(find("idem:1", "a", later(86_399)).await, kept("a", "end"));
    assert_eq!(find("idem:1", "a", later(86_400)).await, None);
    append.recorded_at = later(86_400);
    assert_eq!(stores.log.append(append.clone()).await.unwrap(), 1);
    let committed = Some(KeptAnswer { request_hash: "a".to_owned(), kept: AnswerPlace::Commit(ana.id.clone()) });
    assert_eq!(find("idem:1", "a", later(86_400)).await, committed);
    let expired = NewAnswer { now: later(40 * 86_400), ..answer("idem:1", "a", "late") };
    assert!(!stores.answers.keep(expired).await.unwrap(), "a commit never expires");

    // A command that committed in one stream commits in no other.
    let (mut other, _) = Stream::user(2).commit(vec![invited("ben@example.org")], later(86_400));
    (other.command, other.request_hash) = (append.command, Some("b".to_owned()));
    assert!(matches!(stores.log.append(other).await, Err(AppendError::Answered)));
    assert!(stores.log.load(&Stream::user(2).id, 0, 10).await.unwrap().is_empty());
    stores.answers.sweep(later(40 * 86_400)).await.unwrap();
    assert_eq!(find("idem:1", "b", later(40 * 86_400)).await, committed);
}

pub(crate) async fn the_set_of_administrators_is_replaced_if_it_is_what_was_seen<B: Backend>() {
    let backend = B::new();
    let (stores, other) = (backend.stores(), backend.stores_of_another_process());
    assert_eq!(stores.log.administrators().await.unwrap(), None);
    let users: Vec<UserId> = (1..=3).map(|number| Stream::user(number).user_id()).collect();
    let change = |seen: Option<&[UserId]>, now: &[UserId]| {
        Some(AdministratorsChange { seen: seen.map(<[UserId]>::to_vec), now: now.to_vec() })
    };
    let mut ana = Stream::user(1);
    let append = async |stream: &mut Stream, change| {
        let event =
            if stream.version == 0 { invited("ana@example.org") } else { Event::RoleChanged { role: Role::Admin } };
        let (append, state) = stream.commit(vec![event], beginning());
        let appended = stores.log.append(Append { administrators: change, ..append }).await;
        if appended.is_ok() {
            (stream.state, stream.version) = (state, stream.version + 1);
        }
        appended
    };
    append(&mut ana, change(None, &users[..2])).await.unwrap();
    assert_eq!(other.log.administrators().await.unwrap().as_deref(), Some(&users[..2]));
    for stale in [None, Some(&users[..1]), Some(&users[..])] {
        let refused = append(&mut ana, change(stale, &users[..1])).await;
        assert!(matches!(refused, Err(AppendError::Conflict)), "{refused:?}");
    }
    assert_eq!(stores.log.load(&ana.id, 0, 9).await.unwrap().len(), 1, "a refused commit leaves nothing");
    append(&mut ana, change(Some(&users[..2]), &users[1..2])).await.unwrap();
    assert_eq!(other.log.administrators().await.unwrap().as_deref(), Some(&users[1..2]));
    append(&mut ana, None).await.unwrap();
    assert_eq!(other.log.administrators().await.unwrap().as_deref(), Some(&users[1..2]), "others leave it alone");
}
