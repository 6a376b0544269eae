// The administrator's page: reads and writes through the API with the token it is given. Text is only ever set as text,
// never as markup, since people's names and files' names come from outside.
"use strict";

const TOKEN = "permitd-admin-token";
const main = document.getElementById("main");
const bar = document.querySelector("header.bar");
const dialog = document.getElementById("dialog");

// ---- Elements ----

/** An element: `h("p", { class: "muted" }, "text", child)`. Properties that start with `on` are listeners. */
function h(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  fill(element, children);
  return element;
}

/** Puts children into an element in place of what it had; lists are taken apart, and what is not there is left out. */
function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

const empty = (text) => h("p", { class: "empty" }, text);
const panel = (title, ...children) => h("section", { class: "panel" }, title && h("h2", null, title), ...children);
const field = (label, control, className) => h("label", { class: className }, label, control);
const number = (value) => Number(value).toLocaleString("en");

/** A moment, short; the whole of it as a tooltip. */
function moment(text) {
  if (!text) return "–";
  const shown = new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return h("time", { datetime: text, title: text }, shown);
}

const TONES = {
  active: "good", completed: "good", invited: "warn", running: "warn", rotated: "warn",
  disabled: "bad", deleted: "bad", failed: "bad", revoked: "bad", retired: "bad",
};
const badge = (word) => h("span", { class: `badge ${TONES[word] ?? ""}` }, word);

/** A table; a column is `{ head, cell, number }`. */
function table(caption, columns, rows) {
  const head = columns.map((column) => h("th", { scope: "col", class: [column.number && "number", column.small].filter(Boolean).join(" ") }, column.head));
  const body = rows.map((row) => h("tr", null, columns.map((column) =>
    h("td", { class: [column.number && "number", column.actions && "actions", column.small].filter(Boolean).join(" ") }, column.cell(row) ?? ""))));
  return h("div", { class: "scroll" }, h("table", { "aria-label": caption },
    h("thead", null, h("tr", null, head)), h("tbody", null, body)));
}

function notify(text) {
  const notice = h("div", { class: "notice" }, text);
  // One at a time: more of them would cover what they speak of.
  document.getElementById("notices").replaceChildren(notice);
  setTimeout(() => notice.remove(), 6000);
}

// ---- The API ----

/** What the server answered when it refused; the message is the problem's detail. */
class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

/** What a proxy may have put before the paths of the API. */
const base = location.pathname.replace(/\/admin\/?$/, "");

