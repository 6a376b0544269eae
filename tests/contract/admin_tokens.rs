//! The administrators' tokens.

use permitd::store::PutToken;

use crate::backend::{Backend, beginning};

pub(crate) async fn a_token_is_found_by_its_hash_and_replaced<B: Backend>() {
    let backend = B::new();
    let tokens = backend.stores().admin_tokens;
    assert_eq!(tokens.count().await.unwrap(), 0);
    assert!(tokens.put("0", "00", beginning(), PutToken::First).await.unwrap());
    assert!(!tokens.put("9", "99", beginning(), PutToken::First).await.unwrap(), "there is one");
    assert!(tokens.put("1", "aa", beginning(), PutToken::Instead).await.unwrap());
    tokens.put("2", "bb", beginning(), PutToken::Beside).await.unwrap();
    assert_eq!((tokens.count().await.unwrap(), tokens.find("bb").await.unwrap().as_deref()), (2, Some("2")));
    assert_eq!(tokens.find("AA").await.unwrap(), None);
    let mut hashes = tokens.hashes().await.unwrap();
    hashes.sort();
    assert_eq!(hashes, ["aa", "bb"]);
    tokens.put("3", "cc", beginning(), PutToken::Instead).await.unwrap();
    assert_eq!((tokens.count().await.unwrap(), tokens.find("aa").await.unwrap()), (1, None));
    assert_eq!(backend.stores_of_another_process().admin_tokens.find("cc").await.unwrap().as_deref(), Some("3"));
}
