//! P14: pages for people: how long the server takes until the first byte of each, and what each weighs as browsers get it.
//!
//! Every page is asked for by an administrator, by somebody who reads, and by somebody whom nobody knows; most are for some of them
//! only, and the others get another page or are led elsewhere, which is measured as well. What hashes a password is no page: signing in
//! and setting a password take as long as the hash is meant to take. Nor is a link measured that is over: whoever tries several is put off.

mod browser;
mod world;

use std::{collections::BTreeMap, time::Duration};

use self::{browser::Browser, world::World};
use crate::{
    Outcome, Plan,
    load::median,
    process::{LOAD_CORE, Server},
    report::{Finding, show},
};

/// How often each page is asked for.
const TIMES: usize = 300;
/// A page that takes longer is asked for as often as fits.
const ASKED_FOR: Duration = Duration::from_secs(5);
/// What a page may take, milliseconds of the server and bytes with its style and its script.
const FIRST_BYTE_MS: f64 = 5.0;
const KB_MAX: f64 = 60.0;
/// A page's usual size, for the constant answer.
const CONSTANT_BYTES: usize = 16 * 1024;
/// The table of pages, which says what there is.
const FILES: &str = include_str!("../../src/http/pages/files.rs");

/// A page that is nothing but the answer to a form.
const ANSWERED: &str = "again";

/// A page to look at.
struct Page {
    /// The folder of its template.
    template: &'static str,
    /// What is special about it.
    state: &'static str,
    path: String,
    /// Whether it asks what only a scan of all records can answer: it is told, and is not part of the goal.
    scans: bool,
}

/// One page, as one visitor gets it.
struct Measured {
    name: String,
    who: &'static str,
    scans: bool,
    status: u16,
    p50_ms: f64,
    p99_ms: f64,
    document: usize,
    style: usize,
    script: usize,
    /// Styles and scripts that it asks for.
    files: usize,
    coding: String,
}

impl Measured {
    fn kb(&self) -> f64 {
        (self.document + self.style + self.script) as f64 / 1000.0
    }

    fn named(&self) -> String {
        format!("{} ({})", self.name, self.who)
    }
}

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let mut world = World::new(plan)?;
    let pages = pages(&world);
    if let Some(folder) =
        folders().find(|folder| *folder != ANSWERED && !pages.iter().any(|page| page.template == *folder))
    {
        return Err(format!("the page {folder} is not measured").into());
    }
    let constant = Server::constant(CONSTANT_BYTES, &plan.scratch)?;
    let (nothing, measured) = on_core(|| -> Outcome<((f64, f64), Vec<Measured>)> {
        let nothing @ (nothing_ms, _) = times(&mut Browser::open(constant.address)?, "/")?;
        let mut visitors = [
            ("administrator", world.browser(&world.admin)?),
            ("reader", world.browser(&world.reader)?),
            ("nobody", Browser::open(world.server.address)?),
        ];
        let mut measured = Vec::new();
        for page in &pages {
            for (who, browser) in &mut visitors {
                measured.push(look(page, who, browser, nothing_ms)?);
            }
        }
        let code = Page { template: "sign_in/code", state: "", path: "/sign-in/code".to_owned(), scans: false };
        measured.push(look(&code, "halfway in", &mut world.halfway, nothing_ms)?);
        let codes = Page { template: "home/codes", path: "/home/security/codes".to_owned(), ..code };
        measured.push(look(&codes, "with new codes", &mut world.codes, nothing_ms)?);
        Ok((nothing, measured))
    })?;
    detail(&measured);
    findings(&measured, nothing)
}

/// Does something on the core of the load.
fn on_core<T: Send>(work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    let core: usize = LOAD_CORE.parse()?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let mut cores = rustix::thread::CpuSet::new();
            cores.set(core);
            rustix::thread::sched_setaffinity(None, &cores)?;
            work()
        });
        thread.join().map_err(|_| "the measurement has panicked")?
    })
}

/// The folders of all pages, from the table of them.
fn folders() -> impl Iterator<Item = &'static str> {
    let list =
        FILES.split_once("= &folders![").and_then(|(_, rest)| rest.split_once("];")).map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2)
}

