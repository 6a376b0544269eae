//! `permitd demo`: a complete server with sample data.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    CommandAnswer, Common, Exit, Failure,
    invite::invite_one,
    open::{DATA_VARIABLE, origin, quiet_log},
    output::{counted, facts},
    people::mailing,
    serve::{self, Addresses, Signals, announce, sign_in_url},
};
use crate::{
    actors::{
        import::{ImportProgress, Order},
        invite::Invitee,
        tokens::TokenOrder,
    },
    app::{self, Node, Purpose},
    dataset::sample::{SampleFormat, generate},
    domain::{
        admin_token::Others,
        event::Role,
        id::UserId,
        key::{KEY_CHARS, PREFIX, PresentedKey},
        link::{LINK_CHARS, LINK_PREFIX, PresentedLink},
        permission::Permissions,
        view::KeyRow,
    },
    store::StoreError,
};

/// Where the demo keeps its data unless told otherwise.
const DATA: &str = "./permitd-demo";
/// What its administrator's token is called.
const TOKEN: &str = "demo";
/// The data set.
const DATA_SET: &str = "permits";
/// Rows of the generated sample.
const ROWS: u64 = 2_000;
/// The seed of the generated sample.
const SEED: u64 = 2016;
/// The first user.
const EMAIL: &str = "ana@example.org";
/// The number of the sample's reference record.
const NUMBER: &str = "201612013997";
/// Largest mail that is read.
const MAIL_BYTES_MAX: u64 = 1 << 20;
/// How long the mail may take.
const MAIL_PATIENCE: Duration = Duration::from_secs(20);

/// See it work: sample data, an administrator, a first user with a key by mail, and the server
///
/// Everything is in ./permitd-demo unless --data or PERMITD_DATA say otherwise. Run again it goes on with what is there. Mails
/// are files, also where the settings name an SMTP server.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd demo
  permitd demo --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0      when the usual ports are taken")]
pub(super) struct Demo {
    #[command(flatten)]
    addresses: Addresses,
}

impl Demo {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let is_named = common.data.is_some() || std::env::var_os(DATA_VARIABLE).is_some_and(|data| !data.is_empty());
        let mut flags = self.addresses.flags().to_vec();
        flags.push(("mail.transport", Some("file".to_owned())));
        flags.push(("data", (!is_named).then(|| DATA.to_owned())));
        let settings = common.settings(&flags)?;
        quiet_log(&settings)?;
        app::block_on(async {
            let mut signals = Signals::listen()?;
            let (mut server, _) = serve::start(settings, Purpose::Serve).await.map_err(other_ports)?;
            let first_admin_token = server.take_first_admin_token();
            tokio::select! {
                ready = prepare(server.node(), first_admin_token) => announce(&ready?, common.json)?,
                () = signals.next() => return serve::stop(server, signals).await,
            }
            signals.next().await;
            serve::stop(server, signals).await
        })
    }
}

/// A taken address is the first thing that goes wrong with a demo.
fn other_ports(mut failure: Failure) -> Failure {
    if failure.message.contains("listen = ") {
        failure
            .message
            .push_str("; this takes any that is free: `permitd demo --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0`");
    }
    failure
}

/// A token that may everything, instead of that of the demo before: the link to sign in with is shown at each start.
async fn demo_token(node: &Node) -> Result<Zeroizing<String>, Failure> {
    let service = &node.service;
    let rows = service.committer.stores.views.admin_tokens().await?;
    for row in rows.iter().filter(|row| row.name == TOKEN && row.revoked_at.is_none()) {
        service.tokens.revoke(row.id, node.envelope()?).await?;
    }
    let order = TokenOrder { name: Some(TOKEN.to_owned()), permissions: Permissions::ALL, expires_at: None };
    let made = service.tokens.issue(order, Others::Stay, node.envelope()?).await?;
    let token = made.and_then(|made| made.shown.ok());
    let lost = || Failure::new(Exit::Damaged, "the token was made but cannot be shown; please report this");
    Ok(Zeroizing::new(token.ok_or_else(lost)?.reveal().to_owned()))
}

/// Sees that everything is there, and tells what.
async fn prepare(node: &Node, first_admin_token: Option<Zeroizing<String>>) -> Result<CommandAnswer, Failure> {
    let service = &node.service;
    let is_new = service.records.data_set(DATA_SET).is_none();
    if is_new {
        import_sample(node).await?;
    }
    let token = match first_admin_token {
        Some(token) => token,
        // Only the earlier token's hash is stored. That token stays valid: the directory may serve more than a demo.
        None => demo_token(node).await?,
    };
    let Mailed { key, link } = user_mail(node).await?;
    let records = service.records.data_set(DATA_SET).map_or(0, |data_set| data_set.records);
    let (url, outbox) = (&service.public_url, service.settings.outbox());
    let curl = format!("curl -H 'x-api-key: {key}' {url}/{DATA_SET}/{NUMBER}");
    let sign_in = sign_in_url(url, &token);
    let user_sign_in = user_sign_in(node, link.as_deref()).await;
    let data = service.settings.data.display();
    let head = match is_new {
        true => format!("permitd demo: {} in {data}", counted(records, "sample permit")),
        false => {
            format!("permitd demo: goes on with {} in {data}; the sign-in link is new", counted(records, "permit"))
        }
    };
    let lines = [
        ("pages", url.clone()),
        ("API", format!("{url}/{DATA_SET}")),
        ("administrator", sign_in.clone()),
        ("user", EMAIL.to_owned()),
        ("they sign in", user_sign_in.clone()),
        ("their key", format!("{key}  (from the mail)")),
        ("mails", outbox.display().to_string()),
    ];
    let text = format!(
        "{head}\n\n{}\nOpen a link in a browser, or try it here:\n\n{curl}\n\nCtrl-C ends it.\n",
        facts(&lines)
    );
    let document = json!({
        "url": url, "data": service.settings.data, "is_new": is_new, "records": records, "admin_token": token.as_str(),
        "sign_in_url": sign_in, "email": EMAIL, "user_sign_in_url": user_sign_in, "key": key, "outbox": outbox, "curl": curl,
    });
    Ok(CommandAnswer::new(document, text))
}

