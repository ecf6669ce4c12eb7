// The join page's own check of camera and microphone. Nothing of it leaves this page but two words:
// whether a camera and a microphone work.
"use strict";
const check = document.querySelector(".check");
if (check && navigator.mediaDevices) {
  check.hidden = false;
  const button = check.querySelector("button");
  const video = check.querySelector("video");
  const status = check.querySelector("[role=status]");
  button.addEventListener("click", async () => {
    button.disabled = true;
    status.textContent = "Your browser may ask whether it may use them. Please allow it.";
    const found = { camera: false, microphone: false };
    const refusals = [];
    for (const [kind, name] of [["video", "camera"], ["audio", "microphone"]]) {
      try {
        const stream = await navigator.mediaDevices.getUserMedia({ [kind]: true });
        found[name] = stream.getTracks().some((track) => track.readyState === "live");
        if (kind === "video") {
          video.srcObject = stream;
          video.hidden = false;
          await video.play();
        } else {
          stream.getTracks().forEach((track) => track.stop());
        }
      } catch (error) {
        refusals.push(error.name);
      }
    }
    const said = Object.entries(found).map(([name, works]) => `${name}: ${works ? "works" : "not found"}`);
    status.textContent = said.join(", ") + (refusals.includes("NotAllowedError")
      ? ". Your browser refused: press the lock beside the address, allow both, and try again."
      : ".");
    button.disabled = false;
    button.textContent = "Check again";
    await fetch(check.dataset.address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(found),
    });
  });
}
