//! The data directory: nobody else's, whole, and with its own secret.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{Home, key_in, server::Server};
use crate::support;

/// A user that is not the one who runs the tests, and nobody else.
const SOMEBODY: u32 = 64_123;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

/// All files and directories below this one.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

impl Home {
    /// Runs the program under another umask.
    fn run_under(&self, umask: &str, arguments: &[&str]) {
        let ran = self.command_under(&format!("umask {umask}"), arguments).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Somebody with a key, and a mail that carries it.
    fn with_somebody() -> (Self, String) {
        let home = Self::new();
        home.json(&["invite", "ana@example.org"]);
        let key = key_in(&home.mails()[0]);
        (home, key)
    }
}

#[test]
fn what_is_made_is_the_owners_alone_whatever_the_umask() {
    for umask in ["000", "077", "0777"] {
        let home = Home::new();
        fs::write(home.path("bad.csv"), "Permit Number,Filed Date\n,yesterday\n").unwrap();
        home.run_under(umask, &["sample", "--rows", "20", "-o", "a.csv"]);
        fs::set_permissions(home.path("a.csv"), fs::Permissions::from_mode(0o600)).unwrap();
        home.run_under(umask, &["import", "a.csv", "--dataset", "permits"]);
        home.run_under(umask, &["invite", "ana@example.org"]);
        assert_eq!(mode(&home.data()), 0o700, "umask {umask}");
        let found = all_below(&home.data());
        for name in ["permitd.db", "secret.json", "serve.lock", "records/permits.db"] {
            assert!(found.contains(&home.data().join(name)), "{name} in {found:?}");
        }
        for path in found {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "umask {umask}: {}", path.display());
        }
    }
}

#[test]
fn what_others_could_read_is_closed_to_them() {
    let (home, _) = Home::with_somebody();
    fs::write(home.data().join("permitd.toml"), "[mail.smtp]\npassword = \"p\"\n").unwrap();
    let open = ["", "permitd.db", "serve.lock", "permitd.toml"].map(|name| home.data().join(name));
    for (path, open) in open.iter().zip([0o755, 0o644, 0o666, 0o666]) {
        fs::set_permissions(path, fs::Permissions::from_mode(open)).unwrap();
    }
    let ran = home.run(&["users", "list"]);
    assert!(ran.exit == 0 && ran.err.contains("others could use it"), "{}", ran.err);
    assert_eq!(open.each_ref().map(|path| mode(path)), [0o700, 0o600, 0o600, 0o600]);
}

#[test]
fn a_link_in_the_data_directory_is_not_followed() {
    for name in
        ["permitd.db", "serve.lock", "secret.json", "outbox", "records", "rejects", "permitd.db-wal", "permitd.toml"]
    {
        let (home, _) = Home::with_somebody();
        let (place, elsewhere) = (home.data().join(name), home.path("elsewhere"));
        if place.exists() {
            fs::rename(&place, &elsewhere).unwrap();
        } else if name.ends_with(".toml") {
            fs::write(&elsewhere, "[mail]\nbrand = \"Another\"\n").unwrap();
        } else {
            fs::create_dir(&elsewhere).unwrap();
        }
        symlink(&elsewhere, &place).unwrap();
        for arguments in [&["invite", "bob@example.org"][..], &["users", "list"]] {
            // What does not need the secret does not look at it.
            if name == "secret.json" && arguments[0] == "users" {
                continue;
            }
            let said = home.refused(4, arguments);
            assert!(said.contains(name) && said.contains("symbolic link"), "{name}: {said}");
            if place.is_file() {
                // Nor one that leads nowhere.
                fs::rename(&elsewhere, home.path("away")).unwrap();
                let said = home.refused(4, arguments);
                assert!(said.contains(name) && said.contains("symbolic link"), "{name}: {said}");
                fs::rename(home.path("away"), &elsewhere).unwrap();
            }
        }
    }
}

