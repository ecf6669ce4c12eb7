// Keeps the live board honest: it waits while somebody chooses, and says when it cannot ask.
"use strict";
const board = document.getElementById("board");
const stale = document.getElementById("stale");

board.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target !== board) return;
  // Not while somebody is choosing: the list would close under their finger.
  const choosing = board.contains(document.activeElement) && document.activeElement.tagName === "SELECT";
  const asked = event.detail.requestConfig.triggeringEvent?.type === "changed";
  if (document.hidden || (choosing && !asked)) event.preventDefault();
});
board.addEventListener("htmx:afterRequest", (event) => {
  if (event.target === board) stale.hidden = event.detail.successful;
});
document.addEventListener("visibilitychange", () => htmx.trigger(board, "changed"));
