//! Builds a node from its settings: opens the stores, starts the actors, and makes what a first start needs.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use jiff::SignedDuration;
use zeroize::Zeroizing;

use super::{
    Premises, Purpose, StartError,
    admin_token::first_admin_token,
    backend::{self, ShownCopy},
    data_dir,
    definitions::{self, definitions},
};
use crate::{
    actors::{
        account::Accounts,
        commit::{Committer, Envelope},
        grants::GrantBook,
        hashing::HashingPool,
        import::{ImportSettings, Imports},
        invite::Inviting,
        leaks::Leaks,
        lineage::Lineages,
        mailer::{LinkPolicy, Mailers, Offer, Offering, Polling},
        notices::Notices,
        provider::ProviderSignIns,
        relay::Relay,
        session_uses::SessionUses,
        sign_in::{SignInPolicy, SignIns},
        tokens::Tokens,
    },
    aws::Access,
    clock::SharedClock,
    config::{Settings, accounts::SecondFactorDemand},
    dataset::{Definition, cursor::CursorKey, reader::ReadLimits},
    domain::{
        event::Origin,
        fulfilment::MailContents,
        guard::GuardLimits,
        id::{CommandId, Who},
        key::{AdminToken, KeyId, SECRET_BYTES},
        plan::{self, DEFAULT_PLAN, KeyRules},
    },
    http::{
        checkup::Checkup,
        pages::Look,
        ready::ReadyAnswers,
        state::{AdminTokenOfRun, OldToken, Readiness, Rehearsed, Service, followers},
    },
    identity::OpenIdProvider,
    mail::{self, settings::MailDelivery, templates::Templates},
    passwords::PasswordHashing,
    queue::Queue,
    secrets::{Entropy, Secrets},
    store::{
        Stores,
        records::{DataSet, RecordStore},
    },
};

/// How long a start waits for the publication of what others left unpublished.
const SWEEP_PATIENCE: Duration = Duration::from_secs(30);

/// A node: everything but the servers. It lives on an arbiter's thread, as its actors do.
pub struct Node {
    /// What routes and commands use.
    pub service: Service,
    /// The definitions that files are imported by.
    pub definitions: Vec<Arc<Definition>>,
    /// The administrator's token, when this start of a server made the first one: shown once.
    pub first_admin_token: Option<Zeroizing<String>>,
    /// Whether a server uses the data directory at the same time.
    pub beside_server: bool,
    /// The data directory that the node serves, with its locks.
    pub(super) premises: Option<Premises>,
}

