// What pages do better with a script. Without one, all of it works as well.
"use strict";

// Moments are written in UTC by the server, which does not know where the reader is.
const inLocalTime = (root) => {
  const { lang } = document.documentElement;
  const own = navigator.languages.find((one) => one.split("-")[0] === lang);
  const format = new Intl.DateTimeFormat(own ?? lang, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[data-local]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.title = time.textContent;
      time.textContent = format.format(at);
    }
  }
};
inLocalTime(document);

// Buttons that copy.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = label; }, 2000);
    } catch {
      // The text is selected instead, to be copied by hand.
      getSelection().selectAllChildren(source);
    }
  });
}

// Buttons that show what is typed into a password's field.
for (const button of document.querySelectorAll("button[data-reveal]")) {
  const field = document.getElementById(button.dataset.reveal);
  const label = button.textContent;
  button.hidden = false;
  const reveal = (isShown) => {
    field.type = isShown ? "text" : "password";
    button.textContent = isShown ? button.dataset.hide : label;
    button.setAttribute("aria-pressed", String(isShown));
  };
  button.addEventListener("click", () => { reveal(field.type === "password"); field.focus(); });
  // Nothing that is sent is kept by the browser as a text.
  field.form.addEventListener("submit", () => reveal(false));
}

// Buttons that print the page.
for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Escape closes a question and leads back to its button.
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.activeElement?.closest("details.asking[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// A link to sign in brings an administrator's token behind the #, which browsers send to nobody.
const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
const tokenForm = document.getElementById("token-form");
if (token && tokenForm) {
  history.replaceState(null, "", location.pathname + location.search);
  tokenForm.elements.token.value = token;
  tokenForm.requestSubmit();
}

// A list may come from a file instead of being pasted.
for (const input of document.querySelectorAll("input[type=file][data-into]")) {
  input.closest("[data-file-field]").hidden = false;
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (file) document.getElementById(input.dataset.into).value = await file.text();
  });
}

// What is under way is looked at again, unless somebody is being asked something.
if (document.querySelector("[data-again]")) {
  setInterval(() => {
    if (!document.querySelector("details.asking[open]")) location.reload();
  }, 2000);
}

// A file can be dropped onto its field.
for (const place of document.querySelectorAll("[data-drop]")) {
  const field = place.querySelector("input[type=file]");
  const mark = (event, over) => {
    event.preventDefault();
    place.classList.toggle("over", over);
  };
  place.addEventListener("dragover", (event) => mark(event, true));
  place.addEventListener("dragleave", (event) => mark(event, false));
  place.addEventListener("drop", (event) => {
    mark(event, false);
    if (event.dataTransfer.files.length > 0) field.files = event.dataTransfer.files;
  });
}
