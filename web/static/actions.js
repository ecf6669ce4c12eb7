// Forms that call the API: what a page does, the API does. A fault is shown, nothing is lost.
"use strict";
const csrf = document.querySelector("meta[name=csrf]").content;

async function callApi(method, address, body, headers = {}) {
  const answer = await fetch(address, {
    method,
    headers: { "X-CSRF-Token": csrf, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.title || "That did not work"), { told, code: answer.status });
  return { told, code: answer.status };
}

function showFault(error) {
  const box = document.getElementById("fault");
  const told = error.told || {};
  const faults = (told.errors || []).map((e) => (e.field ? `${e.field}: ${e.message}` : e.message));
  box.textContent = [told.title || "The service cannot be reached; nothing was changed", told.detail, ...faults].filter(Boolean).join(". ");
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
}

function valuesOf(form) {
  const found = {};
  for (const field of form.elements) {
    if (!field.name || field.type === "file") continue;
    const isNull = field.dataset.null !== undefined || field.selectedOptions?.[0]?.dataset.null !== undefined;
    found[field.name] = isNull ? null : field.value;
  }
  return found;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.api) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const values = valuesOf(form);
    const hasBody = form.dataset.api !== "DELETE" && Object.keys(values).length > 0;
    await callApi(form.dataset.api, form.getAttribute("action"), hasBody ? values : undefined);
    document.getElementById("fault").hidden = true;
    const changed = new CustomEvent("changed", { cancelable: true });
    if (document.dispatchEvent(changed)) location.reload();
  } catch (error) {
    showFault(error);
    button.disabled = false;
  }
});
