// Keeps the live board current: asks every few seconds, and is told nothing when nothing changed.
"use strict";
const board = document.getElementById("board");
const EVERY = 2500;
let looking = false;

function busy() {
  // Not while somebody is choosing: the list would close under their finger.
  return board.contains(document.activeElement) && document.activeElement.tagName === "SELECT";
}

async function look() {
  if (looking || document.hidden || busy()) return;
  looking = true;
  try {
    const seen = document.getElementById("board-part").dataset.mark;
    const answer = await fetch(`${board.dataset.src}?seen=${encodeURIComponent(seen)}`, { redirect: "error" });
    if (answer.status === 200) {
      const focused = document.activeElement?.closest("li")?.id;
      const label = document.activeElement?.getAttribute("aria-label");
      const html = new DOMParser().parseFromString(await answer.text(), "text/html");
      board.replaceChildren(...html.body.childNodes);
      const again = focused && document.getElementById(focused);
      if (again) (again.querySelector(`[aria-label="${CSS.escape(label || "")}"]`) || again.querySelector("a, button"))?.focus();
    } else if (answer.status !== 204) throw new Error(String(answer.status));
    document.getElementById("stale").hidden = true;
  } catch {
    document.getElementById("stale").hidden = false;
  } finally {
    looking = false;
  }
}

setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
document.addEventListener("changed", (event) => { event.preventDefault(); document.activeElement?.blur(); look(); });
