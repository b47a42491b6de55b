/* A sign-in link carries its code behind the #, which no server log sees: move it into the form. */
(() => {
  "use strict";
  const code = location.hash.slice(1);
  const field = document.getElementById("code");
  if (!code || !field || field.value) return;
  field.value = code;
  history.replaceState(null, "", location.pathname + location.search);
})();
