/* A message that is a command: `!` runs it as one's own, `/` lists the commands to choose from. The server does the same
   with what is sent; this shows it beforehand. */
(() => {
  "use strict";
  const doc = document;
  const one = (selector, root = doc) => root.querySelector(selector);
  const area = one(".dock .composer textarea, #new textarea");
  if (!area) return;
  const menu = one("#slash");
  const note = one("#as-shell");
  const options = () => [...menu.children];
  const shown = () => options().filter((option) => !option.hidden);
  const current = () => one(".hit.at", menu);
  let isLoaded = false;
  let isShut = false;

  /* Words to begin with are typed, not the field's own: they are gone once they are sent. */
  const begun = area.value;
  area.defaultValue = "";
  area.value = begun || draft();

  /* What was being written when the page loaded itself anew. */
  function draft() {
    const key = `draft ${location.pathname} ${one(".rail-foot summary").title}`;
    const words = sessionStorage.getItem(key);
    sessionStorage.removeItem(key);
    if (words) area.focus();
    return words || "";
  }

  function mark(option) {
    current()?.removeAttribute("aria-selected");
    current()?.classList.remove("at");
    option?.classList.add("at");
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) area.setAttribute("aria-activedescendant", option.id);
    else area.removeAttribute("aria-activedescendant");
  }

  /* The commands whose names have the letters, those that begin with them first. */
  function list(letters) {
    const found = (option) => option.dataset.put.slice(1).toLowerCase();
    const begins = (option) => found(option).startsWith(letters);
    options().forEach((option) => { option.hidden = !found(option).includes(letters); });
    menu.append(...options().filter(begins), ...options().filter((option) => !begins(option)));
    menu.hidden = !shown().length;
    mark(menu.hidden ? null : shown()[0]);
  }
  function shut() {
    menu.hidden = true;
    mark(null);
  }
  function look() {
    note.hidden = !area.value.startsWith("!");
    area.classList.toggle("mono", !note.hidden);
    const letters = /^\/(\S*)$/.exec(area.value)?.[1].toLowerCase();
    if (letters === undefined) isShut = false;
    if (letters === undefined || isShut) return shut();
    if (isLoaded) return list(letters);
    isLoaded = true;
    htmx.trigger(menu, "look");
  }
  function put(words) {
    const rest = area.value.replace(/^\/\S*\s*/, "");
    area.value = words + rest;
    area.focus();
    area.setSelectionRange(words.length, words.length);
    look();
  }

  /* The agent, or somebody elsewhere, may switch what the session goes on with: the picks follow, so that the next message
     does not switch it back. What was chosen here and is not sent yet stays. */
  const told = () => ({ ...one("#session-send")?.dataset });
  let known = told();
  function followPicks() {
    const now = told();
    for (const name of ["mode", "model", "preset"]) {
      const select = area.form.elements[name];
      const isOwn = !select?.selectedOptions[0]?.defaultSelected;
      if (!now[name] || now[name] === known[name] || isOwn) continue;
      if (![...select.options].some((option) => option.value === now[name])) select.add(new Option(now[name].split("/").pop(), now[name]));
      select.value = now[name];
      for (const option of select.options) option.defaultSelected = option.selected;
    }
    known = now;
  }

  doc.addEventListener("htmx:after:swap", followPicks);
  doc.addEventListener("input", (event) => { if (event.target === area) look(); });
  doc.addEventListener("reset", (event) => { if (event.target === area.form) setTimeout(look); });
  doc.addEventListener("htmx:after:swap", (event) => { if (event.target === menu) look(); });
  doc.addEventListener("change", (event) => { if (event.target.name === "project") isLoaded = false; });
  doc.addEventListener("htmx:error", (event) => { if (event.target === menu) isLoaded = false; });
  doc.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement === menu && ctx.response.status >= 400) isLoaded = false;
  });
  doc.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-put]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    link.closest("dialog")?.close();
    put(link.dataset.put);
  });
  /* Before the page's own keys: Esc shuts the list and leaves the field alone. */
  doc.addEventListener("keydown", (event) => {
    if (event.target !== area || menu.hidden || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const found = shown();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) mark(found[(found.indexOf(current()) + step + found.length) % found.length]);
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) put(current().dataset.put);
    else if (event.key === "Escape") {
      isShut = true;
      shut();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  look();
})();
