// Lets a form call the API: JSON there, and a fault in words back. What a page does, the API does.
"use strict";
const isNull = (field) =>
  field.dataset.null !== undefined || field.selectedOptions?.[0]?.dataset.null !== undefined;

htmx.defineExtension("api", {
  onEvent(name, event) {
    if (name === "htmx:configRequest") event.detail.headers["Content-Type"] = "application/json";
    return true;
  },
  encodeParameters(_request, parameters, form) {
    const told = {};
    parameters.forEach((value, name) => { told[name] = value; });
    for (const field of form.elements) if (field.name in told && isNull(field)) told[field.name] = null;
    return JSON.stringify(told);
  },
});

function faultOf(answer) {
  try {
    return JSON.parse(answer);
  } catch {
    return {};
  }
}

function show(told) {
  const box = document.getElementById("fault");
  const faults = (told.errors || []).map((e) => (e.field ? `${e.field}: ${e.message}` : e.message));
  const title = told.title || "The service cannot be reached; nothing was changed";
  box.textContent = [title, told.detail, ...faults].filter(Boolean).join(". ");
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
}

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.requestConfig.verb === "get") return;
  if (!detail.successful) return show(faultOf(detail.xhr.responseText));
  if (detail.elt.getAttribute("hx-ext") !== "api") return;
  document.getElementById("fault").hidden = true;
  if (document.getElementById("board")) htmx.trigger("#board", "changed");
  else location.reload();
});

for (const button of document.querySelectorAll("[data-copies]")) {
  const done = document.getElementById("copied");
  button.hidden = !navigator.clipboard; // asks for https, or this very machine
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
    done.textContent = "Copied.";
  });
}