async function call(method, path, body, version) {
  const headers = { authorization: `Bearer ${sessionStorage.getItem(TOKEN)}`, accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (version !== undefined) headers["if-match"] = `"${version}"`;
  let response;
  try {
    response = await fetch(base + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, { title: "The server cannot be reached.", detail: "The server cannot be reached. Is it running?" });
  }
  const text = await response.text();
  let document = {};
  try {
    document = text ? JSON.parse(text) : {};
  } catch {
    document = { detail: `the answer is not JSON (${response.status})` };
  }
  if (!response.ok) {
    if (response.status === 401) signOut("This token is not valid, or not any more.");
    throw new Refused(response.status, document);
  }
  return document;
}

const read = (path) => call("GET", path);
const segment = encodeURIComponent;

/** What went wrong, for people. */
function alertOf(error) {
  const problem = error.problem ?? {};
  const wrong = (problem.invalid_params ?? []).map((param) =>
    h("li", null, h("code", null, param.name), `: ${param.reason}`, param.did_you_mean && ` Did you mean ${param.did_you_mean}?`));
  const known = problem.known_plans && h("p", null, `Known plans: ${problem.known_plans.join(", ")}`);
  const existing = problem.existing && h("p", null, h("a", { href: `#people/${problem.existing.split("/").pop()}` }, "Show that person"));
  return h("div", { class: "alert", role: "alert" }, h("p", null, error.message.charAt(0).toUpperCase() + error.message.slice(1)), wrong.length > 0 && h("ul", null, wrong), known, existing,
    problem.instance && h("p", { class: "muted" }, "Request ", h("code", null, problem.instance)));
}

/** Does something while its button is disabled; what goes wrong is shown in `where`. */
async function attempt(button, where, work) {
  where.querySelector(":scope > .alert")?.remove();
  if (button) button.disabled = true;
  try {
    return await work();
  } catch (error) {
    // Without a valid token the sign-in is shown, which says so itself.
    if (error.status !== 401) where.prepend(alertOf(error));
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** A button that does something and then shows the view anew. */
function action(label, work, properties) {
  return h("button", { type: "button", ...properties, onclick: (event) => attempt(event.currentTarget, main, async () => {
    if ((await work()) !== false) await show();
  }) }, label);
}

// ---- Dialogs ----

function openDialog(title, content, buttons) {
  return new Promise((resolve) => {
    let answer = false;
    const close = (value) => { answer = value; dialog.close(); };
    fill(dialog, h("h2", { id: "dialog-title" }, title), content, h("div", { class: "buttons" }, buttons(close)));
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
  });
}

const confirm = (title, text, verb) => openDialog(title, [h("p", null, text)], (close) => [
  h("button", { type: "button", autofocus: true, onclick: () => close(false) }, "Cancel"),
  h("button", { type: "button", class: "danger", onclick: () => close(true) }, verb),
]);

/** Shows a new key: this once. */
function showKey(title, issued) {
  const secret = h("code", { class: "secret" }, issued.key);
  const copy = h("button", { type: "button", class: "main", onclick: async () => {
    try {
      await navigator.clipboard.writeText(issued.key);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(secret);
      copy.textContent = "Selected: press Ctrl+C";
    }
  } }, "Copy");
  const until = issued.replaces && h("p", { class: "muted" }, "The old key works until ", moment(issued.replaces.valid_until), ".");
  return openDialog(title, [h("p", null, "This is the only time that the key is shown. Hand it to its owner in a safe way."), secret, until], (close) => [
    copy, h("button", { type: "button", onclick: () => close(true) }, "Done")]);
}

// ---- People ----

const people = { search: "", status: "" };

async function peopleView() {
  const plans = (await read("/plans")).data.filter((plan) => !plan.retired);
  const results = h("div", { "aria-live": "polite" });
  const list = async (after) => attempt(null, results, async () => {
    const query = new URLSearchParams({ limit: "50" });
    if (people.search) query.set("search", people.search);
    if (people.status) query.set("status", people.status);
    const found = await read(after ?? `/users?${query}`);
    if (found.data.length === 0) {
      fill(results, empty(people.search || people.status ? "Nobody matches." : "Nobody has been invited yet."));
      return;
    }
    fill(results, peopleTable(found.data),
      found.page.next && h("p", null, h("button", { type: "button", onclick: () => list(found.page.next) }, "Next page")));
  });
  let typing;
  const search = h("input", { type: "search", value: people.search, placeholder: "Address or name", autocomplete: "off", oninput: (event) => {
    people.search = event.target.value.trim();
    clearTimeout(typing);
    typing = setTimeout(list, 200);
  } });
  const status = h("select", { onchange: (event) => { people.status = event.target.value; list(); } },
    [["", "Any status"], ["invited", "Invited"], ["active", "Active"], ["disabled", "Disabled"], ["deleted", "Deleted"]]
      .map(([value, text]) => h("option", { value, selected: people.status === value }, text)));
  await list();
  return [h("h1", null, "People"), inviteForm(plans),
    panel(null, h("div", { class: "row", role: "search" }, field("Search", search, "grow"), field("Status", status)), results)];
}

function peopleTable(users) {
  return table("People", [
    { head: "Person", cell: (user) => [h("a", { href: `#people/${user.id}` }, user.email ?? "(erased)"), user.name && h("span", { class: "second" }, user.name)] },
    { head: "Status", cell: (user) => [badge(user.status), user.mail_failure && h("span", { class: "second" }, "mail failed")] },
    { head: "Plan", cell: (user) => user.plan },
    { head: "Role", cell: (user) => user.role, small: "hide-small" },
    { head: "Invited", cell: (user) => moment(user.invited_at), small: "hide-small" },
  ], users);
}

const planOptions = (plans, chosen) => plans.map((plan) => h("option", { value: plan.name, selected: plan.name === chosen }, plan.name));

const roleOptions = (chosen) => ["reader", "manager", "admin"].map((role) => h("option", { value: role, selected: role === chosen }, role));

function inviteForm(plans) {
  const email = h("input", { type: "email", required: true, autocomplete: "off", placeholder: "ana@example.org" });
  const name = h("input", { type: "text", autocomplete: "off", maxlength: "200" });
  const plan = h("select", null, planOptions(plans, plans.find((one) => one.is_default)?.name));
  const role = h("select", null, roleOptions("reader"));
  const button = h("button", { class: "main" }, "Invite");
  const form = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    attempt(button, section, async () => {
      const body = { email: email.value.trim(), plan: plan.value, role: role.value };
      if (name.value.trim()) body.name = name.value.trim();
      const user = await call("POST", "/users", body);
      notify(`${user.email} is invited. The key goes out by mail.`);
      await show();
    });
  } }, field("Address", email, "grow"), field("Name (optional)", name, "grow"), field("Plan", plan), field("Role", role), button);
  const section = panel("Invite somebody", form);
  return section;
}

