// The lens, made smoother. Everything here also works without it.
"use strict";

const lensForm = () => document.getElementById("lens-form");

// Enter reads the prompt; Shift+Enter starts a new line. Not while an input method is composing a character.
document.addEventListener("keydown", (event) => {
  if (event.target.id !== "lens-text" || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  lensForm().requestSubmit(document.getElementById("lens-submit"));
});

// An example that was clicked is the prompt now, so that it can be changed.
document.addEventListener("click", (event) => {
  const example = event.target.closest(".lens-example");
  if (example) document.getElementById("lens-text").value = example.textContent;
});

// A new prompt makes the refusals of the last one untrue.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target !== lensForm()) return;
  for (const refusal of lensForm().querySelectorAll(".field-error")) refusal.remove();
  for (const field of lensForm().querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
});

// Left and right choose the token beside the focused one.
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !event.target.matches(".lens-tokens a.token")) return;
  const tokens = [...document.querySelectorAll(".lens-tokens a.token")];
  const next = tokens[tokens.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.click();
});
