//! `permitd events seal`, `seals` and `prove`: what is done to a log in its file, and how it is found.

use std::fs;

use permitd::domain::{
    chain::{ChainHash, CommitContent},
    id::{CommandId, StreamId},
};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::{Home, number};

/// A home with two people, plans and two versions of a data set, sealed twice; its checkpoints are kept elsewhere, too.
struct Sealed {
    home: Home,
    ana: String,
}

impl Sealed {
    fn new() -> Self {
        let home = Home::new();
        home.json(&["invite", "ana@example.org", "--name", "Ana"]);
        home.json(&["invite", "ben@example.org"]);
        home.json(&["plans", "set", "small", "--quota", "10"]);
        home.sample(20, "a.csv");
        home.json(&["import", "a.csv", "--dataset", "permits"]);
        home.json(&["events", "seal", "--out", "one.txt"]);
        home.json(&["users", "disable", "ana@example.org"]);
        home.json(&["plans", "set", "small", "--quota", "20"]);
        home.sample(12, "b.csv");
        home.json(&["import", "b.csv", "--dataset", "permits", "--replace", "--yes"]);
        home.json(&["events", "seal", "--out", "two.txt"]);
        let ana = home.json(&["users", "show", "ana@example.org"])["user"]["id"].as_str().unwrap().to_owned();
        Self { home, ana: format!("user#{ana}") }
    }

    fn log(&self) -> Connection {
        Connection::open(self.home.data().join("permitd.db")).unwrap()
    }

    /// What is found, by `events prove` with these arguments.
    fn found(&self, more: &[&str]) -> Vec<String> {
        let ran = self.home.run(&[&["events", "prove", "--json"], more].concat());
        let document: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
        let found: Vec<String> = serde_json::from_value(document["found"].clone()).unwrap();
        assert_eq!(
            (ran.exit, document["proven"].as_bool()),
            if found.is_empty() { (0, Some(true)) } else { (1, Some(false)) }
        );
        found
    }

    /// Asserts that one thing is found, and that it says all of this.
    fn finds_one(&self, says: &[&str]) {
        let found = self.found(&[]);
        assert_eq!(found.len(), 1, "{says:?}: {found:#?}");
        for text in says {
            assert!(found[0].contains(text), "{text}: {found:?}");
        }
    }

    /// Gives every commit of a stream the hash that follows from its content, as somebody would who wants to hide what they did.
    fn chain_anew(&self, stream: &str) {
        let log = self.log();
        let mut statement = log
            .prepare("SELECT version, recorded_at, command, request_hash, events FROM commits WHERE stream = ?1 ORDER BY version")
            .unwrap();
        let rows = statement.query_map([stream], |row| {
            Ok((
                row.get::<_, u64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, String>(4)?,
            ))
        });
        let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        let (id, mut head) = (StreamId::parse(stream).unwrap(), ChainHash::START);
        for (version, us, command, request_hash, events) in rows {
            head = head.then(&CommitContent {
                stream: &id,
                version,
                recorded_at: jiff::Timestamp::from_microsecond(us).unwrap(),
                command: &CommandId::stored(&command),
                request_hash: request_hash.as_deref(),
                events: &events,
            });
            let sql = "UPDATE commits SET hash = ?3 WHERE stream = ?1 AND version = ?2";
            assert_eq!(log.execute(sql, params![stream, version, head.as_bytes()]).unwrap(), 1);
        }
    }
}

#[test]
fn a_log_is_sealed_and_proven_and_who_is_erased_changes_nothing() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    assert!(home.refused(3, &["events", "prove"]).contains("events seal"));
    let first = home.json(&["events", "seal"]);
    assert_eq!((first["sealed"].as_bool(), number(&first["checkpoint"], "number")), (Some(true), 1), "{first}");
    assert_eq!(home.json(&["events", "seal"])["sealed"], false, "nothing has happened since");
    let told = home.run(&["events", "seal", "--mail", "auditor@example.org"]).out;
    assert!(told.contains("mail to auditor@example.org in ") && told.contains("outbox"), "{told}");
    home.refused(2, &["events", "seal", "--mail", "nobody"]);
    let again = home.run(&["events", "seal"]);
    assert!(again.out.contains("nothing has happened since") && again.out.contains("checkpoint 1"), "{}", again.out);
    let Sealed { home, ana } = Sealed::new();
    home.json(&["users", "delete", "ana@example.org", "--yes"]);
    home.json(&["users", "delete", "ben@example.org", "--yes"]);
    home.json(&["events", "seal", "--out", "three.txt"]);
    home.refused(4, &["events", "seal", "--out", "three.txt"]);
    let sealed = Sealed { home, ana };
    let elsewhere = ["--checkpoint", "one.txt", "--checkpoint", "two.txt", "--checkpoint", "three.txt"];
    assert_eq!(sealed.found(&elsewhere), [""; 0]);
    for range in [["--from", "2"], ["--to", "1"]] {
        assert_eq!(sealed.found(&range), [""; 0]);
    }
    let home = &sealed.home;
    let told = home.run(&["events", "prove"]).out;
    assert!(told.contains("the log is what it was") && told.contains("3 checkpoints"), "{told}");
    let listed = home.json(&["events", "seals"]);
    let numbers: Vec<u64> = listed["data"].as_array().unwrap().iter().map(|one| number(one, "number")).collect();
    assert_eq!(numbers, [3, 2, 1]);
    // The key is of its own, only its owner's, and nowhere else.
    let key = fs::read_to_string(home.data().join("checkpoint-key.json")).unwrap();
    let seed = serde_json::from_str::<Value>(&key).unwrap()["ed25519"].as_str().unwrap().to_owned();
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(home.data().join("checkpoint-key.json")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    for text in [told, listed.to_string(), fs::read_to_string(home.path("one.txt")).unwrap()] {
        assert!(!text.contains(&seed) && !text.contains("ana@example.org"));
    }
    // It goes on in another deployment: its log, its checkpoints, its key.
    fs::write(home.path("phrase"), "correct horse battery\n").unwrap();
    let with = ["--with-personal-keys", "--with-secret", "--passphrase-file", "phrase"];
    home.json(&[&["events", "export", "log.age"][..], &with].concat());
    home.json(&["events", "import", "log.age", "--data", "new", "--passphrase-file", "phrase"]);
    home.json(&["invite", "eve@example.org", "--data", "new"]);
    let next = home.json(&["events", "seal", "--data", "new"]);
    assert_eq!(number(&next["checkpoint"], "number"), 4);
    let on = [&["--data", "new"][..], &elsewhere].concat();
    assert_eq!(sealed.found(&on), [""; 0], "signed by the same key");
}