async function personView(id) {
  const path = `/users/${segment(id)}`;
  const user = await read(path);
  const [keys, usage, events, plans] = await Promise.all(
    [read(`${path}/keys`), read(`${path}/usage?days=30`), read(`${path}/events?limit=1000`), read("/plans")]);
  const gone = user.status === "deleted";
  const name = user.email ?? "Erased person";
  return [
    h("p", null, h("a", { href: "#people" }, "← People")),
    h("div", { class: "head" }, h("h1", null, name, " ", badge(user.status)), !gone && personActions(path, user, name)),
    user.mail_failure && h("div", { class: "alert" }, h("p", null, `The last mail failed: ${user.mail_failure}`)),
    h("div", { class: "columns spaced" }, factsPanel(path, user, plans.data, gone), usagePanel(usage)),
    keysPanel(path, user, keys.data, gone),
    panel("What happened", eventsTable([...events.data].reverse())),
  ];
}

/** Changes a person as they are shown. Where only what does not bear on the change has happened since, such as the mail with the
 * key, it is still meant, and done to the person as they are now. */
async function changePerson(path, shown, change) {
  try {
    return await call("PATCH", path, change, shown.version);
  } catch (error) {
    if (error.status !== 412) throw error;
    const now = await read(path);
    const same = now.plan === shown.plan && now.role === shown.role && (now.status === "disabled") === (shown.status === "disabled") && now.status !== "deleted";
    if (!same) throw error;
    return call("PATCH", path, change, now.version);
  }
}

function personActions(path, user, name) {
  const disabled = user.status === "disabled";
  return h("div", { class: "row" },
    !disabled && action("Send the invitation again", async () => { await call("POST", `${path}/invitations`); notify("The invitation goes out again."); }),
    disabled
      ? action("Enable", () => changePerson(path, user, { status: "active" }))
      : action("Disable", () => changePerson(path, user, { status: "disabled" })),
    action("Delete…", async () => {
      const text = `Every key of ${name} stops working at once, and their personal data is erased for ever. This cannot be undone.`;
      if (!(await confirm(`Delete ${name}?`, text, "Delete"))) return false;
      await call("DELETE", path);
      notify(`${name} was deleted.`);
      return true;
    }, { class: "danger" }));
}

function factsPanel(path, user, plans, gone) {
  const offered = plans.filter((plan) => !plan.retired || plan.name === user.plan);
  const change = (name) => (event) => attempt(event.target, main, async () => {
    await changePerson(path, user, { [name]: event.target.value });
    notify("Changed.");
    await show();
  });
  const plan = gone ? user.plan : h("select", { "aria-label": "Plan", onchange: change("plan") }, planOptions(offered, user.plan));
  const role = gone ? user.role : h("select", { "aria-label": "Role", onchange: change("role") }, roleOptions(user.role));
  const facts = [["Name", user.name ?? "–"], ["Plan", plan], ["Role", role], ["Invited", moment(user.invited_at)],
    ["Last change", moment(user.changed_at)], gone && ["Deleted", moment(user.deleted_at)], ["Id", h("code", null, user.id)]];
  return panel("Person", h("dl", { class: "facts" }, facts.filter(Boolean).map(([term, value]) => [h("dt", null, term), h("dd", null, value)])));
}

function usagePanel(usage) {
  const days = new Map();
  const day = new Date(`${usage.from}T00:00:00Z`);
  for (const end = new Date(`${usage.to}T00:00:00Z`); day <= end; day.setUTCDate(day.getUTCDate() + 1)) days.set(day.toISOString().slice(0, 10), 0);
  for (const used of usage.data) days.set(used.day, (days.get(used.day) ?? 0) + used.used);
  const total = [...days.values()].reduce((sum, used) => sum + used, 0);
  const most = Math.max(1, ...days.values());
  const bars = [...days].map(([date, used]) => {
    const one = h("div", { class: used ? "" : "none", title: `${date}: ${number(used)}` });
    one.style.height = used ? `${Math.max(3, (100 * used) / most)}%` : "2px";
    return one;
  });
  const chart = h("div", { class: "bars", role: "img", "aria-label": `${number(total)} requests in ${days.size} days, at most ${number(most)} a day` }, bars);
  return panel("Requests per day (UTC)", h("p", null, h("strong", null, number(total)), h("span", { class: "muted" }, ` in ${days.size} days`)), chart,
    h("div", { class: "bars-legend" }, h("span", null, usage.from), h("span", null, usage.to)));
}

