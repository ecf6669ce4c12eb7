// Opening a cohort: shows the eight Saturdays and every family before anything is made.
"use strict";
const form = document.getElementById("new");
const byId = (id) => document.getElementById(id);
const key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}

function linesOf(text) {
  return text.split(/\r?\n/).map((line) => line.split(/\t|,|;/).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"))).filter((cells) => cells.some(Boolean));
}

function families() {
  const found = new Map(), faults = [];
  linesOf(byId("households").value).forEach((cells, n) => {
    if (n === 0 && /household|reference/i.test(cells[0]) && /name/i.test(cells[1] || "")) return;
    const [reference, name, email] = cells;
    if (!reference || !name || !email || !email.includes("@")) { faults.push(`Line ${n + 1}: household, name and e-mail are needed`); return; }
    if (!found.has(reference)) found.set(reference, []);
    found.get(reference).push({ name, email });
    if (found.get(reference).length === 3) faults.push(`Line ${n + 1}: household ${reference} has more than two carers`);
  });
  return { households: [...found].map(([reference, carers]) => ({ reference, carers })), faults };
}

function preview() {
  const { households, faults } = families();
  const box = byId("preview");
  box.replaceChildren();
  if (!households.length && !faults.length) return;
  const carers = households.reduce((sum, h) => sum + h.carers.length, 0);
  box.append(element("p", `${households.length} households, ${carers} carers`));
  const list = element("ul");
  for (const h of households) list.append(element("li", `${h.reference}: ${h.carers.map((c) => `${c.name} <${c.email}>`).join(" and ")}`));
  for (const fault of faults) { const line = element("li", fault); line.className = "fault"; list.append(line); }
  box.append(list);
}

async function plan() {
  const first = byId("first").value;
  byId("plan").replaceChildren();
  if (!first) return;
  const skipped = [...form.querySelectorAll("input[name=skip]:checked")].map((box) => box.value);
  try {
    const { told } = await callApi("GET", `/api/v1/timetable?first_session_on=${first}&skip_dates=${skipped.join(",")}`);
    for (const s of told.sessions) {
      const at = new Date(s.starts_at);
      byId("plan").append(element("li", `${at.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "long", year: "numeric", timeZone: "Europe/London" })}: ${s.topic}`));
    }
    const box = byId("skips");
    for (const skip of told.suggested_skips) {
      if (box.querySelector(`[value="${skip.date}"]`)) continue;
      const label = element("label"), tick = element("input");
      label.className = "inline";
      Object.assign(tick, { type: "checkbox", name: "skip", value: skip.date });
      tick.addEventListener("change", plan);
      label.append(tick, ` ${new Date(skip.date).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" })}: ${skip.why}`);
      box.append(label);
    }
    box.hidden = box.children.length < 2;
  } catch (error) { showFault(error); }
}

byId("first").addEventListener("change", () => { byId("skips").querySelectorAll("label").forEach((l) => l.remove()); plan(); });
byId("households").addEventListener("input", preview);
byId("file").addEventListener("change", async () => { byId("households").value = await byId("file").files[0].text(); preview(); });

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { households, faults } = families();
  if (faults.length) { showFault({ told: { title: "Put the families right first", detail: faults.join(". ") } }); return; }
  const value = (name) => form.elements[name].value;
  const body = {
    name: value("name"), platform: value("platform"), first_session_on: value("first_session_on"),
    skip_dates: [...form.querySelectorAll("input[name=skip]:checked")].map((box) => box.value),
    starts_at: value("starts_at"), first_session_minutes: Number(value("first_session_minutes")), session_minutes: Number(value("session_minutes")),
    household_rule: value("household_rule"),
    facilitators: linesOf(byId("facilitators").value).map(([name, email]) => ({ name, email })), households,
  };
  if (value("organiser")) body.organiser = value("organiser");
  const button = form.querySelector("button");
  button.disabled = true;
  byId("progress").textContent = "The meetings are being made; this takes some seconds.";
  try {
    const { told } = await callApi("POST", "/api/v1/cohorts", body, { "Idempotency-Key": key });
    location.assign(`/cohorts/${told.id}`);
  } catch (error) {
    showFault(error);
    byId("progress").textContent = "";
    button.disabled = false;
  }
});
