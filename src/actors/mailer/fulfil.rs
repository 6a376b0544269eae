//! Does what a message asks for, step by step: each step decides from what is recorded.

mod links;

use zeroize::Zeroizing;

use super::{
    LinkPolicy, MailerWork, Mailers, MessageError, Offer, example, leak, notify::notice_prefix, step::envelope,
};
use crate::{
    actors::{
        commit::{CommandError, Committed},
        key_rules::KnownRules,
        person::user_in,
    },
    domain::{
        bounds::{KeyChange, names_dataset},
        fulfilment::{self, Duty, FulfilmentStep},
        id::StreamId,
        key::KeyId,
        link::LinkPurpose,
        plan::Limits,
        sign_in::SignInCommand,
        text::one_line,
        user::{Command, CommandRefusal, InvitationMail, NewKey, Standing, User, decide},
        view::State,
    },
    failpoint::crash_point,
    mail::{
        KeptMail, MailError, OutgoingMail,
        ses::feedback,
        templates::{self, Invitation},
    },
    queue::{Delivery, EventMessage, Message as QueueMessage},
};

/// The most steps for one message; more mean an endless loop.
const STEPS_MAX: u32 = 12;

/// The prefixes of the message ids of all mails to a person.
fn mails_to(person: &User) -> Vec<String> {
    let links = person.sign_in.reset_mails.iter().map(|(mail, _)| links::mail_prefix(*mail));
    let invitations = person.invitations.iter().map(|(invitation, _)| InvitationMail::id_prefix(*invitation));
    let others = [notice_prefix(person.id), leak::mail_prefix(person.id), example::mail_prefix(person.id)];
    invitations.chain(links).chain(others).collect()
}

impl Mailers {
    /// The stored mails to a person, newest first: those that their erasure removes.
    ///
    /// # Errors
    /// When the stored mails cannot be read.
    pub async fn kept(&self, person: &User) -> Result<Vec<KeptMail>, MailError> {
        self.work.mailer.kept(&mails_to(person)).await
    }
}

impl MailerWork {
    pub(super) async fn fulfil(&self, delivery: &Delivery) -> Result<(), MessageError> {
        let QueueMessage::V1(message) = match delivery.message() {
            Ok(message) => message,
            // A report of the mail system: from its own queue, or redriven to this one.
            Err(_) if feedback::looks_like_it(&delivery.body) => return self.take_feedback(&delivery.body).await,
            Err(unreadable) => return Err(unreadable.into()),
        };
        let stream = message.stream_id()?;
        let StreamId::User(user) = stream else { return Ok(()) };
        let _turn = self.turn(user).await;
        self.committer.refuse_quarantined(&stream).await?;
        let Some(duty) = self.duty(&stream, &message).await? else { return Ok(()) };
        let policy = self.offering.offer().links;
        for _ in 0..STEPS_MAX {
            let person = self.committer.load_user(user).await?;
            match fulfilment::next_step(person.as_ref(), duty, policy.delivery) {
                FulfilmentStep::Acknowledge => return self.forget(person.as_ref(), duty).await,
                FulfilmentStep::IssueKey => {
                    let Some(person) = person else { return Ok(()) };
                    let rules = KnownRules::of_plan(&self.committer, Some(person.plan)).await?;
                    self.issue_key(&stream, &message, duty, policy, &rules).await?;
                }
                FulfilmentStep::IssueLinks => self.issue_links(&stream, &message, duty, policy).await?,
                FulfilmentStep::SendLink { number } => {
                    let Some(person) = person else { return Ok(()) };
                    return self.send_link(&stream, &message, &person, number).await;
                }
                FulfilmentStep::Notify(_) if !self.notices => return Ok(()),
                FulfilmentStep::Notify(notice) => {
                    let Some(person) = person else { return Ok(()) };
                    return self.notify(&stream, &message, notice, &person).await;
                }
                FulfilmentStep::RevokeKeys => {
                    let envelope = envelope(&message, "revoke");
                    let revoke = |state: &State| Ok(decide(user_in(state), Command::RevokeAll)?);
                    let committed = self.committer.run(&stream, &envelope, revoke).await?;
                    self.counters.revocations.add(newly(&committed));
                }
                FulfilmentStep::TellOfLeak(leaked) => {
                    let Some(person) = person else { return Ok(()) };
                    return self.tell_of_leak(&stream, &message, &person, leaked).await;
                }
                FulfilmentStep::SendMail { key_id } => {
                    let Some(person) = person else { return Ok(()) };
                    return self.send_mail(&stream, &message, duty, &person, key_id).await;
                }
            }
        }
        Err(MessageError::Circle)
    }