fn pages(world: &World) -> Vec<Page> {
    let page = |template, state, path: &str| Page { template, state, path: path.to_owned(), scans: false };
    let scan = |state, path: &str| Page { template: "explore", state, path: path.to_owned(), scans: true };
    let [done, rejects, held] = &world.imports;
    vec![
        page("front", "", "/"),
        page("sign_in", "", "/sign-in"),
        page("sign_in/code", "too late", "/sign-in/code"),
        page("sign_in/forgotten", "", "/sign-in/forgotten"),
        page("sign_in/forgotten", "sent", "/sign-in/forgotten/sent"),
        page("links", "invitation", &world.link),
        page("problem", "list", "/problems"),
        page("problem", "one", "/problems/quota-exceeded"),
        page("problem", "no such page", "/there/is/none"),
        page("problem", "no key", "/permits"),
        page("about", "", "/permits/about"),
        page("explore", "", "/permits/explore"),
        page("explore", "250 rows", "/permits/explore?limit=250"),
        page("explore", "an index has it", "/permits/explore?status=issued&sort=status_date"),
        page(
            "explore",
            "an index, backwards",
            "/permits/explore?status=issued&estimated_cost__gte=100000&sort=-estimated_cost",
        ),
        page("explore", "nothing found, indexed", "/permits/explore?block=none"),
        scan("sorted by an unindexed column", "/permits/explore?sort=-revised_cost"),
        scan("a text matches nothing", "/permits/explore?description__contains=lighthouse"),
        scan("a text matches often", "/permits/explore?description__contains=window"),
        scan("all are counted", "/permits/explore?status=issued&count=exact"),
        scan("values of an indexed column", "/permits/explore?values-of=status"),
        scan("values of an unindexed column", "/permits/explore?values-of=existing_use"),
        scan("chart of an unindexed column", "/permits/explore?chart-of=revised_cost"),
        scan("chart of dates", "/permits/explore?chart-of=file_date"),
        scan("chart, with a filter of an index", "/permits/explore?status=issued&chart-of=existing_use"),
        page("explore/record", "", &format!("/permits/explore/{}", world.record)),
        page("home", "", "/home"),
        page("home/examples", "", "/home/examples"),
        page("home/key", "new", "/home/keys/new"),
        page("home/key", "", &format!("/home/keys/{}", world.key)),
        page("home/security", "", "/home/security"),
        page("home/usage", "", "/home/use"),
        page("admin/overview", "", "/admin"),
        page("admin/people", "", "/admin/people"),
        page("admin/people", "search", "/admin/people?search=number"),
        page("admin/people", "disabled", "/admin/people?status=disabled"),
        page("admin/people", "invitation", "/admin/people?invitation=expired"),
        page("admin/person", "", &format!("/admin/people/{}", world.person)),
        page("admin/person", "in the past", &format!("/admin/people/{}?as_of=2026-01-01", world.person)),
        page("admin/invite", "", "/admin/people/invite"),
        page("admin/plans", "", "/admin/plans"),
        page("admin/plan", "", "/admin/plans/plan-1"),
        page("admin/tokens", "", "/admin/tokens"),
        page("admin/events", "", "/admin/events"),
        page("admin/data", "", "/admin/data"),
        page("admin/data_set", "", "/admin/data/permits"),
        page("admin/imports", "", "/admin/imports"),
        page("admin/import", "done", &format!("/admin/imports/{done}")),
        page("admin/import", "with rejects", &format!("/admin/imports/{rejects}")),
        page("admin/import", "held", &format!("/admin/imports/{held}")),
        page("admin/sent_file", "", &format!("/admin/imports/files/{}", world.file)),
        page("admin/mail", "", "/admin/mail"),
        page("admin/health", "", "/admin/health"),
        page("admin/undone", "", "/admin/undone"),
        page("docs", "", "/docs"),
        page("docs/definitions", "", "/docs/definitions"),
        page("docs/reference", "", "/docs/reference"),
        page("docs/reference", "administration", "/docs/admin"),
        page("docs/reference/operation", "", "/docs/reference/permits_list"),
        page("docs/reference/operation", "administration", "/docs/admin/invite_users"),
        page("home/codes", "", "/home/security/codes"),
    ]
}

