// The join page's own check of camera and microphone: a picture, a level, a choice of devices.
// Nothing of it leaves this page but two words: whether a camera and a microphone work.
"use strict";
const check = document.querySelector(".check");
const HELP = {
  NotAllowedError: "Your browser or device refused. What to do is below; then check again.",
  NotFoundError: "No device was found: is it plugged in? A telephone or a tablet has both.",
  NotReadableError: "Another program is using it: close it, and check again.",
};
const FOUND = { NotAllowedError: "refused", NotReadableError: "in use" };

if (check) {
  check.hidden = false;
  const button = check.querySelector(".start");
  const status = check.querySelector("[role=status]");
  const theirs = document.querySelector(`[data-browser=${browser(navigator.userAgent)}]`);
  theirs.classList.add("mine");
  theirs.parentElement.prepend(theirs);
  check.querySelector(".stop").addEventListener("click", () => switchOff(button, status));
  if (!navigator.mediaDevices) {
    button.disabled = true;
    status.textContent = "This browser cannot check. You can join all the same.";
  } else button.addEventListener("click", () => run(button, status));
}

// The order matters: nearly every browser also calls itself Safari, and many Chrome.
function browser(agent) {
  if (/iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && navigator.maxTouchPoints > 1)) return "ios";
  if (/Firefox/.test(agent)) return "firefox";
  if (/Android/.test(agent)) return "android";
  return /Safari/.test(agent) && !/Chrome|Chromium|Edg/.test(agent) ? "safari" : "chrome";
}

const streams = {};

async function open(kind, deviceId) {
  streams[kind]?.getTracks().forEach((track) => track.stop());
  delete streams[kind];
  const wanted = deviceId ? { deviceId: { exact: deviceId } } : true;
  streams[kind] = await navigator.mediaDevices.getUserMedia({ [kind]: wanted });
  const live = streams[kind].getTracks().some((track) => track.readyState === "live");
  if (kind === "video") await picture(streams.video);
  else level(streams.audio);
  return live;
}

async function picture(stream) {
  const video = check.querySelector("video");
  video.srcObject = stream;
  video.hidden = false;
  await video.play();
}

let meter;
function hush() {
  if (!meter) return;
  clearInterval(meter.timer);
  meter.context.close();
  meter = undefined;
}

function level(stream) {
  hush();
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  check.querySelector(".level").hidden = false;
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const loud = Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
    check.querySelector("meter").value = Math.min(1, loud * 4);
  }, 100);
  meter = { context, timer };
}

// Some programs cannot open a camera that a browser holds.
function switchOff(button, status) {
  hush();
  for (const kind of Object.keys(streams)) {
    streams[kind].getTracks().forEach((track) => track.stop());
    delete streams[kind];
  }
  check.querySelector("video").srcObject = null;
  for (const part of check.querySelectorAll("video, label:has(select), .level, .stop")) part.hidden = true;
  status.textContent = "Camera and microphone are off again.";
  button.focus();
}

async function choices() {
  const found = await navigator.mediaDevices.enumerateDevices();
  for (const [name, kind] of [["camera", "video"], ["microphone", "audio"]]) {
    const select = check.querySelector(`select[name=${name}]`);
    const mine = found.filter((device) => device.kind === `${kind}input` && device.deviceId);
    select.closest("label").hidden = mine.length < 2;
    select.replaceChildren(...mine.map((device, n) => new Option(device.label || `${name} ${n + 1}`, device.deviceId)));
    const current = streams[kind]?.getTracks()[0]?.getSettings().deviceId;
    if (current) select.value = current;
    select.onchange = () => open(kind, select.value).catch(() => {});
  }
}

async function run(button, status) {
  button.disabled = true;
  status.textContent = "Your browser may ask whether it may use them. Please allow it.";
  const works = { camera: false, microphone: false };
  const refusals = {};
  for (const [kind, name] of [["video", "camera"], ["audio", "microphone"]]) {
    try {
      works[name] = await open(kind);
    } catch (error) {
      refusals[name] = error.name;
    }
  }
  await choices();
  const said = Object.entries(works).map(([name, it]) => `${name}: ${it ? "works" : FOUND[refusals[name]] || "not found"}`).join(", ");
  const names = new Set(Object.values(refusals));
  const help = [...names].map((name) => HELP[name] || "Your browser could not open it; another browser may.");
  document.querySelector(".help").open = names.has("NotAllowedError");
  check.querySelector(".stop").hidden = !Object.keys(streams).length;
  status.textContent = [`${said[0].toUpperCase()}${said.slice(1)}.`, ...help].join(" ");
  button.disabled = false;
  button.textContent = "Check again";
  try {
    await fetch(check.dataset.address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(works),
    });
  } catch { /* The check is for the carer first; that it was not noted changes nothing for them. */ }
}