function keyStatus(key, person) {
  if (key.revoked_at) return "revoked";
  if (key.replaced_by) return "rotated";
  return person.status === "disabled" || person.status === "deleted" ? person.status : "active";
}

function keysPanel(path, user, keys, gone) {
  const able = !gone && user.status !== "disabled";
  const label = h("input", { type: "text", maxlength: "80", autocomplete: "off", placeholder: "What is it for?" });
  const button = h("button", null, "Issue a key");
  const form = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    attempt(button, section, async () => {
      const issued = await call("POST", `${path}/keys`, label.value.trim() ? { label: label.value.trim() } : {});
      await showKey("The new key", issued);
      await show();
    });
  } }, field("Label (optional)", label, "grow"), button);
  const list = keys.length === 0 ? empty("No key yet. The first one is made when the invitation goes out.") : table("Keys", [
    { head: "Key", cell: (key) => [h("code", null, `pmt_${key.id}_…${key.last_four}`), key.label && h("span", { class: "second" }, key.label)] },
    { head: "Status", cell: (key) => {
      const status = keyStatus(key, user);
      return [badge(status), status === "rotated" && h("span", { class: "second" }, "works until ", moment(key.valid_until))];
    } },
    { head: "Issued", cell: (key) => moment(key.issued_at), small: "hide-small" },
    { head: "Mailed", cell: (key) => moment(key.mailed_at), small: "hide-small" },
    { head: "", actions: true, cell: (key) => able && !key.revoked_at && keyActions(path, key) },
  ], keys);
  const section = panel("Keys", list, able && form);
  return section;
}

function keyActions(path, key) {
  const of = `${path}/keys/${segment(key.id)}`;
  return [
    !key.replaced_by && action("Rotate…", () => rotate(of), { class: "small" }),
    action("Revoke…", async () => {
      if (!(await confirm("Revoke the key?", `The key ending in ${key.last_four} is refused at once and never works again.`, "Revoke"))) return false;
      await call("DELETE", of);
      notify("The key was revoked.");
      return true;
    }, { class: "small danger" }),
  ];
}

async function rotate(path) {
  const grace = h("select", null, [[0, "not at all"], [3600, "an hour"], [86400, "a day"], [604800, "a week"], [2592000, "30 days"]]
    .map(([value, text]) => h("option", { value: String(value), selected: value === 86400 }, text)));
  const sure = await openDialog("Rotate the key", [h("p", null, "A new key takes its place."), field("How long does the old one go on working?", grace)], (close) => [
    h("button", { type: "button", onclick: () => close(false) }, "Cancel"),
    h("button", { type: "button", class: "main", onclick: () => close(true) }, "Rotate")]);
  if (!sure) return false;
  await showKey("The new key", await call("POST", `${path}/rotate`, { grace_s: Number(grace.value) }));
  return true;
}

// ---- Plans ----

async function plansView() {
  const plans = (await read("/plans")).data;
  return [h("h1", null, "Plans"), plans.map(planPanel), newPlanPanel()];
}

function limitFields(plan) {
  const input = (key, properties) => h("input", { type: "number", required: true, min: "1", value: String(plan[key]), ...properties });
  const inputs = { rate_per_s: input("rate_per_s", { min: "0.001", step: "any" }), burst: input("burst"), quota_per_day: input("quota_per_day") };
  return {
    fields: [field("Requests per second", inputs.rate_per_s), field("At once (burst)", inputs.burst), field("Per day (UTC)", inputs.quota_per_day)],
    values: () => Object.fromEntries(Object.entries(inputs).map(([key, control]) => [key, Number(control.value)])),
  };
}

