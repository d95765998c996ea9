// Keeps a page true: asks for the texts, states and lines of now, and puts each into the elements that name it.
"use strict";
(() => {
  const EVERY_MS = 2000;
  const note = document.querySelector('[data-note="polled"]');

  const place = (now) => {
    if (now.shape !== document.body.dataset.shape) {
      location.reload();
      return;
    }
    for (const element of document.querySelectorAll("[data-live]")) {
      const text = now.texts[element.dataset.live];
      if (text !== undefined && element.textContent !== text) element.textContent = text;
    }
    for (const element of document.querySelectorAll(".state[data-live]")) {
      element.dataset.state = now.states[element.dataset.live] || "none";
    }
    for (const element of document.querySelectorAll("[data-path]")) {
      element.setAttribute("d", now.paths[element.dataset.path] || "");
    }
  };

  const lost = () => {
    for (const element of document.querySelectorAll('[data-live="health"]')) {
      element.textContent = "Page is not served any more";
      element.dataset.state = "bad";
    }
  };

  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/live.json", { cache: "no-store" });
      if (answer.ok) place(await answer.json());
      note.hidden = !answer.ok;
    } catch {
      note.hidden = true;
      lost();
    }
  };

  const again = async () => {
    await look();
    setTimeout(again, EVERY_MS);
  };
  document.addEventListener("visibilitychange", look);
  setTimeout(again, EVERY_MS);
})();