/// Asks for a page again and again: the time until the first byte, half and 99 of 100, milliseconds.
fn times(browser: &mut Browser, path: &str) -> Outcome<(f64, f64)> {
    let started = std::time::Instant::now();
    let mut times = Vec::new();
    while times.len() < TIMES && (started.elapsed() < ASKED_FOR || times.len() < 20) {
        times.push(browser.look(path)?.first_byte.as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let p99 = times.get((times.len() * 99).div_ceil(100).max(1) - 1).copied().unwrap_or(f64::NAN);
    Ok((median(times), p99))
}

fn look(page: &Page, who: &'static str, browser: &mut Browser, nothing_ms: f64) -> Outcome<Measured> {
    let first = browser.look(&page.path)?;
    let (p50_ms, p99_ms) = times(browser, &page.path)?;
    let last = browser.read(&page.path)?;
    if last.status != first.status {
        return Err(format!("{}: {} at first, and {} in the end", page.path, first.status, last.status).into());
    }
    let text = last.text();
    let (style, script) = (linked(&text, "<link rel=\"stylesheet\" href=\""), linked(&text, "<script src=\""));
    let files = style.len() + script.len();
    let mut sent = |paths: Vec<&str>| -> Outcome<usize> {
        let bytes = paths.iter().map(|path| Ok(browser.look(path)?.bytes));
        bytes.sum::<Outcome<usize>>()
    };
    let name =
        if page.state.is_empty() { page.template.to_owned() } else { format!("{}, {}", page.template, page.state) };
    Ok(Measured {
        name,
        who,
        scans: page.scans,
        status: first.status,
        p50_ms: (p50_ms - nothing_ms).max(0.0),
        p99_ms: (p99_ms - nothing_ms).max(0.0),
        document: first.bytes,
        style: sent(style)?,
        script: sent(script)?,
        files,
        coding: first.field("content-encoding").unwrap_or("as it is").to_owned(),
    })
}

/// The addresses of the files that a page asks for.
fn linked<'p>(page: &'p str, before: &str) -> Vec<&'p str> {
    page.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Prints every page.
fn detail(measured: &[Measured]) {
    println!(
        "| page | who | status | first byte, p50 ms | p99 ms | document, bytes | coded | with style and script, KB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for page in measured {
        let Measured { name, who, status, p50_ms, p99_ms, document, coding, .. } = page;
        println!(
            "| {name} | {who} | {status} | {} | {} | {document} | {coding} | {} |",
            show(*p50_ms),
            show(*p99_ms),
            show(page.kb())
        );
    }
}

fn findings(measured: &[Measured], nothing: (f64, f64)) -> Outcome<Vec<Finding>> {
    const GOAL: &str = "P14";
    let named = |pages: Vec<(&Measured, f64)>, unit: &str| {
        let told = |(page, value): (&Measured, f64)| format!("{} {}{unit}", page.named(), show(value));
        pages.into_iter().take(3).map(told).collect::<Vec<_>>().join(", ")
    };
    let worst = |of: &dyn Fn(&Measured) -> f64, scans: Option<bool>| {
        let chosen = measured.iter().filter(|page| scans.is_none_or(|scans| page.scans == scans));
        let mut pages: Vec<(&Measured, f64)> = chosen.map(|page| (page, of(page))).collect();
        pages.sort_by(|one, other| other.1.total_cmp(&one.1));
        pages
    };
    let most = |pages: &[(&Measured, f64)]| pages.first().map(|(_, value)| *value).ok_or("no page was measured");
    let nothing = format!("a constant answer {} ms, p99 {} ms", show(nothing.0), show(nothing.1));
    let mut findings = Vec::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    measured.iter().for_each(|page| *kinds.entry(page.name.as_str()).or_default() += 1);
    let what = format!("first byte of {} pages, each for whoever comes", kinds.len());
    for (quantile, of) in [("p99", (|page| page.p99_ms) as fn(&Measured) -> f64), ("p50", |page| page.p50_ms)] {
        let pages = worst(&of, Some(false));
        let what = format!("{what}, less a constant answer's, {quantile}, the slowest");
        let most = most(&pages)?;
        let figures = format!("{}; {nothing}", named(pages, " ms"));
        findings.push(Finding::at_most(GOAL, what, figures, most, FIRST_BYTE_MS, " ms"));
    }
    let scans = worst(&|page| page.p50_ms, Some(true));
    let slowest = most(&scans)?;
    let what = "first byte where all records are asked about and no index helps, p50, the slowest";
    findings.push(Finding::at_most(GOAL, what, named(scans, " ms"), slowest, FIRST_BYTE_MS, " ms"));
    let heaviest = worst(&Measured::kb, None);
    let weight = most(&heaviest)?;
    let what = "document, style and script as browsers get them, heads included, the heaviest";
    findings.push(Finding::at_most(GOAL, what, named(heaviest, " KB"), weight, KB_MAX, " KB"));
    let files = worst(&|page| page.files as f64, None);
    let most = most(&files)?;
    let what = "files that a page asks for besides its document, the most: a style and a script";
    findings.push(Finding::at_most(GOAL, what, named(files, ""), most, 2.0, ""));
    Ok(findings)
}