function planPanel(plan) {
  const limits = limitFields(plan);
  const save = h("button", null, plan.retired ? "Offer again" : "Save");
  const path = `/plans/${segment(plan.name)}`;
  const form = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    attempt(save, section, async () => {
      await call("PUT", path, limits.values(), plan.version);
      notify(`The plan ${plan.name} is saved. Its keys have the new limits within a second or so.`);
      await show();
    });
  } }, limits.fields, save, !plan.retired && action("Retire…", async () => {
    const text = "Nobody gets this plan any more. Whoever has it keeps it.";
    if (!(await confirm(`Retire ${plan.name}?`, text, "Retire"))) return false;
    await call("DELETE", path);
    return true;
  }, { class: "danger" }));
  const section = h("section", { class: "panel" }, h("h2", null, plan.name, " ", plan.retired && badge("retired")), form);
  return section;
}

function newPlanPanel() {
  const name = h("input", { type: "text", required: true, maxlength: "40", pattern: "[a-z][a-z0-9_\\-]*", autocomplete: "off", title: "Lower-case letters, digits, - and _, a letter first" });
  const limits = limitFields({ rate_per_s: 5, burst: 10, quota_per_day: 1000 });
  const button = h("button", { class: "main" }, "Add");
  const section = panel("A new plan", h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    // Version 0: only if there is none of this name yet.
    attempt(button, section, async () => { await call("PUT", `/plans/${segment(name.value)}`, limits.values(), 0); await show(); });
  } }, field("Name", name), limits.fields, button));
  return section;
}

// ---- Data ----

async function dataView() {
  const [sets, imports] = await Promise.all([read("/datasets"), read("/imports?limit=100")]);
  const setPanels = sets.data.map((set) => h("section", { class: "panel" },
    h("div", { class: "head" }, h("h2", null, set.title), h("code", null, set.path)),
    h("p", null, h("strong", null, number(set.records)), ` records, version ${number(set.version)}`),
    h("details", null, h("summary", null, `${set.columns.length} columns`), table("Columns", [
      { head: "Column", cell: (column) => h("code", null, column.name) },
      { head: "Type", cell: (column) => column.type },
      { head: "Meaning", cell: (column) => column.description, small: "hide-small" },
    ], set.columns))));
  const importTable = imports.data.length === 0 ? empty("No imports yet.") : table("Imports", [
    { head: "File", cell: (row) => [row.file_name, h("span", { class: "second" }, row.dataset)] },
    { head: "Status", cell: (row) => [badge(row.status), row.reason && h("span", { class: "second" }, row.reason)] },
    { head: "Began", cell: (row) => moment(row.started_at), small: "hide-small" },
    ...["inserted", "updated", "unchanged", "removed", "rejected"].map((count) => ({
      head: count, number: true, cell: (row) => (row.counts ? number(row.counts[count]) : "–"), small: count === "inserted" || count === "rejected" ? undefined : "hide-small" })),
  ], imports.data);
  const command = h("p", { class: "muted" }, "Files are imported on the command line: ", h("code", null, "permitd import FILE --dataset NAME"));
  return [h("h1", null, "Data"), setPanels.length ? setPanels : panel(null, empty("There is no data set yet.")), panel("Imports", importTable, command)];
}

// ---- Events ----

function eventsTable(events) {
  if (events.length === 0) return empty("Nothing has happened yet.");
  return table("Events", [
    { head: "When", cell: (event) => moment(event.recorded_at) },
    { head: "What", cell: (event) => h("details", null, h("summary", null, event.type), h("pre", null, JSON.stringify(event.data, null, 2)),
      h("p", { class: "muted" }, "Request ", h("code", null, event.correlation_id || "–"))) },
    { head: "Stream", cell: (event) => [streamLink(event.stream), h("span", { class: "second" }, `version ${event.version}`)], small: "hide-small" },
    { head: "Who", cell: (event) => who(event.actor), small: "hide-small" },
  ], events);
}

/** Who did it, short; the whole of it as a tooltip. */
function who(actor) {
  const [kind, id] = actor.split(":", 2);
  return h("code", { title: actor }, id?.length > 12 ? `${kind}:${id.slice(0, 8)}…` : actor);
}

function streamLink(stream) {
  const [kind, id] = stream.split("#");
  return kind === "user" ? h("a", { href: `#people/${id}`, class: "mono" }, `user ${id.slice(0, 8)}…`) : h("span", { class: "mono" }, `${kind} ${id}`);
}

async function eventsView() {
  const list = h("div");
  const load = async (path) => attempt(null, list, async () => {
    const found = await read(path);
    fill(list, eventsTable(found.data), found.page.next && h("p", null, h("button", { type: "button", onclick: () => load(found.page.next) }, "Older")));
  });
  await load("/events?order=newest&limit=50");
  return [h("h1", null, "Events"), h("p", { class: "muted" }, "The newest first. Personal data stays sealed here."), panel(null, list)];
}