    /// Removes the stored mails to an erased person, once the keys are revoked.
    async fn forget(&self, person: Option<&User>, duty: Duty) -> Result<(), MessageError> {
        if let (Duty::RevokeKeys, Some(person)) = (duty, person) {
            self.mailer.forget(&mails_to(person)).await?;
        }
        Ok(())
    }

    /// The duty that follows from the message's event.
    async fn duty(&self, stream: &StreamId, message: &EventMessage) -> Result<Option<Duty>, MessageError> {
        let commits = self.committer.stores.log.load(stream, message.version.saturating_sub(1), 1).await;
        let commits = commits.map_err(CommandError::from)?;
        let commit = commits.first().filter(|commit| commit.version == message.version);
        let commit = commit.ok_or_else(|| MessageError::NoEvent(message.event.to_string()))?;
        let events = crate::domain::persisted::decode(commit, None).map_err(CommandError::from)?;
        let event = events.iter().find(|recorded| recorded.id == message.event);
        let event = event.ok_or_else(|| MessageError::NoEvent(message.event.to_string()))?;
        Ok(fulfilment::duty(event))
    }

    async fn issue_key(
        &self,
        stream: &StreamId,
        message: &EventMessage,
        duty: Duty,
        policy: LinkPolicy,
        known: &KnownRules,
    ) -> Result<(), MessageError> {
        let Duty::Fulfil { invitation } = duty else { return Ok(()) };
        let envelope = envelope(message, "issue");
        // The id derives from the message, so that two mailers with the same message issue the same key.
        let secret_version = self.committer.secrets.current_version();
        let key = self.committer.secrets.api_key(secret_version, envelope.command.derived_key_id(stream));
        let key = key.map_err(CommandError::from)?;
        let new = NewKey { id: key.id(), hash: key.hash(), last_four: key.last_four(), secret_version };
        let issue = |state: &State| {
            let user = user_in(state);
            if fulfilment::next_step(user, duty, policy.delivery) != FulfilmentStep::IssueKey {
                return Ok(Vec::new());
            }
            // If the plan changed meanwhile, the next step looks it up.
            let Some(rules) = known.of(user) else { return Ok(Vec::new()) };
            let (wanted, now) = (KeyChange::default(), self.committer.clock.now());
            let command = Command::IssueKey { key: new.clone(), invitation: Some(invitation), wanted, rules, now };
            // In one commit, so that links add no commit to an invitation.
            let links = self.missing_links(user, invitation, policy)?;
            Ok([decide(user, command)?, decide(user, Command::SignIn(SignInCommand::IssueLinks(links)))?].concat())
        };
        crash_point("mailer-before-issue");
        let committed = self.committer.run(stream, &envelope, issue).await?;
        self.counters.keys_issued.add(newly(&committed));
        crash_point("mailer-after-issue");
        Ok(())
    }

    async fn send_mail(
        &self,
        stream: &StreamId,
        message: &EventMessage,
        duty: Duty,
        person: &User,
        key_id: KeyId,
    ) -> Result<(), MessageError> {
        let Duty::Fulfil { invitation } = duty else { return Ok(()) };
        let Some(mail) = self.compose(person, key_id, invitation).await? else { return Ok(()) };
        let mailed = Command::RecordMailed { key_id, invitation, message_id: mail.message_id.clone() };
        let refused = |class, reason| Command::RecordMailFailed { invitation, class, reason };
        self.deliver(stream, message, person, &mail, mailed, refused).await
    }

