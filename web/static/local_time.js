// Beside a time by the cohort's clock: the same by the reader's, where that shows another.
"use strict";
for (const line of document.querySelectorAll(".local")) {
  const [begins, ends] = [new Date(line.dataset.begins), new Date(line.dataset.ends)];
  const clock = (at, zone) => at.toLocaleString("en-GB", { weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
  if (clock(begins, line.dataset.zone) === clock(begins)) continue;
  const day = begins.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
  const hour = (at) => at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  line.textContent = `By this device's clock: ${day}, ${hour(begins)} to ${hour(ends)}.`;
  line.hidden = false;
}
