/* The table of sessions: how many more there are by now than it shows. Its rows stay where they are. */
(() => {
  "use strict";
  const marks = document.querySelector("#more-sessions");
  const link = document.querySelector("#show-more");
  document.addEventListener("htmx:after:swap", () => {
    for (const mark of [...marks.children]) if (document.getElementById(mark.dataset.of)) mark.remove();
    const number = marks.childElementCount;
    const words = `Show ${number} more ${number === 1 ? "session" : "sessions"}`;
    link.hidden = !number;
    if (link.textContent !== words) link.textContent = words;
  });
})();