#[test]
fn whatever_is_done_to_the_log_is_found_and_named() {
    // A byte.
    let sealed = Sealed::new();
    let touch = |sealed: &Sealed, stream: &str, version: u64| {
        let sql = "UPDATE commits SET events = replace(events, '\"schema_version\"', ' \"schema_version\"') WHERE stream = ?1 AND version = ?2";
        assert_eq!(sealed.log().execute(sql, params![stream, version]).unwrap(), 1);
    };
    touch(&sealed, "plan#small", 1);
    sealed.finds_one(&["plan#small", "1"]);
    // The same, with all hashes after it made anew: the chain says nothing, the checkpoint does.
    sealed.chain_anew("plan#small");
    sealed.finds_one(&["plan#small", "commit 1", "checkpoint 1"]);
    // What came after the first checkpoint.
    let sealed = Sealed::new();
    touch(&sealed, "plan#small", 2);
    sealed.chain_anew("plan#small");
    sealed.finds_one(&["plan#small", "commit 2", "checkpoint 2", "up to its commit 1 it is what checkpoint 1 says"]);
    // A log that its checkpoints refute is not sealed again, whatever is new in it.
    sealed.home.json(&["plans", "set", "other", "--quota", "5"]);
    let told = sealed.home.refused(7, &["events", "seal"]);
    assert!(told.contains("was not sealed") && told.contains("plan#small"), "{told}");
    // A value that cannot be is damage, and not a store that is away.
    sealed.log().execute("UPDATE commits SET version = -1 WHERE stream = 'plan#small' AND version = 1", []).unwrap();
    assert!(sealed.home.refused(7, &["events", "prove"]).contains("not one that permitd writes"));

    // A commit that is missing; two that are swapped; a moved time.
    let sealed = Sealed::new();
    let version_2 = (sealed.ana.clone(), 2_u64);
    assert_eq!(
        sealed
            .log()
            .execute("DELETE FROM commits WHERE stream = ?1 AND version = ?2", params![version_2.0, version_2.1])
            .unwrap(),
        1
    );
    sealed.finds_one(&[&sealed.ana, "2"]);
    let sealed = Sealed::new();
    for (from, to) in [(1, 99), (2, 1), (99, 2)] {
        let sql = "UPDATE commits SET version = ?3 WHERE stream = ?1 AND version = ?2";
        assert_eq!(sealed.log().execute(sql, params![sealed.ana, from, to]).unwrap(), 1);
    }
    sealed.chain_anew(&sealed.ana);
    sealed.finds_one(&[&sealed.ana, "checkpoint 1"]);
    let sealed = Sealed::new();
    sealed
        .log()
        .execute("UPDATE commits SET recorded_at = recorded_at - 1 WHERE stream = 'plan#small' AND version = 1", [])
        .unwrap();
    sealed.finds_one(&["plan#small"]);

    // The end of a stream; a whole stream; one that was put in, and a commit that was put in.
    let sealed = Sealed::new();
    sealed.log().execute("DELETE FROM commits WHERE stream = 'plan#small' AND version = 2", []).unwrap();
    sealed.finds_one(&["plan#small ends with its commit 1", "checkpoint 2", "it had 2"]);
    let sealed = Sealed::new();
    sealed.log().execute("DELETE FROM commits WHERE stream = 'plan#small'", []).unwrap();
    sealed.finds_one(&["plan#small is gone", "checkpoint 1"]);
    let sealed = Sealed::new();
    let put_in = |stream: &str, version: u64| {
        let log = sealed.log();
        // A place in the log that nobody has.
        log.execute("UPDATE commits SET position = -1 WHERE position = 1", []).unwrap();
        let sql = "INSERT INTO commits (stream, version, position, command, recorded_at, events)
                   SELECT ?1, ?2, 1, 'once:' || hex(randomblob(8)), recorded_at, events FROM commits WHERE stream = 'plan#small' AND version = 1";
        log.execute(sql, params![stream, version]).unwrap();
        log.execute("UPDATE commits SET position = 0 WHERE position = -1", []).unwrap();
    };
    put_in("plan#forged", 1);
    sealed.chain_anew("plan#forged");
    sealed.finds_one(&["plan#forged", "put in"]);
}