/// The directory itself may be elsewhere, and what leads to it.
#[tokio::test]
async fn a_data_directory_may_be_reached_through_links() {
    let home = Home::new();
    let (disk, linked) = (home.path("disk"), home.path("linked"));
    fs::create_dir_all(disk.join("permitd")).unwrap();
    symlink(&disk, &linked).unwrap();
    symlink(linked.join("permitd"), home.data()).unwrap();
    home.sample(5, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    home.json(&["invite", "ana@example.org"]);
    let server = Server::start(&home, "serve");
    assert_eq!(server.status("/permits?limit=1", &key_in(&home.mails()[0])).await.as_u16(), 200);
    server.is_ready(200).await;
    // What is beside a running server is as it is without one.
    home.json(&["invite", "bob@example.org"]);
    home.refused(4, &["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    drop(server);
    assert_eq!(home.run(&["events", "verify"]).exit, 0);
}

#[test]
fn what_is_somebody_elses_is_refused() {
    if !is_root() {
        support::skip("only root can give files away");
        return;
    }
    for name in ["", "permitd.db", "serve.lock", "records", "secret.json", "permitd.toml"] {
        let (home, _) = Home::with_somebody();
        fs::write(home.data().join("permitd.toml"), "").unwrap();
        fs::create_dir_all(home.data().join("records")).unwrap();
        chown(home.data().join(name), Some(SOMEBODY), None).unwrap();
        let said = home.refused(4, &["invite", "bob@example.org"]);
        assert!(said.contains(&format!("belongs to user {SOMEBODY}")), "{name}: {said}");
    }
}

#[test]
fn a_lost_secret_is_never_replaced_by_a_new_one() {
    let (home, _) = Home::with_somebody();
    let secret = home.data().join("secret.json");
    let kept = fs::read(&secret).unwrap();
    fs::remove_file(&secret).unwrap();
    for arguments in
        [&["invite", "bob@example.org"][..], &["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]]
    {
        let said = home.refused(7, arguments);
        assert!(said.contains("secret.json is missing") && said.contains("permitd secret replace"), "{said}");
        assert!(!secret.exists());
    }
    // What needs no secret goes on.
    assert_eq!(home.run(&["events", "verify"]).exit, 0);
    // A directory of its own has another one.
    let other = Home::with_somebody().0;
    fs::copy(other.data().join("secret.json"), &secret).unwrap();
    let said = home.refused(7, &["invite", "bob@example.org"]);
    assert!(said.contains("is not the server secret of this deployment"), "{said}");
    fs::write(&secret, kept).unwrap();
    home.json(&["invite", "bob@example.org"]);
}

#[test]
fn a_secret_without_a_version_that_was_used_is_not_the_deployments() {
    let (home, _) = Home::with_somebody();
    let path = home.data().join("secret.json");
    let old = fs::read_to_string(&path).unwrap();
    let mut content: Value = serde_json::from_str(&old).unwrap();
    content["current"] = 2.into();
    content["versions"]["2"] =
        content["versions"]["1"].as_str().unwrap().chars().rev().skip(1).collect::<String>().into();
    // 32 bytes in base64, as version 1 is.
    content["versions"]["2"] = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=".into();
    fs::write(&path, content.to_string()).unwrap();
    home.json(&["invite", "bob@example.org"]);
    // Who was invited before the rotation is found after it.
    home.refused(4, &["invite", "ana@example.org"]);
    fs::write(&path, old).unwrap();
    let said = home.refused(7, &["invite", "cem@example.org"]);
    assert!(said.contains("version 2 is missing"), "{said}");
}

/// What an interrupted `permitd secret replace` leaves keeps everybody out until it is repeated, and says so.
#[test]
fn a_replacement_of_the_secret_that_was_interrupted_is_to_be_repeated() {
    let (home, _) = Home::with_somebody();
    let connection = rusqlite::Connection::open(home.data().join("permitd.db")).unwrap();
    let none = permitd::secrets::SecretMark::none();
    connection.execute("DELETE FROM secret_versions", []).unwrap();
    connection.execute("INSERT INTO secret_versions VALUES (?1, ?2)", (none.version, &none.fingerprint)).unwrap();
    drop(connection);
    for arguments in
        [&["invite", "bob@example.org"][..], &["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]]
    {
        let said = home.refused(7, arguments);
        assert!(said.contains("`permitd secret replace` was interrupted, repeat it"), "{said}");
    }
    assert_eq!(home.json(&["secret", "replace", "--yes"])["keys_ended"], 0);
    home.json(&["invite", "bob@example.org"]);
}

#[tokio::test]
async fn another_secret_ends_all_keys_knowingly_and_keeps_addresses_single() {
    let (home, key) = Home::with_somebody();
    let same = home.json(&["secret", "replace", "--yes"]);
    assert_eq!((&same["replaced"], &same["keys_ended"]), (&false.into(), &0.into()), "it is there");
    fs::remove_file(home.data().join("secret.json")).unwrap();
    home.refused(2, &["secret", "replace"]);
    let replaced = home.json(&["secret", "replace", "--yes"]);
    assert_eq!((&replaced["replaced"], &replaced["keys_ended"]), (&true.into(), &1.into()));
    let user = replaced["without_key"][0].as_str().unwrap().to_owned();
    // One address is still one person.
    home.refused(4, &["invite", "ana@example.org"]);
    home.json(&["users", "resend", &user]);
    let mails = home.mails();
    let new = key_in(
        mails.iter().find(|mail| mail.contains("pmt_") && !mail.contains(&key)).expect("a mail with another key"),
    );
    home.sample(5, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    let server = Server::start(&home, "serve");
    assert_eq!(server.status("/permits?limit=1", &new).await.as_u16(), 200);
    assert_eq!(server.status("/permits?limit=1", &key).await.as_u16(), 401);
    drop(server);
    assert_eq!(home.run(&["events", "verify"]).exit, 0, "{}", home.run(&["events", "verify"]).out);
}

/// A new log beside the secret and the records of another one would end every key, and look like a server that works.
#[test]
fn a_lost_database_is_never_replaced_by_a_new_one() {
    let (home, _) = Home::with_somebody();
    home.sample(5, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    let (database, secret) = (home.data().join("permitd.db"), home.data().join("secret.json"));
    fs::rename(&database, home.path("kept.db")).unwrap();
    for left in ["secret.json", "permits.db"] {
        for is_empty in [false, true] {
            if is_empty {
                fs::write(&database, "").unwrap();
            }
            for arguments in [
                &["invite", "bob@example.org"][..],
                &["users", "list"],
                &["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"],
            ] {
                let said = home.refused(7, arguments);
                assert!(said.contains("permitd.db is missing or empty") && said.contains(left), "{said}");
            }
        }
        fs::remove_file(&database).unwrap();
        if left == "secret.json" {
            fs::rename(&secret, home.path("kept.json")).unwrap();
        }
    }
    fs::rename(home.path("kept.db"), &database).unwrap();
    fs::rename(home.path("kept.json"), &secret).unwrap();
    home.json(&["invite", "bob@example.org"]);
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
    let names = [
        "secret.json",
        "permitd.toml",
        "serve.lock",
        "permitd.db",
        "permitd.db-wal",
        "records",
        "records/permits.db",
        "records/permits.db-wal",
    ];
    for name in names {
        for is_folder in [false, true] {
            let (home, _) = Home::with_somebody();
            let place = home.data().join(name);
            match place.is_dir() {
                true => fs::remove_dir_all(&place).unwrap(),
                false => drop(fs::remove_file(&place)),
            }
            match is_folder {
                true => fs::create_dir(&place).unwrap(),
                false => assert!(Command::new("mkfifo").arg(&place).status().unwrap().success()),
            }
            // A folder is where the records are.
            if is_folder && name == "records" {
                continue;
            }
            for arguments in [
                &["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"][..],
                &["invite", "bob@example.org"],
                &["events", "verify"],
            ] {
                // What does not need the secret does not look at it.
                if name == "secret.json" && arguments[0] == "events" {
                    continue;
                }
                let said = home.refused(4, arguments);
                assert!(said.contains(name) && said.contains("move it away"), "{name}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_taken_away_closes_the_server() {
    for name in ["permitd.db", "permitd.db-wal", "serve.lock", "secret.json", "records", ""] {
        for replaced in ["not", "by another", "by a link to it", "by nothing of its content"] {
            let is_other = match replaced {
                "by a link to it" => name.is_empty(),
                "by nothing of its content" => name != "permitd.db",
                _ => false,
            };
            if is_other {
                continue;
            }
            let home = Home::new();
            home.sample(5, "a.csv");
            home.json(&["import", "a.csv", "--dataset", "permits"]);
            home.json(&["invite", "ana@example.org"]);
            let key = key_in(&home.mails()[0]);
            let log = home.path("log");
            let server = Server::logging(&home, "serve", fs::File::create(&log).unwrap().into());
            assert_eq!(server.status("/permits?limit=1", &key).await.as_u16(), 200);
            server.is_ready(200).await;
            let (place, away) = (home.data().join(name), home.path("away"));
            match replaced {
                "by nothing of its content" => fs::write(&place, "").unwrap(),
                _ => fs::rename(&place, &away).unwrap(),
            }
            match replaced {
                "by a link to it" => symlink(&away, &place).unwrap(),
                "by another" if away.is_dir() => fs::create_dir(&place).unwrap(),
                "by another" if name == "secret.json" => fs::write(&place, "{}").unwrap(),
                "by another" => drop(fs::copy(&away, &place).unwrap()),
                _ => {}
            }
            server.becomes(reqwest::StatusCode::SERVICE_UNAVAILABLE, "/permits?limit=1", &key).await;
            let why = server.is_ready(503).await;
            assert!(why.contains("while it was in use"), "{name}: {why}");
            let said = fs::read_to_string(&log).unwrap();
            assert!(said.contains("stop this server, put the data directory back"), "{said}");
            if name == "serve.lock" && replaced != "by a link to it" {
                // Nobody else can serve the directory meanwhile.
                let said = home.refused(4, &["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
                assert!(said.contains("another permitd serves"), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn an_orderly_stop_leaves_files_that_are_whole_by_themselves() {
    let home = Home::new();
    home.sample(50, "a.csv");
    let mut server = Server::start(&home, "serve");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    home.json(&["invite", "ana@example.org"]);
    server.stop();
    for name in ["permitd.db", "records/permits.db"] {
        let wal = home.data().join(format!("{name}-wal"));
        assert_eq!(fs::metadata(&wal).map_or(0, |wal| wal.len()), 0, "{name}");
    }
    let copy = Home::new();
    fs::create_dir_all(copy.data().join("records")).unwrap();
    for name in ["permitd.db", "secret.json", "records/permits.db"] {
        fs::copy(home.data().join(name), copy.data().join(name)).unwrap();
    }
    assert_eq!(copy.run(&["events", "verify"]).exit, 0);
    assert_eq!(copy.json(&["users", "list"])["users"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_a_crash_left_half_written_is_removed_by_the_next_server() {
    let (home, _) = Home::with_somebody();
    let left = [home.data().join("outbox/.mail-AbC"), home.data().join(".secret-AbC")];
    for path in &left {
        fs::write(path, "half").unwrap();
    }
    home.run(&["users", "list"]);
    assert!(left.iter().all(|path| path.exists()), "a command may run beside one that is writing");
    let server = Server::start(&home, "serve");
    assert!(left.iter().all(|path| !path.exists()));
    assert_eq!(home.mails().len(), 1, "whole mails stay");
    drop(server);
}

#[test]
fn damaged_records_are_damage() {
    let home = Home::new();
    home.sample(200, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    let path = home.data().join("records/permits.db");
    for keep in [0, 4096] {
        let mut bytes = fs::read(&path).unwrap();
        bytes.iter_mut().skip(keep).for_each(|byte| *byte = 0xa5);
        fs::write(&path, bytes).unwrap();
        home.refused(7, &["invite", "ana@example.org"]);
        home.refused(7, &["import", "a.csv", "--dataset", "permits"]);
    }
}

/// The limits of the process say that no core is written, and nobody else may look into it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_core_is_dumped() {
    let home = Home::new();
    let server = Server::in_another_group(&home, "serve", SOMEBODY);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // What the system shows of a process into which nobody may look belongs to root and its group.
    let shown = fs::metadata(format!("/proc/{}/environ", server.id())).unwrap();
    assert_eq!((shown.uid(), shown.gid()), (0, 0), "somebody may look into it");
}

/// A file system in the place of the data directory, for as long as the value lives.
struct Mounted(PathBuf);

impl Mounted {
    /// None where none can be mounted.
    fn small(home: &Home) -> Option<Self> {
        fs::create_dir(home.data()).unwrap();
        let options = "size=3m,mode=0700";
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(home.data()).output();
        if !mount.is_ok_and(|mount| mount.status.success()) {
            support::skip("no file system can be mounted");
            return None;
        }
        Some(Self(home.data()))
    }

    fn remount(&self, option: &str) {
        let remounted = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.0).output().unwrap();
        assert!(remounted.status.success(), "{}", String::from_utf8_lossy(&remounted.stderr));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// A file system that nothing can be written to: empty, and with all that a server needs.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_system_that_is_read_only_is_said() {
    let home = Home::new();
    let Some(mounted) = Mounted::small(&home) else { return };
    let serve = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    for is_empty in [true, false] {
        if !is_empty {
            home.json(&["invite", "ana@example.org"]);
        }
        mounted.remount("ro");
        for arguments in [&["invite", "bob@example.org"][..], &serve] {
            let said = home.refused(5, arguments).to_lowercase();
            assert!(said.contains("read-only file system") && said.contains("data/"), "{arguments:?}: {said}");
        }
        if !is_empty {
            let said = home.refused(5, &["users", "list"]).to_lowercase();
            assert!(said.contains("read-only") && said.contains("mount"), "{said}");
        }
        mounted.remount("rw");
    }
    let server = Server::start(&home, "serve");
    server.is_ready(200).await;
}

/// A full disk, as a file system of 3 MB that is filled up; where none can be mounted, nothing.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_said_and_passes() {
    let home = Home::new();
    let Some(_mounted) = Mounted::small(&home) else { return };
    home.json(&["invite", "ana@example.org"]);
    let server = Server::start(&home, "serve");
    server.is_ready(200).await;
    let filling = home.data().join("filling");
    let mut piece = 1 << 20;
    while piece > 0 {
        let written = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&filling)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &vec![0; piece]));
        if written.is_err() {
            piece /= 2;
        }
    }
    // What the write-ahead log has room for already is still written.
    let why = server.is_ready(503).await;
    assert!(why.contains("the disk is full"), "{why}");
    let said = home.refused(5, &["invite", "bob@example.org"]);
    assert!(said.contains("disk is full") || said.contains("No space left"), "{said}");
    fs::remove_file(&filling).unwrap();
    server.is_ready(200).await;
    home.json(&["invite", "bob@example.org"]);
}

/// What another user may not look into is not taken for something that is not there.
#[test]
fn what_is_closed_is_not_called_absent() {
    if !is_root() {
        return;
    }
    use std::os::unix::process::CommandExt;
    let (home, _) = Home::with_somebody();
    fs::set_permissions(home.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.path("own.toml"), "").unwrap();
    for arguments in [
        &["users", "list"][..],
        &["serve"],
        &["config"],
        &["import", "x.csv", "--dataset", "permits"],
        &["invite", "a@b.org"],
    ] {
        for named in [&[][..], &["--config", "own.toml"]] {
            if (arguments[0] == "config" || arguments[0] == "import") && !named.is_empty() {
                continue;
            }
            let mut command = home.command(&[arguments, named].concat());
            let output = command.uid(SOMEBODY).gid(SOMEBODY).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(4), "{arguments:?}: {said}");
            assert!(said.contains("permission denied") && !said.contains("no data directory"), "{arguments:?}: {said}");
        }
    }
    assert_eq!(home.json(&["users", "list"])["users"].as_array().unwrap().len(), 1);
}
