use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn the_first_start_makes_a_private_secret_and_the_next_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("a/b");
    crate::private::root(&data).unwrap();
    let first = Secrets::open(&data, &SystemEntropy).unwrap();
    assert_eq!((mode(&data), mode(&data.join(FILE_NAME))), (0o700, 0o600));
    let again = Secrets::open(&data, &SystemEntropy).unwrap();
    assert_eq!(first.key_secret(1, "k").unwrap(), again.key_secret(1, "k").unwrap());
    assert_eq!(first.current_version(), 1);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn every_use_and_every_key_has_a_secret_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets::open(dir.path(), &SeededEntropy::new(1)).unwrap();
    let key = secrets.key_secret(1, "k1").unwrap();
    assert_ne!(key, secrets.key_secret(1, "k2").unwrap());
    assert_ne!(key, secrets.cursor_key());
    assert!(matches!(secrets.key_secret(2, "k1"), Err(SecretsError::UnknownVersion(2))));
    let claims = secrets.email_claims("Ada@Example.org");
    assert_eq!(claims, secrets.email_claims("ada@example.org"));
    assert_ne!(claims, secrets.email_claims("bob@example.org"));
    assert!(claims.len() == 1 && claims[0].len() == 64 && claims[0].bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn a_rotated_secret_still_derives_old_keys_and_claims() {
    let dir = tempfile::tempdir().unwrap();
    let before = Secrets::open(dir.path(), &SeededEntropy::new(1)).unwrap();
    let path = dir.path().join(FILE_NAME);
    let mut content: SecretFile = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    content.current = 2;
    content.versions.insert(2, BASE64_STANDARD.encode([7; SECRET_BYTES]));
    fs::write(&path, serde_json::to_vec(&content).unwrap()).unwrap();
    let after = Secrets::open(dir.path(), &SeededEntropy::new(2)).unwrap();
    assert_eq!(after.current_version(), 2);
    assert_eq!(before.key_secret(1, "k").unwrap(), after.key_secret(1, "k").unwrap());
    let (old, new) = (before.email_claims("a@b.c"), after.email_claims("a@b.c"));
    assert!(new.len() == 2 && new.contains(&old[0]), "who was invited before is found under the old version");
    assert_ne!(before.cursor_key(), after.cursor_key());
}

#[test]
fn a_secret_that_others_can_read_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    Secrets::open(dir.path(), &SystemEntropy).unwrap();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(dir.path().join(FILE_NAME), Permissions::from_mode(mode)).unwrap();
        let refused = Secrets::open(dir.path(), &SystemEntropy).unwrap_err().to_string();
        assert!(refused.contains("chmod 600") && refused.contains(&format!("{mode:03o}")), "{refused}");
    }
}

#[test]
fn a_damaged_secret_is_never_replaced_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    Secrets::open(dir.path(), &SystemEntropy).unwrap();
    let path = dir.path().join(FILE_NAME);
    for content in ["", "{", r#"{"current":1,"versions":{"1":"c2hvcnQ="}}"#, r#"{"current":2,"versions":{}}"#] {
        fs::write(&path, content).unwrap();
        let refused = Secrets::open(dir.path(), &SystemEntropy).unwrap_err();
        assert!(matches!(refused, SecretsError::Malformed { .. }), "{content}: {refused}");
        assert!(!refused.to_string().contains("c2hvcnQ"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn two_processes_that_start_at_once_share_one_secret() {
    let dir = tempfile::tempdir().unwrap();
    let open = |seed| Secrets::open(dir.path(), &SeededEntropy::new(seed)).unwrap().cursor_key();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(move || open(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_named_file_is_made_where_its_directory_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.json");
    assert!(matches!(Secrets::read_file(&path), Err(SecretsError::Io { .. })), "a shared one is never made");
    let made = Secrets::open_file(&path, &SystemEntropy).unwrap();
    assert_eq!(mode(&path), 0o600);
    for again in [Secrets::open_file(&path, &SystemEntropy), Secrets::read_file(&path)] {
        assert_eq!(made.cursor_key(), again.unwrap().cursor_key());
    }
    let nowhere = dir.path().join("missing").join("shared.json");
    let refused = Secrets::open_file(&nowhere, &SystemEntropy).unwrap_err().to_string();
    assert!(refused.contains("missing/shared.json"), "{refused}");
}

#[test]
fn a_secret_is_the_same_wherever_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = Secrets::open(dir.path(), &SeededEntropy::new(1)).unwrap();
    let kept = Secrets::generate(&SeededEntropy::new(1)).unwrap();
    let read = Secrets::from_json(kept.as_bytes(), "a table").unwrap();
    assert_eq!(file.cursor_key(), read.cursor_key());
    let refused = Secrets::from_json(b"{}", "table x").unwrap_err().to_string();
    assert!(refused.starts_with("table x is not a server secret"), "{refused}");
}

#[test]
fn debug_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets::open(dir.path(), &SeededEntropy::new(1)).unwrap();
    assert_eq!(format!("{secrets:?}"), "Secrets(version 1 of 1)");
}

#[test]
fn a_request_is_recognised_by_its_mark_and_cannot_be_guessed_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::open(folder.path(), &SystemEntropy).unwrap();
    let mark = secrets.request_mark("hash");
    assert!(secrets.is_mark_of(&mark, "hash") && !secrets.is_mark_of(&mark, "other"));
    assert!(mark.starts_with("1:") && !mark.contains("hash"));
    let other = tempfile::tempdir().unwrap();
    let elsewhere = Secrets::open(other.path(), &SystemEntropy).unwrap();
    assert_ne!(elsewhere.request_mark("hash"), mark);
    assert!(!elsewhere.is_mark_of(&mark, "hash"));
    // An earlier permitd stored the hash itself.
    assert!(secrets.is_mark_of("hash", "hash") && !secrets.is_mark_of("hash", "other"));
    // Marks under an earlier version stay valid after another version became the current one.
    let mut content: SecretFile = serde_json::from_slice(&fs::read(folder.path().join(FILE_NAME)).unwrap()).unwrap();
    content.versions.insert(2, BASE64_STANDARD.encode([7; SECRET_BYTES]));
    content.current = 2;
    let rotated = Secrets::from_json(&serde_json::to_vec(&content).unwrap(), "a test").unwrap();
    assert!(rotated.is_mark_of(&mark, "hash") && rotated.request_mark("hash").starts_with("2:"));
    for damaged in ["", ":", "1:", "3:00", "x:00", "1"] {
        assert!(!rotated.is_mark_of(damaged, "hash"), "{damaged}");
    }
}
