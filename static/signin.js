/* The pages of getting in. */
(() => {
  "use strict";
  const doc = document;

  /* A password can be looked at. */
  for (const eye of doc.querySelectorAll("[data-eye]")) {
    const field = doc.getElementById(eye.dataset.eye);
    eye.hidden = false;
    eye.addEventListener("click", () => {
      const isShown = field.type === "text";
      field.type = isShown ? "password" : "text";
      eye.setAttribute("aria-pressed", String(!isShown));
    });
  }

  /* A sign-in link carries its code behind the #, which no server log sees: move it into the form. What else one could
     sign in with is then out of the way. */
  const code = location.hash.slice(1);
  const field = doc.getElementById("code");
  if (!code || !field || field.value) return;
  field.value = code;
  history.replaceState(null, "", location.pathname + location.search);
  const others = doc.getElementById("by-email"), part = doc.getElementById("by-code");
  if (others) {
    others.hidden = true;
    part.open = true;
    for (const one of doc.querySelectorAll("#by-code > summary, #by-invitation")) one.hidden = true;
    part.querySelector("button").classList.add("primary");
  } else if (part) {
    part.hidden = true;
    doc.getElementById("name")?.focus();
  }
})();