async fn import_sample(node: &Node) -> Result<(), Failure> {
    let mut file = Cursor::new(Vec::new());
    generate(ROWS, SEED, SampleFormat::Csv, &mut file)?;
    file.set_position(0);
    let definition = node.definition(DATA_SET).cloned();
    let definition = definition.ok_or_else(|| Failure::not_found(format!("there is no definition of {DATA_SET}")))?;
    let id = node.service.committer.new_id().map_err(|error| Failure::unavailable(error.to_string()))?;
    let order = Order {
        file: Box::new(file),
        file_name: "sample.csv".to_owned(),
        reading: Arc::clone(&definition),
        definition,
        replace: false,
        confirmed: false,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: origin(id),
        progress: Arc::new(ImportProgress::default()),
    };
    node.service.imports.import(order).await?;
    Ok(())
}

/// What stands in the sample user's mail.
struct Mailed {
    key: String,
    /// The token of the link to set a password with.
    link: Option<String>,
}

/// Where the sample user signs in: by the link of the mail while it works, and by their password from then on.
async fn user_sign_in(node: &Node, link: Option<&str>) -> String {
    let url = &node.service.public_url;
    match link.and_then(|token| Some((token, PresentedLink::parse(token)?))) {
        Some((token, link)) if node.service.sign_ins.behind(&link).await.is_ok() => format!("{url}/links/{token}"),
        _ => format!("{url}/sign-in"),
    }
}

/// What stands in the sample user's mail. Invites them first, or mails them again when the mail is gone.
async fn user_mail(node: &Node) -> Result<Mailed, Failure> {
    let views = &node.service.committer.stores.views;
    let Some(user) = views.user_by_email(EMAIL).await? else {
        let invitee = Invitee {
            email: super::people::email(EMAIL)?,
            name: Some("Ana".to_owned()),
            role: Role::Reader,
            plan: node.service.settings.users.default_plan.clone(),
        };
        let (document, _) = invite_one(node, invitee).await?;
        let id = document.get("id").and_then(|id| id.as_str()).unwrap_or_default();
        let id = UserId::parse(id).map_err(|error| Failure::unavailable(error.to_string()))?;
        return wait_for_mail(node, id).await;
    };
    if let Some(mailed) = mailed(node, user.id).await? {
        return Ok(mailed);
    }
    let committed = node.service.inviting.resend(user.id, node.envelope()?).await?;
    let since = committed.events.last().map_or(user.changed_at, |event| event.recorded_at);
    mailing(node, user.id, since).await?;
    wait_for_mail(node, user.id).await
}

async fn wait_for_mail(node: &Node, user: UserId) -> Result<Mailed, Failure> {
    let look = async {
        loop {
            if let Some(mailed) = mailed(node, user).await? {
                return Ok(mailed);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(MAIL_PATIENCE, look).await.unwrap_or_else(|_| {
        let outbox = node.service.settings.outbox();
        Err(Failure::unavailable(format!("no mail with a key came to {}; can it be written?", outbox.display())))
    })
}

/// A key that works, read from the newest mail that carries it, with the link beside it.
async fn mailed(node: &Node, user: UserId) -> Result<Option<Mailed>, Failure> {
    let keys = node.service.committer.stores.views.keys(user).await?;
    let works = |key: &KeyRow| key.revoked_at.is_none() && key.valid_until.is_none() && key.mailed_at.is_some();
    let keys: Vec<KeyRow> = keys.into_iter().filter(works).collect();
    let outbox = node.service.settings.outbox();
    let read = tokio::task::spawn_blocking(move || in_mails(&outbox, &keys)).await;
    let read = read.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    read.map_err(|error| Failure::unavailable(format!("the mails cannot be read: {error}")))
}

fn in_mails(outbox: &Path, keys: &[KeyRow]) -> std::io::Result<Option<Mailed>> {
    if !outbox.is_dir() {
        return Ok(None);
    }
    let mut mails: Vec<PathBuf> =
        std::fs::read_dir(outbox)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    mails.sort();
    for path in mails.iter().rev() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(key) = keys.iter().find(|key| name.ends_with(&format!("-{}.eml", key.id))) else { continue };
        if std::fs::metadata(path)?.len() > MAIL_BYTES_MAX {
            continue;
        }
        let mail = std::fs::read_to_string(path)?;
        let whole = |(at, _): (usize, &str)| mail.get(at..at + KEY_CHARS);
        let is_theirs = |text: &&str| PresentedKey::parse(text.as_bytes()).is_some_and(|found| found.id() == key.id);
        if let Some(text) = mail.match_indices(PREFIX).filter_map(whole).find(is_theirs) {
            let link = mail.find(LINK_PREFIX).and_then(|at| mail.get(at..at + LINK_CHARS));
            return Ok(Some(Mailed { key: text.to_owned(), link: link.map(ToOwned::to_owned) }));
        }
    }
    Ok(None)
}
