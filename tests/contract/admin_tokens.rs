//! The administrators' tokens.

use jiff::SignedDuration;
use permitd::domain::{
    event::Event,
    id::StreamId,
    key::{KeyHash, KeyId},
    permission::{Permission, Permissions},
};

use crate::backend::{Backend, Stream, beginning};

fn id(number: u8) -> KeyId {
    KeyId::from_random([number; 12])
}

fn issued(number: u8) -> Event {
    Event::AdminTokenIssued {
        token: id(number),
        name: format!("token {number}"),
        hash: KeyHash::of(&[number]),
        permissions: Permissions::of(&Permission::ALL[..usize::from(number)]).only_reading(number == 2),
        expires_at: (number == 1).then(beginning),
    }
}

pub(crate) async fn tokens_come_back_as_they_were_written<B: Backend>() {
    let backend = B::new();
    let stores = backend.stores();
    assert!(stores.views.admin_tokens().await.unwrap().is_empty());
    let stream = StreamId::AdminTokens;
    let mut tokens = Stream::of(stream);
    tokens.write(&stores, vec![issued(1), issued(2)], beginning()).await;
    tokens.write(&stores, vec![Event::AdminTokenRevoked { token: id(1) }, issued(5)], beginning()).await;
    let rows = tokens.rows().tokens;
    assert_eq!(rows.len(), 3);
    let other = backend.stores_of_another_process();
    for row in &rows {
        assert_eq!(other.views.admin_token(row.id).await.unwrap().as_ref(), Some(row), "revoked, everywhere at once");
    }
    let mut all = other.views.admin_tokens().await.unwrap();
    all.sort_by_key(|row| row.id);
    assert_eq!(all, rows);
    assert_eq!(other.views.admin_token(id(9)).await.unwrap(), None);
}

pub(crate) async fn the_last_use_of_a_token_is_kept<B: Backend>() {
    let backend = B::new();
    let tokens = backend.stores().admin_tokens;
    let at = |second| beginning().checked_add(SignedDuration::from_secs(second)).unwrap();
    assert!(tokens.uses().await.unwrap().is_empty() && tokens.earlier().await.unwrap().is_empty());
    for (number, second) in [(1, 60), (2, 5), (1, 120), (1, 90)] {
        tokens.note_use(id(number), at(second)).await.unwrap();
    }
    let mut uses = backend.stores_of_another_process().admin_tokens.uses().await.unwrap();
    uses.sort();
    let mut expected = vec![(id(1), at(120)), (id(2), at(5))];
    expected.sort();
    assert_eq!(uses, expected, "an earlier use that comes late changes nothing");
}