impl Node {
    /// Opens what the settings name, makes a missing data directory, and starts the actors on the calling thread's arbiter. Without `aws`,
    /// the environment's access to AWS is used where one is needed.
    ///
    /// # Errors
    /// [`StartError`]: what is wrong and what to do.
    pub async fn open(
        settings: Settings,
        clock: SharedClock,
        entropy: Arc<dyn Entropy>,
        purpose: Purpose,
        public_address: SocketAddr,
        aws: Option<Access>,
    ) -> Result<Self, StartError> {
        let purpose = backend::purpose_on(&settings, purpose)?;
        let definitions = definitions(settings.datasets())?;
        let templates = Templates::load(settings.mail.templates())?;
        let kept = backend::open(&settings, &clock, &*entropy, purpose, aws).await?;
        let (beside_server, premises) = (kept.beside_server, kept.premises);
        let clock = kept.rehearsed.as_ref().map_or(clock, |shown| Arc::clone(&shown.clock));
        let committer = Committer::new(kept.stores, kept.queue, clock, entropy, kept.secrets.clone())
            .keeping_answers_for(settings.commands.idempotency_days);
        let parts = NodeParts {
            committer: Arc::new(committer),
            records: kept.records,
            mailer: kept.mailer,
            templates,
            feedback: kept.feedback,
            secrets: kept.secrets,
            shared: kept.shared,
            aws: kept.aws,
        };
        if let Some(shown) = kept.rehearsed {
            return Self::to_show(settings, public_address, parts, shown, definitions, premises).await;
        }
        let is_shared = parts.shared;
        let mut service = start_actors(settings, public_address, parts, purpose)?;
        let take_over =
            Envelope { command: CommandId::unique(service.committer.new_id()?), ..system_envelope("tokens") };
        service.tokens.take_over(&take_over).await?;
        // A command must not make the first token: nobody would get to see it.
        let first_admin_token = match purpose {
            Purpose::Serve => first_admin_token(&service).await?,
            Purpose::Command | Purpose::ReplaceSecret | Purpose::Rehearse => None,
        };
        service.old_tokens = Arc::new(old_tokens(&service.committer.stores).await?);
        first_plan(&service).await?;
        let node = Self { service, definitions, first_admin_token, beside_server, premises };
        if is_shared && purpose == Purpose::Serve {
            // The rows that lead to a dead import may still be unwritten.
            match tokio::time::timeout(SWEEP_PATIENCE, node.service.relay.sweep_everything()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "what others left unpublished cannot be swept yet; trying again later");
                }
                Err(_) => {
                    tracing::warn!("others left much unpublished; the rest of it is swept while this server serves")
                }
            }
        }
        if !beside_server {
            node.service.imports.recover().await?;
        }
        if purpose == Purpose::Serve {
            let spool = data_dir::spool(&node.service.settings.data);
            node.service.imports.clear_unfinished().map_err(|source| StartError::Io {
                doing: "cannot remove unfinished files in",
                path: spool,
                source,
            })?;
            node.service.imports.tend().await?;
            warn_of_default_plan(&node.service).await?;
            node.service.lineages.judge_all().await?;
        }
        Ok(node)
    }

    /// A node that only shows what is there: it takes nothing over, makes nothing, sweeps nothing. Its token is known to this process alone.
    async fn to_show(
        settings: Settings,
        public_address: SocketAddr,
        parts: NodeParts,
        shown: ShownCopy,
        definitions: Vec<Arc<Definition>>,
        premises: Option<Premises>,
    ) -> Result<Self, StartError> {
        let entropy = Arc::clone(&parts.committer.entropy);
        let mut service = start_actors(settings, public_address, parts, Purpose::Rehearse)?;
        service.old_tokens = Arc::new(old_tokens(&service.committer.stores).await?);
        let (token, of_run) = token_of_run(&*entropy)?;
        service.rehearsed = Some(Arc::new(Rehearsed { of: shown.of, as_of: shown.as_of, token: of_run }));
        service.lineages.judge_all().await?;
        Ok(Self { service, definitions, first_admin_token: Some(token), beside_server: false, premises })
    }

    /// The definition of a data set, if there is one.
    pub fn definition(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.iter().find(|definition| definition.name == name)
    }
}

/// A token for as long as this process lives.
fn token_of_run(entropy: &dyn Entropy) -> Result<(Zeroizing<String>, AdminTokenOfRun), StartError> {
    let (mut random, mut secret) = ([0; 12], Zeroizing::new([0; SECRET_BYTES]));
    entropy.fill(&mut random)?;
    entropy.fill(&mut *secret)?;
    let id = KeyId::from_random(random);
    let token = AdminToken::new(id, &secret);
    Ok((Zeroizing::new(token.reveal().to_owned()), AdminTokenOfRun { id, hash: token.hash() }))
}

/// What the actors are built of.
struct NodeParts {
    committer: Arc<Committer>,
    records: Arc<dyn RecordStore>,
    mailer: Arc<dyn mail::Mailer>,
    templates: Templates,
    feedback: Option<Arc<dyn Queue>>,
    secrets: Secrets,
    shared: bool,
    aws: Option<Access>,
}