// ---- Dead letters ----

async function deadLettersView() {
  const letters = (await read("/dead-letters")).data;
  const list = letters.length === 0 ? empty("None. Every message was done, or is still being tried.") : table("Dead letters", [
    { head: "Given up", cell: (letter) => moment(letter.died_at) },
    { head: "Message", cell: (letter) => [letter.message?.type ?? "Unreadable",
      h("span", { class: "second" }, letter.message?.stream ? streamLink(letter.message.stream) : h("code", null, JSON.stringify(letter.message)))] },
    { head: "Why", cell: (letter) => [letter.reason, h("span", { class: "second" }, letter.receives === 1 ? "tried once" : `tried ${letter.receives} times`)] },
    { head: "", actions: true, cell: (letter) => action("Send again", async () => {
      await call("POST", `/dead-letters/${segment(letter.id)}/redrive`);
      notify("It was sent again.");
    }, { class: "small" }) },
  ], letters);
  return [h("h1", null, "Dead letters"), h("p", { class: "muted" }, "Messages that failed too often. Mend the cause, then send them again."), panel(null, list)];
}

// ---- Counters ----

const COUNTERS = { gate: "Gate", committer: "Commits", mailers: "Mailers", relay: "Relay", importer: "Importer", queue: "Queue" };

async function countersView() {
  const counters = await read("/admin/counters");
  const panels = Object.entries(counters).map(([actor, counts]) => panel(COUNTERS[actor] ?? actor, h("table", { "aria-label": actor }, h("tbody", null,
    Object.entries(counts).map(([name, value]) => h("tr", null, h("th", { scope: "row" }, name.replaceAll("_", " ")), h("td", { class: "number" }, number(value))))))));
  return [h("div", { class: "head" }, h("h1", null, "Counters"), action("Refresh", async () => {})),
    h("p", { class: "muted" }, "What the actors have done since the server started."), h("div", { class: "columns" }, panels)];
}

// ---- Signing in, and which view is shown ----

function signOut(reason) {
  sessionStorage.removeItem(TOKEN);
  signIn(reason);
}

function signIn(reason) {
  bar.hidden = true;
  dialog.close();
  document.title = "Sign in · permitd";
  const token = h("input", { type: "password", required: true, autocomplete: "off", autofocus: true, placeholder: "pmt_admin_…" });
  const button = h("button", { class: "main" }, "Sign in");
  const section = h("section", { class: "panel signin" }, h("h1", null, "permitd administration"),
    reason && h("div", { class: "alert", role: "alert" }, h("p", null, reason)),
    h("form", { onsubmit: (event) => {
      event.preventDefault();
      sessionStorage.setItem(TOKEN, token.value.trim());
      show();
    } }, field("Administrator's token", token), button),
    h("p", { class: "muted" }, "It was printed when the server first started. It stays in this tab only."));
  fill(main, section);
  token.focus();
}

const VIEWS = { people: peopleView, plans: plansView, data: dataView, events: eventsView, "dead-letters": deadLettersView, counters: countersView };
let shown = 0;

/** Shows what the address asks for. A view that comes late, after another was asked for, is dropped. */
async function show() {
  if (!sessionStorage.getItem(TOKEN)) return signIn();
  const [section, id] = location.hash.slice(1).split("/");
  const name = section in VIEWS ? section : "people";
  const turn = ++shown;
  let content;
  try {
    content = await (name === "people" && id ? personView(decodeURIComponent(id)) : VIEWS[name]());
  } catch (error) {
    if (error.status === 401) return undefined;
    content = [h("h1", null, "That did not work"), alertOf(error)];
  }
  if (turn !== shown || !sessionStorage.getItem(TOKEN)) return undefined;
  bar.hidden = false;
  for (const link of bar.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  fill(main, content);
  document.title = `${main.querySelector("h1")?.firstChild?.textContent ?? "permitd"} · permitd`;
  return undefined;
}

/** A sign-in link brings the token behind `#`: it is taken out of the address before anything else. */
function takeToken() {
  if (!location.hash.startsWith("#token=")) return;
  sessionStorage.setItem(TOKEN, decodeURIComponent(location.hash.slice("#token=".length)));
  history.replaceState(null, "", location.pathname);
}

document.getElementById("sign-out").addEventListener("click", () => signOut());
addEventListener("hashchange", () => { takeToken(); show(); scrollTo(0, 0); main.focus({ preventScroll: true }); });
takeToken();
show();
