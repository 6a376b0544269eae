//! Makes and revokes administrators' tokens. One in the process.
//!
//! Guarantees: the log has who made and who revoked each token. Of several nodes that start at once, one makes the first token. A token
//! that replaces the others does so in one commit. Every node refuses a revoked token from the answer on, since each request asks the
//! store. A repeated command shows the same token, as long as a key would be shown.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    account::{KEY_SHOWN_FOR, Withheld, WithheldReason},
    ask::{Mailbox, Reply, ask},
    commit::{CommandError, Committed, Committer, Envelope},
};
use crate::domain::{
    admin_token::{IssuedToken, NewToken, Others, TokenLog},
    event::Event,
    id::StreamId,
    key::{AdminToken, KeyHash, KeyId},
    permission::Permissions,
    view::State,
};

/// The properties of a new token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenOrder {
    /// Its name; `None` for a generated one.
    pub name: Option<String>,
    /// Its scopes.
    pub permissions: Permissions,
    /// When it expires, if ever.
    pub expires_at: Option<Timestamp>,
}

/// A token that was made.
#[derive(Debug)]
pub struct MadeToken {
    /// Its public id.
    pub id: KeyId,
    /// The commit.
    pub committed: Committed,
    /// The token itself, or why a repeated command no longer gets it.
    pub shown: Result<AdminToken, Withheld>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct IssueToken {
    order: TokenOrder,
    others: Others,
    envelope: Envelope,
    reply: Reply<Result<Option<MadeToken>, CommandError>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct RevokeToken {
    id: KeyId,
    envelope: Envelope,
    reply: Reply<Result<Committed, CommandError>>,
}

/// The actor.
pub struct TokenActor {
    committer: Arc<Committer>,
    mailbox_capacity: usize,
}

impl Actor for TokenActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<IssueToken> for TokenActor {
    type Result = ();

    fn handle(&mut self, IssueToken { order, others, envelope, reply }: IssueToken, _: &mut Self::Context) {
        let committer = Arc::clone(&self.committer);
        reply.answer_later(async move { issue(&committer, order, others, envelope).await });
    }
}

impl Handler<RevokeToken> for TokenActor {
    type Result = ();

    fn handle(&mut self, RevokeToken { id, envelope, reply }: RevokeToken, _: &mut Self::Context) {
        let committer = Arc::clone(&self.committer);
        reply.answer_later(async move { run(&committer, &envelope, |log| Ok(log.revoke(id)?)).await });
    }
}

async fn run(
    committer: &Committer,
    envelope: &Envelope,
    decide: impl Fn(&TokenLog) -> Result<Vec<Event>, CommandError>,
) -> Result<Committed, CommandError> {
    let decided = |state: &State| match state {
        State::AdminTokens(log) => decide(log),
        // This stream has no other state.
        State::User(_) | State::Plan(..) | State::DataSet(..) => Ok(Vec::new()),
    };
    committer.run(&StreamId::AdminTokens, envelope, decided).await
}

/// `None` when the token was to be the first and is not.
async fn issue(
    committer: &Committer,
    order: TokenOrder,
    others: Others,
    envelope: Envelope,
) -> Result<Option<MadeToken>, CommandError> {
    // The token derives from the command, so that a retry makes the same one.
    let token = committer.secrets.admin_token(envelope.command.derived_key_id(&StreamId::AdminTokens))?;
    let TokenOrder { name, permissions, expires_at } = order;
    let id = envelope.command.derived_key_id(&StreamId::AdminTokens);
    let new = NewToken { id, hash: token.hash(), name, permissions, expires_at };
    let now = committer.clock.now();
    let committed = run(committer, &envelope, |log| Ok(log.issue(new.clone(), others, now)?)).await?;
    if !committed.events.iter().any(|recorded| matches!(recorded.event, Event::AdminTokenIssued { .. })) {
        return Ok(None);
    }
    let shown = if committed.repeated { again(committer, id, token).await? } else { Ok(token) };
    Ok(Some(MadeToken { id, committed, shown }))
}

/// The token that a repeated command gets.
async fn again(
    committer: &Committer,
    id: KeyId,
    token: AdminToken,
) -> Result<Result<AdminToken, Withheld>, CommandError> {
    // A clock that was set back does not reopen the hour: the newest time in the log counts as now at least.
    let newest = committer.stores.log.read_back(None, 1).await?.first().map(|commit| commit.recorded_at);
    let now = newest.map_or(committer.clock.now(), |newest| newest.max(committer.clock.now()));
    let loaded = committer.load(&StreamId::AdminTokens, None).await?;
    let issued = match &loaded.state {
        State::AdminTokens(log) => log.tokens.get(&id),
        State::User(_) | State::Plan(..) | State::DataSet(..) => None,
    };
    let reason = match issued {
        Some(IssuedToken { issued_at, .. }) if now.duration_since(*issued_at).abs() > KEY_SHOWN_FOR => {
            WithheldReason::Late
        }
        Some(issued) if !issued.works(now) => WithheldReason::Ended,
        Some(issued) if issued.hash == token.hash() => return Ok(Ok(token)),
        Some(_) => WithheldReason::OtherSecret,
        None => WithheldReason::Ended,
    };
    Ok(Err(Withheld { id, reason }))
}

/// The handle for making and revoking tokens.
#[derive(Clone)]
pub struct Tokens {
    actor: Mailbox<TokenActor>,
    committer: Arc<Committer>,
    patience: Duration,
}

impl Tokens {
    /// Starts the actor on the calling thread's arbiter.
    pub fn start(committer: Arc<Committer>, mailbox_capacity: usize, patience: Duration) -> Self {
        let actor = TokenActor { committer: Arc::clone(&committer), mailbox_capacity };
        Self { actor: Mailbox::start(actor, mailbox_capacity), committer, patience }
    }

    /// Makes a token. `None` when it was to be the first and is not.
    ///
    /// # Errors
    /// When it is refused: see [`crate::domain::admin_token::TokenRefusal`].
    pub async fn issue(
        &self,
        order: TokenOrder,
        others: Others,
        envelope: Envelope,
    ) -> Result<Option<MadeToken>, CommandError> {
        ask(&self.actor, |reply| IssueToken { order, others, envelope, reply }, Some(self.patience)).await?
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// When there is no such token.
    pub async fn revoke(&self, id: KeyId, envelope: Envelope) -> Result<Committed, CommandError> {
        ask(&self.actor, |reply| RevokeToken { id, envelope, reply }, Some(self.patience)).await?
    }

    /// Adds the tokens of an earlier permitd to the log, unless they are there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn take_over(&self, envelope: &Envelope) -> Result<(), CommandError> {
        let earlier = self.committer.stores.admin_tokens.earlier().await?;
        if earlier.is_empty() {
            return Ok(());
        }
        let earlier: Vec<(KeyId, KeyHash)> = earlier.into_iter().map(|token| (id_of(&token.id), token.hash)).collect();
        run(&self.committer, envelope, |log| Ok(log.take_over(&earlier))).await?;
        Ok(())
    }
}

/// The id of a token whose id had another form.
fn id_of(earlier: &str) -> KeyId {
    let mut bytes = [0; 12];
    bytes.iter_mut().zip(Sha256::digest(earlier.as_bytes())).for_each(|(to, from)| *to = from);
    KeyId::from_random(bytes)
}