fn start_actors(
    settings: Settings,
    public_address: SocketAddr,
    parts: NodeParts,
    purpose: Purpose,
) -> Result<Service, StartError> {
    let NodeParts { committer, records, mailer, templates, feedback, secrets, shared, aws } = parts;
    let (capacity, patience) = (settings.actors.mailbox_capacity, settings.actors.send_timeout());
    let life = settings.admission.grant_ttl();
    let public_url = settings.public_url(public_address);
    let ready = Arc::new(ReadyAnswers::new(settings.http.ready_bytes_max));
    let cursor_key = CursorKey::new(secrets.cursor_key());
    let ledger = Arc::clone(&committer.stores.ledger);
    let serving = purpose == Purpose::Serve;
    let notices =
        Notices::start(Arc::clone(&committer), settings.mail.notices_interval().filter(|_| serving), capacity);
    let book = GrantBook::new(ledger, Arc::clone(&committer.clock), secrets, life);
    let book = book.refusing(committer.stores.quarantines.clone());
    let demands_factor = settings.accounts.second_factor == SecondFactorDemand::Administrators;
    let changes = purpose != Purpose::Rehearse;
    let book = book.with_sessions(changes.then(|| SessionUses::new(Arc::clone(&committer))), demands_factor);
    let book = Arc::new(book.telling((changes && settings.mail.notices).then(|| notices.clone())));
    let elsewhere = shared.then_some(life);
    let default_plan = settings.users.default_plan.as_str();
    let accounts =
        Accounts::start(Arc::clone(&committer), Arc::clone(&book), elsewhere, default_plan, capacity, patience);
    let tokens = Tokens::start(Arc::clone(&committer), capacity, patience);
    let polling = Polling {
        poll_interval: Duration::from_millis(settings.queue.poll_interval_ms),
        wait: Duration::from_secs(settings.queue.wait_s),
    };
    let lineages = Arc::new(Lineages::new(Arc::clone(&committer), Arc::clone(&records)));
    let own_mailer = Arc::clone(&mailer);
    let mailers = Mailers::start(
        Arc::clone(&committer),
        mailer,
        offering(&settings, &public_url, &lineages).in_words(templates),
        Duration::from_secs(settings.queue.visibility_s.into()),
        settings.mail.retry_for(),
        settings.mail.notices,
        settings.actors.mailers,
        serving.then_some(polling),
        capacity,
    );
    let mailers = match feedback.filter(|_| serving) {
        Some(queue) => mailers.listening(queue, polling, capacity),
        None => mailers,
    };
    let importing = importing(&settings, &records);
    let look = Look::open(&settings.pages).map_err(StartError::Look)?;
    let sign_ins = Arc::new(sign_ins(&settings, &committer, &book)?);
    let inviting = Inviting::start(Arc::clone(&committer), settings.mail.invitation_bounds(), capacity, patience);
    let provider = if changes { provider(&settings, &public_url, &sign_ins, &inviting)? } else { None };
    let sweep_interval = changes.then(|| Duration::from_millis(settings.relay.sweep_interval_ms));
    Ok(Service {
        sign_ins,
        provider,
        inviting,
        leaks: Leaks::start(Arc::clone(&committer), accounts.clone(), tokens.clone(), capacity),
        accounts,
        relay: Relay::start(Arc::clone(&committer), sweep_interval, capacity),
        mailers,
        mailer: own_mailer,
        notices,
        imports: Imports::start(Arc::clone(&committer), Arc::clone(&records), importing),
        shares: backend::shares(&settings),
        lineages,
        settings: Arc::new(settings),
        public_url,
        committer,
        book,
        records,
        cursor_key,
        ready,
        aws,
        readiness: Readiness::default(),
        followers: followers(),
        checkup: Arc::new(Checkup::new(shared)),
        old_tokens: Arc::default(),
        token_uses: Arc::default(),
        tokens,
        look: Arc::new(look),
        meter: Arc::default(),
        rehearsed: None,
    })
}

fn sign_ins(settings: &Settings, committer: &Arc<Committer>, book: &Arc<GrantBook>) -> Result<SignIns, StartError> {
    let of = &settings.accounts;
    let hashing = PasswordHashing::new(of.argon2_memory_kib, of.argon2_iterations, of.argon2_parallelism)?;
    let pool = HashingPool::new(hashing, Arc::clone(&committer.entropy), of.hash_threads, of.hash_queue_max);
    let policy = SignInPolicy {
        reset_link: SignedDuration::from_mins(of.reset_link_min.into()),
        resets_per_hour: settings.mail.invitations_per_person_per_hour,
        session: SignedDuration::from_hours(of.session_h.into()),
        idle_s: of.session_idle_min.saturating_mul(60),
        bounds: of.bounds(),
        slowing: of.slowing(),
        password_chars_min: of.password_chars_min,
    };
    Ok(SignIns::new(Arc::clone(committer), pool, policy, Arc::clone(book)))
}

/// Makes the sign-in at the provider of the settings, if they name one.
fn provider(
    settings: &Settings,
    public_url: &str,
    sign_ins: &Arc<SignIns>,
    inviting: &Inviting,
) -> Result<Option<Arc<ProviderSignIns>>, StartError> {
    let of = &settings.oidc;
    if !of.is_on() {
        return Ok(None);
    }
    let clock = Arc::clone(&sign_ins.committer().clock);
    let provider = OpenIdProvider::new(of.clone(), format!("{public_url}/sign-in/provider/callback"), clock)?;
    let (sign_ins, inviting, plan) = (Arc::clone(sign_ins), inviting.clone(), settings.users.default_plan.clone());
    Ok(Some(Arc::new(ProviderSignIns::new(Arc::new(provider), of.policy(), sign_ins, inviting, plan))))
}