#[test]
fn whatever_is_done_to_the_checkpoints_is_found_and_named() {
    let change = |sql: &str| {
        let sealed = Sealed::new();
        assert!(sealed.log().execute(sql, []).unwrap() > 0, "{sql}");
        sealed
    };
    let sealed = change("UPDATE checkpoints SET text = replace(text, 'leaves', 'leaves ') WHERE number = 1");
    assert!(
        sealed.found(&[]).iter().any(|found| found.contains("checkpoint 1 was changed")),
        "{:?}",
        sealed.found(&[])
    );
    let sealed = change(
        "UPDATE checkpoints SET signature = (SELECT signature FROM checkpoints WHERE number = 2) WHERE number = 1",
    );
    sealed.finds_one(&["checkpoint 1 was changed", "signature"]);
    let sealed =
        change("UPDATE checkpoints SET leaves = (SELECT leaves FROM checkpoints WHERE number = 1) WHERE number = 2");
    assert!(
        sealed.found(&[]).iter().any(|found| found.contains("what is kept of checkpoint 2")),
        "{:?}",
        sealed.found(&[])
    );
    let sealed = change("DELETE FROM checkpoints WHERE number = 1");
    let found = sealed.found(&[]);
    assert!(found.iter().any(|found| found == "checkpoint 1 is gone"), "{found:?}");
    assert!(found.iter().any(|found| found.starts_with("without checkpoint 1 it cannot be told")), "{found:?}");
    assert!(!found.iter().any(|found| found.contains("put in later")), "nobody is accused: {found:?}");
    for (exit, range) in [(3, ["--from", "9"]), (3, ["--to", "9"]), (2, ["--to", "0"])] {
        sealed.home.refused(exit, &[&["events", "prove"][..], &range].concat());
    }
    sealed.home.refused(2, &["events", "prove", "--from", "2", "--to", "1"]);
    // A number that nobody gives is no reason to count up to it.
    let sealed = change("UPDATE checkpoints SET number = 2000000000 WHERE number = 2");
    assert!(sealed.found(&[]).iter().any(|found| found.contains("says that it is checkpoint 2")));
    // The key of checkpoints is none of API keys.
    fs::write(sealed.home.data().join("checkpoint-key.json"), "{").unwrap();
    let told = sealed.home.refused(7, &["events", "prove"]);
    assert!(told.contains("is not the key of checkpoints") && !told.contains("secret replace"), "{told}");
    // The last one is missed only by who kept it.
    let sealed = change("DELETE FROM checkpoints WHERE number = 2");
    assert_eq!(sealed.found(&[]), [""; 0]);
    assert_eq!(sealed.found(&["--checkpoint", "two.txt"]), ["checkpoint 2 is gone"]);

    // All checkpoints anew, by another key: the deployment's own key tells, or whoever kept one.
    let sealed = Sealed::new();
    sealed.log().execute("DELETE FROM checkpoints", []).unwrap();
    let own = sealed.home.data().join("checkpoint-key.json");
    fs::rename(&own, sealed.home.path("own.json")).unwrap();
    sealed.home.json(&["events", "seal"]);
    assert_eq!(sealed.found(&[]), [""; 0], "with the machine goes the key");
    let found = sealed.found(&["--checkpoint", "one.txt"]);
    assert!(found[0].contains("not the one that was kept elsewhere"), "{found:?}");
    fs::rename(sealed.home.path("own.json"), &own).unwrap();
    sealed.finds_one(&["checkpoint 1 is signed by another key"]);

    // What is no checkpoint.
    for (name, text) in [("none.txt", "hello\n".to_owned()), ("long.txt", "a".repeat(10_000))] {
        fs::write(sealed.home.path(name), text).unwrap();
        sealed.home.refused(6, &["events", "prove", "--checkpoint", name]);
    }
    sealed.home.refused(3, &["events", "prove", "--checkpoint", "nowhere.txt"]);
    let forged = fs::read_to_string(sealed.home.path("one.txt")).unwrap().replace("position ", "position 1");
    fs::write(sealed.home.path("forged.txt"), forged).unwrap();
    let found = sealed.found(&["--checkpoint", "forged.txt"]);
    assert!(found.iter().any(|found| found.contains("kept elsewhere") && found.contains("signature")), "{found:?}");
}