    /// Hands a mail over and records the result.
    pub(super) async fn deliver(
        &self,
        stream: &StreamId,
        message: &EventMessage,
        person: &User,
        mail: &OutgoingMail,
        mailed: Command,
        refused: impl FnOnce(String, String) -> Command,
    ) -> Result<(), MessageError> {
        crash_point("mailer-before-mail");
        // Separate commands: a message that comes again may be refused first and taken later.
        let (step, command) = match self.hand_over(person.mail_stop, mail).await {
            Ok(_) => {
                self.counters.mails_sent.add(1);
                ("mailed", mailed)
            }
            Err(MailError::Rejected { class, reason }) => {
                self.counters.mails_rejected.add(1);
                tracing::warn!(user = %person.id, class, "a mail was refused for good");
                ("refused", refused(class, reason))
            }
            Err(error @ (MailError::Unavailable { .. } | MailError::Here(_))) => return Err(MessageError::Mail(error)),
        };
        crash_point("mailer-after-mail");
        let record = |state: &State| match decide(user_in(state), command.clone()) {
            Ok(events) => Ok(events),
            // The person was deleted or disabled while the mail was on its way: there is nothing to record.
            Err(CommandRefusal::Deleted | CommandRefusal::Disabled) => Ok(Vec::new()),
            Err(refusal) => Err(refusal.into()),
        };
        let recorded = self.committer.run(stream, &envelope(message, step), record).await?;
        if user_in(&recorded.state).is_some_and(|person| person.standing == Standing::Deleted) {
            self.mailer.forget(std::slice::from_ref(&mail.message_id)).await?;
        }
        crash_point("mailer-after-mailed");
        Ok(())
    }

    /// Composes the mail with this key, unless the person was erased meanwhile.
    async fn compose(
        &self,
        person: &User,
        key_id: KeyId,
        invitation: uuid::Uuid,
    ) -> Result<Option<Zeroizing<OutgoingMail>>, MessageError> {
        let (Some(to), Some(stored)) = (person.email.known(), person.keys.get(&key_id)) else { return Ok(None) };
        let key = self.committer.secrets.api_key(stored.secret_version, key_id).map_err(CommandError::from)?;
        if key.hash() != stored.hash {
            return Err(MessageError::OtherSecret(key_id));
        }
        let plan = self.committer.stores.views.plan(&person.plan).await.map_err(CommandError::from)?;
        let Limits { rate_per_s, burst, quota_per_day } = plan.as_ref().map(|plan| plan.limits).unwrap_or_default();
        let Offer { brand, public_url, contact, mut datasets, links } = self.offering.offer();
        // Data sets outside the person's plan are neither described nor promised.
        let of_plan = plan.and_then(|plan| plan.rules.datasets);
        datasets.retain(|set| names_dataset(of_plan.as_deref(), set.path.trim_start_matches('/')));
        // Before the first import every data path is a 404.
        let example_path = datasets.first().map(|set| format!("{}?limit=3", set.path));
        let link = |purpose| self.address_of(person, invitation, purpose, &public_url);
        let (password_link, claim_link) = (link(LinkPurpose::Invitation)?, link(LinkPurpose::ClaimKey)?);
        let invited = Zeroizing::new(Invitation {
            brand,
            // An earlier permitd accepted names that could make a mail look like another.
            name: person.name.as_ref().and_then(|name| one_line(name.known()?).ok()?).map(ToOwned::to_owned),
            invited_by: None,
            public_url,
            contact,
            datasets,
            key: links.delivery.key.then(|| key.reveal().to_owned()),
            claim_link: claim_link.filter(|_| !links.delivery.key),
            password_link: password_link.filter(|_| links.delivery.sign_in),
            example_path,
            limits: templates::MailedLimits { rate_per_s: rate_per_s.to_string(), burst, quota_per_day },
        });
        let rendered = self.offering.templates.invitation(&invited)?;
        Ok(Some(Zeroizing::new(OutgoingMail {
            to: to.to_owned(),
            recipient: Some(person.id),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            message_id: format!("{}{key_id}", InvitationMail::id_prefix(invitation)),
            headers: Vec::new(),
        })))
    }
}

/// 1 if the command was carried out just now, else 0.
fn newly(committed: &Committed) -> u64 {
    u64::from(!committed.repeated && !committed.events.is_empty())
}
