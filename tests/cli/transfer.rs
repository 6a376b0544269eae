//! `permitd events export` and `import`: a log in a file, through the real program.

use std::{fs, path::Path, process::Stdio};

use reqwest::StatusCode;

use super::{Home, key_in, number, server::Server};

/// The lines of a file that is not encrypted.
fn lines(path: &Path) -> Vec<String> {
    let bytes = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    String::from_utf8(bytes).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn write_lines(path: &Path, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
}

fn has(folder: &Path, needle: &[u8]) -> bool {
    let bytes = fs::read(folder).unwrap();
    bytes.windows(needle.len()).any(|window| window == needle)
}

const PHRASE: &str = "correct horse battery";

/// A home with two people, of whom one is erased.
fn populated() -> Home {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "--name", "Ana"]);
    home.json(&["invite", "ben@example.org"]);
    home.json(&["users", "delete", "ben@example.org", "--yes"]);
    fs::write(home.path("phrase"), format!("{PHRASE}\n")).unwrap();
    home
}

#[tokio::test]
async fn a_deployment_is_made_again_from_a_file_and_its_keys_work() {
    let home = populated();
    let key = key_in(&home.mails()[0]);
    let with = ["--with-personal-keys", "--with-secret", "--passphrase-file", "phrase"];
    let exported = home.json(&[&["events", "export", "log.age"][..], &with].concat());
    assert_eq!((exported["encrypted"].as_bool(), exported["file"].as_str()), (Some(true), Some("log.age")));
    for secret in [&b"ana@example.org"[..], b"personal_key", b"\"current\""] {
        assert!(!has(&home.path("log.age"), secret));
    }
    home.refused(4, &[&["events", "export", "log.age"][..], &with].concat());
    assert!(home.refused(6, &["events", "import", "log.age", "--data", "new"]).contains("--identity"));
    fs::write(home.path("other"), "another passphrase\n").unwrap();
    let told = home.refused(6, &["events", "import", "log.age", "--data", "new", "--passphrase-file", "other"]);
    assert!(told.contains("log.age cannot be decrypted") && told.contains("passphrase"), "{told}");
    let sealed = fs::read(home.path("log.age")).unwrap();
    for (name, bytes) in [("cut.age", &sealed[..sealed.len() - 9]), ("head.age", &sealed[..40])] {
        fs::write(home.path(name), bytes).unwrap();
        home.refused(6, &["events", "import", name, "--data", "new", "--passphrase-file", "phrase"]);
    }
    assert!(!home.path("new").join("permitd.db").exists(), "nothing was begun");
    let arguments = ["events", "import", "log.age", "--data", "new", "--passphrase-file", "phrase"];
    let imported = home.json(&arguments);
    assert_eq!(number(&imported, "commits"), number(&exported, "commits"));
    assert!(home.refused(4, &arguments).contains("a log of its own"));
    let on = |arguments: &[&str]| home.json(&[arguments, &["--data", "new"]].concat());
    assert_eq!(on(&["users", "show", "ana@example.org"])["user"]["name"], "Ana");
    assert_eq!(on(&["events", "list"]), home.json(&["events", "list"]));
    assert_eq!(number(&on(&["events", "verify"]), "differences"), 0);
    let mut server = Server::with(&home, "serve", Stdio::inherit(), &[("PERMITD_DATA", "new")]);
    assert_eq!(server.status("/datasets", &key).await, StatusCode::OK, "the key that was mailed before works");
    server.stop();
    // The log is the same line by line, from either.
    for (name, data) in [("one.zst", "data"), ("two.zst", "new")] {
        home.json(&["events", "export", name, "--data", data]);
    }
    let commits = |name: &str| {
        let found = lines(&home.path(name)).into_iter().filter(|line| line.starts_with("{\"commit\""));
        found.collect::<Vec<_>>()
    };
    assert_eq!(commits("one.zst").len() as u64, number(&exported, "commits"));
    assert!(commits("two.zst").starts_with(&commits("one.zst")), "and goes on");
}

#[test]
fn a_file_without_keys_holds_no_personal_data_and_reads_as_erased() {
    let home = populated();
    let told = home.run(&["events", "export", "log.zst"]);
    assert!(told.exit == 0 && told.out.contains("people's data stays sealed"), "{}{}", told.out, told.err);
    let text = lines(&home.path("log.zst")).join("\n");
    for personal in ["ana@example.org", "Ana", "personal_key\"", "\"secret\""] {
        assert!(!text.contains(personal), "{personal}");
    }
    assert!(home.refused(2, &["events", "export", "x.zst", "--with-secret"]).contains("--recipient"));
    let ran = home.run(&["events", "import", "log.zst", "--data", "new"]);
    assert!(ran.exit == 0 && ran.out.contains("no keys of people's data") && ran.out.contains("no server secret"));
    let people = home.json(&["users", "list", "--data", "new"]);
    assert!(people["users"].as_array().unwrap().iter().all(|user| user["email"].is_null()), "{people}");
    assert!(home.refused(7, &["invite", "eve@example.org", "--data", "new"]).contains("secret"));
    // With the old secret in place it goes on.
    fs::copy(home.data().join("secret.json"), home.path("new").join("secret.json")).unwrap();
    home.json(&["invite", "eve@example.org", "--data", "new"]);
}

