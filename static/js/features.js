// The gallery and the feature page, made smoother. Everything here also works without it.
"use strict";

// An empty filter field says nothing, so it is kept out of the address.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id !== "gallery-filter") return;
  for (const [name, value] of [...event.detail.formData.entries()]) {
    if (value === "") event.detail.formData.delete(name);
  }
});

const openNewLabel = () => {
  const panel = document.getElementById("new-label");
  panel.open = true;
  panel.scrollIntoView({ block: "nearest" });
  panel.querySelector("input[name=text]").focus();
};

document.addEventListener("click", (event) => {
  if (!event.target.closest("#label-button")) return;
  event.preventDefault();
  openNewLabel();
});

// L: a new label. Not while somebody types, and not with a modifier, which belongs to the browser.
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key !== "l" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!document.getElementById("new-label")) return;
  event.preventDefault();
  openNewLabel();
});

// A document that was opened in place shows the token that it was opened for.
document.addEventListener("htmx:afterSettle", (event) => {
  const text = event.target.querySelector?.(".document-tokens");
  const token = text?.querySelector(".token--selected");
  if (!token) return;
  text.scrollTop = token.offsetTop - text.clientHeight / 2;
  token.scrollIntoView({ block: "nearest" }); // on a phone the passage begins near the end of the window
});