/// What the links in mails need.
fn link_policy(settings: &Settings) -> LinkPolicy {
    let of = &settings.accounts;
    let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
    let delivery = MailContents { key: settings.mail.delivery == MailDelivery::Key, sign_in: of.sign_in };
    LinkPolicy { delivery, invitation: hours(of.invitation_link_h), claim: hours(of.claim_link_h) }
}

/// How files are imported.
fn importing(settings: &Settings, records: &Arc<dyn RecordStore>) -> ImportSettings {
    let import = &settings.import;
    let limits =
        ReadLimits { rows_max: import.rows_max, sheet_bytes_max: import.inflate_bytes_max, ..ReadLimits::default() };
    let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
    ImportSettings {
        limits,
        guard: GuardLimits {
            removed_percent: import.removed_max,
            rejected_percent: import.rejected_max,
            nulled_percent: import.nulled_max,
        },
        rejects: data_dir::rejects(&settings.data),
        spool: data_dir::spool(&settings.data),
        node: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        held_for: days(import.held_days),
        kept_for: days(import.rejects_days),
        file_bytes_max: import.file_bytes_max,
        free_bytes_min: import.free_bytes_min,
        uploads_max: import.uploads_max,
        uploads_per_caller_max: import.uploads_per_caller_max,
        definitions: definitions::finder(settings.datasets(), records),
        defined: definitions::names(settings.datasets()),
        mailbox_capacity: settings.actors.mailbox_capacity,
    }
}

/// What invitations offer: the data sets that are served at the time of the mail.
fn offering(settings: &Settings, public_url: &str, lineages: &Arc<Lineages>) -> Offering {
    let (brand, public_url, lineages) = (settings.mail.brand.clone(), public_url.to_owned(), Arc::clone(lineages));
    let contact = settings.mail.contact().map(ToOwned::to_owned);
    let links = link_policy(settings);
    Offering::new(move || {
        let mut data_sets = lineages.not_lost();
        data_sets.retain(|data_set| !data_set.standing.withdrawn);
        let offered = |data_set: &Arc<DataSet>| mail::templates::Dataset {
            title: data_set.definition.title.clone(),
            path: format!("/{}", data_set.definition.name),
        };
        Offer {
            brand: brand.clone(),
            public_url: public_url.clone(),
            contact: contact.clone(),
            datasets: data_sets.iter().map(offered).collect(),
            links,
        }
    })
}

/// The administrators' tokens, by their hashes.
async fn old_tokens(stores: &Stores) -> Result<HashMap<String, OldToken>, StartError> {
    let earlier: HashMap<String, String> =
        stores.admin_tokens.earlier().await?.into_iter().map(|token| (token.hash.to_hex(), token.id)).collect();
    let known = stores.views.admin_tokens().await?.into_iter().map(|row| {
        let (hash, id) = (row.hash.to_hex(), row.id);
        let who = Who::token(&earlier.get(&hash).map_or_else(|| id.to_string(), Clone::clone));
        (hash, OldToken { id, who })
    });
    Ok(known.collect())
}

async fn first_plan(service: &Service) -> Result<(), StartError> {
    if service.committer.stores.views.plan(DEFAULT_PLAN).await?.is_none() {
        let limits = plan::Limits::default();
        service
            .accounts
            .define_plan(DEFAULT_PLAN.to_owned(), limits, KeyRules::default(), system_envelope("first-plan"))
            .await?;
    }
    Ok(())
}

/// Warns that invitations without a plan will be refused, when nobody can be given the settings' default plan.
async fn warn_of_default_plan(service: &Service) -> Result<(), StartError> {
    let name = &service.settings.users.default_plan;
    if service.committer.stores.views.plan(name).await?.is_none_or(|plan| plan.retired) {
        tracing::warn!(
            plan = name,
            "users.default_plan names a plan that does not exist or was retired: invitations that name none are refused; \
             `permitd plans set` makes it"
        );
    }
    Ok(())
}

/// The envelope of the node's own commands.
fn system_envelope(command: &str) -> Envelope {
    Envelope::new(
        CommandId::stored(command),
        Origin { who: Who::system("start"), correlation_id: command.to_owned(), causation_id: None },
    )
}
