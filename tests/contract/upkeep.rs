//! The store as a whole.

use permitd::secrets::SecretMark;

use crate::backend::Backend;

fn mark(version: u32, fingerprint: &str) -> SecretMark {
    SecretMark { version, fingerprint: fingerprint.to_owned() }
}

pub(crate) async fn a_probe_changes_nothing_and_says_that_it_works<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    for _ in 0..3 {
        stores.upkeep.probe().await.unwrap();
    }
    assert!(stores.log.read(0, 10).await.unwrap().is_empty());
    stores.upkeep.close().await.unwrap();
    stores.upkeep.probe().await.unwrap();
}

pub(crate) async fn the_secrets_versions_are_remembered_by_all<B: Backend>() {
    let backend = B::new();
    let upkeep = backend.stores().upkeep;
    assert!(upkeep.secret_marks().await.unwrap().is_empty());
    upkeep.add_secret_marks(vec![mark(1, "aa")]).await.unwrap();
    upkeep.add_secret_marks(vec![mark(1, "other"), mark(10, "cc"), mark(2, "bb")]).await.unwrap();
    let other = backend.stores_of_another_process().upkeep;
    let known = [mark(1, "aa"), mark(2, "bb"), mark(10, "cc")];
    assert_eq!(other.secret_marks().await.unwrap(), known, "the first of a version stays");
    other.replace_secret_marks(vec![mark(2, "bb"), mark(3, "dd")]).await.unwrap();
    assert_eq!(upkeep.secret_marks().await.unwrap(), [mark(2, "bb"), mark(3, "dd")]);
    other.replace_secret_marks(vec![mark(2, "another")]).await.unwrap();
    assert_eq!(upkeep.secret_marks().await.unwrap(), [mark(2, "another")]);
}

pub(crate) async fn claims_are_replaced_as_a_whole<B: Backend>() {
    let backend = B::new();
    let upkeep = backend.stores().upkeep;
    let owner = |owner: &str, names: &[&str]| (owner.to_owned(), names.iter().map(ToString::to_string).collect());
    let none = upkeep.reclaim(vec![owner("a", &["x", "y"]), owner("b", &["z"])]).await.unwrap();
    assert!(none.is_empty());
    // Again, and with other names: each is the same owner's, or nobody's any more.
    assert!(upkeep.reclaim(vec![owner("a", &["x"]), owner("b", &["w"])]).await.unwrap().is_empty());
    let doubled = upkeep.reclaim(vec![owner("a", &["x"]), owner("b", &["x"])]).await.unwrap();
    assert_eq!(doubled, [("b".to_owned(), "a".to_owned())]);
    assert!(upkeep.reclaim(vec![owner("b", &["y", "z"])]).await.unwrap().is_empty(), "what nobody has is free");
}
