// The labelling desk by keyboard, with the next feature fetched ahead. Every key presses something that is on the page.
"use strict";

const KEYS_OFF = "latent-lens-desk-keys-off";
const ahead = { address: null, html: null };

const press = (id) => document.getElementById(id)?.click();
const keysAreOn = () => localStorage.getItem(KEYS_OFF) === null;

const focusOn = (id) => {
  const field = document.getElementById(id);
  field?.focus();
  field?.select?.();
};

const chooseConfidence = (number) => {
  const radios = document.querySelectorAll("#desk-form input[name=confidence]");
  if (radios[number]) radios[number].checked = true;
};

const actions = {
  j: () => press("desk-next"),
  k: () => press("desk-previous"),
  l: () => focusOn("desk-text"),
  t: () => focusOn("desk-tags"),
  s: () => press("desk-skip"),
  u: () => press("desk-undo"),
  a: () => document.querySelector("#desk [data-key=a]")?.click(),
  x: () => document.querySelector("#desk [data-key=x]")?.click(),
  "?": () => document.getElementById("desk-help").showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select, dialog[open]");
  if (event.key === "Escape" && typing && !typing.matches("dialog")) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !keysAreOn()) return;
  const action = /^[0-5]$/.test(event.key) ? () => chooseConfidence(Number(event.key)) : actions[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
});

// The next feature is fetched while this one is read; going there then only shows it.
const fetchAhead = async () => {
  const address = document.getElementById("desk-next")?.getAttribute("href");
  if (!address || ahead.address === address) return;
  Object.assign(ahead, { address, html: null });
  const answer = await fetch(address, { headers: { "HX-Request": "true" }, priority: "low" }).catch(() => null);
  if (answer?.ok && ahead.address === address) ahead.html = await answer.text();
};

const showAhead = (event) => {
  const link = event.target.closest("#desk-next");
  if (!link || !ahead.html || ahead.address !== link.getAttribute("href") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const { address, html } = ahead;
  history.replaceState({ htmx: true }, "", location.href); // so that htmx brings this one back
  history.pushState({ htmx: true }, "", address);
  htmx.swap("#desk", html, { swapStyle: "outerHTML" });
};
document.addEventListener("click", showAhead, { capture: true });

// What was fetched before a label was saved may be out of date.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.verb === "post") Object.assign(ahead, { address: null, html: null });
});
document.addEventListener("htmx:afterSettle", fetchAhead);

// After a change of feature the keys work at once: htmx would put the cursor back into the field of the same name.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status === 200) document.activeElement?.blur();
});

// A queue asks only for what its rule needs.
const showQueueFields = () => {
  const rule = document.getElementById("queue-rule")?.value;
  for (const field of document.querySelectorAll("#desk-queue [data-rules]")) {
    field.toggleAttribute("data-idle", !field.dataset.rules.split(" ").includes(rule));
  }
};

const begin = () => {
  document.getElementById("desk-keys-on").checked = keysAreOn();
  showQueueFields();
  fetchAhead();
};

document.addEventListener("change", (event) => {
  if (event.target.id === "queue-rule") showQueueFields();
  if (event.target.id !== "desk-keys-on") return;
  if (event.target.checked) localStorage.removeItem(KEYS_OFF);
  else localStorage.setItem(KEYS_OFF, "1");
});
document.addEventListener("click", (event) => {
  if (event.target.closest("#desk-help-button")) actions["?"]();
});
document.addEventListener("htmx:historyRestore", begin);
begin();