#[test]
fn a_damaged_file_is_refused_by_its_line_before_anything_is_written() {
    let home = populated();
    home.json(&["events", "export", "log.zst"]);
    let whole = lines(&home.path("log.zst"));
    let bad = |name: &str, lines: &[String], said: &str| {
        write_lines(&home.path(name), lines);
        let told = home.refused(6, &["events", "import", name, "--data", "new"]);
        assert!(told.contains(said), "{name}: {told}");
        assert!(!home.path("new").join("permitd.db").exists());
    };
    let mut changed = whole.clone();
    changed[2] = changed[2].replacen("\"version\":1", "\"version\":2", 1);
    bad("changed", &changed, "not those that it was written for");
    let mut removed = whole.clone();
    removed.remove(3);
    bad("removed", &removed, "not those that it was written for");
    let mut swapped = whole.clone();
    swapped.swap(2, 3);
    bad("swapped", &swapped, "not those that it was written for");
    bad("cut", &whole[..whole.len() - 1], "cut off");
    bad("longer", &[whole.clone(), vec![whole[1].clone()]].concat(), "follows the last line");
    let mut garbage = whole.clone();
    garbage[1] = "{\"commit\":{}}".to_owned();
    bad("garbage", &garbage, "line 2");
    bad("another", &["{\"a\":1}".to_owned()], "is no log");
    bad("newer", &[whole[0].replacen("\"form\":1", "\"form\":2", 1)], "form 2");
    fs::write(home.path("bytes"), [0; 100]).unwrap();
    home.refused(6, &["events", "import", "bytes", "--data", "new"]);
    home.refused(3, &["events", "import", "none", "--data", "new"]);
    let half = fs::read(home.path("log.zst")).unwrap();
    fs::write(home.path("half"), &half[..half.len() / 2]).unwrap();
    home.refused(6, &["events", "import", "half", "--data", "new"]);
    assert_eq!(home.run(&["events", "import", "log.zst", "--data", "new"]).exit, 0, "the whole one is taken");
}

/// A forger who also writes the file's digest anew is found by the chain.
#[test]
fn a_forged_log_is_found_by_its_chain() {
    use sha2::{Digest, Sha256};
    let home = populated();
    home.json(&["events", "seal"]);
    home.json(&["events", "export", "log.zst"]);
    let forge = |name: &str, edit: &dyn Fn(&mut Vec<String>)| {
        let mut forged = lines(&home.path("log.zst"));
        forged.pop();
        edit(&mut forged);
        let text: String = forged.iter().map(|line| format!("{line}\n")).collect();
        let sha256: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        let commits = forged.iter().filter(|line| line.starts_with("{\"commit\"")).count();
        forged.push(format!("{{\"end\":{{\"commits\":{commits},\"sha256\":\"{sha256}\"}}}}"));
        write_lines(&home.path(name), &forged);
    };
    let of_user = |lines: &[String]| {
        let at = lines.iter().position(|line| line.contains("UserInvited")).unwrap();
        let stream = lines[at].split("\"stream\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let all = lines.iter().enumerate().filter(|(_, line)| line.contains(&stream)).map(|(at, _)| at);
        all.collect::<Vec<_>>()
    };
    forge("role", &|lines| {
        let at = of_user(lines)[0];
        lines[at] = lines[at].replacen("\"role\":\"reader\"", "\"role\":\"admin\"", 1);
    });
    forge("missing", &|lines| {
        let at = of_user(lines)[1];
        lines.remove(at);
    });
    forge("time", &|lines| {
        let at = of_user(lines)[0];
        lines[at] = lines[at].replacen("\"recorded_at\":\"20", "\"recorded_at\":\"19", 1);
    });
    for name in ["role", "missing", "time"] {
        let data = format!("{name}-data");
        let told = home.refused(7, &["events", "import", name, "--data", &data]);
        assert!(told.contains("the log is not whole: ") && told.contains("user#"), "{name}: {told}");
        assert!(home.refused(4, &["users", "list", "--data", &data]).contains("not complete"), "{name}");
    }
    // Where what is left follows on itself, the checkpoints in the file tell.
    forge("cut", &|lines| {
        let at = *of_user(lines).last().unwrap();
        assert!(lines[at].starts_with("{\"commit\""), "{}", lines[at]);
        lines.remove(at);
    });
    let ran = home.run(&["events", "import", "cut", "--data", "cut-data"]);
    assert_eq!(ran.exit, 7, "{}", ran.err);
    assert!(ran.err.contains("not what its checkpoints") && ran.err.contains("its end was removed"), "{}", ran.err);
}
