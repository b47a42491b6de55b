/* Keys, the command bar, and the session list that opens over a narrow page. The list of keys is in
   app/system/pages/search.py. */
(() => {
  "use strict";
  const doc = document;
  const one = (selector, root = doc) => root.querySelector(selector);
  const all = (selector, root = doc) => [...root.querySelectorAll(selector)];
  const on = (name, fn, options) => doc.addEventListener(name, fn, options);
  const composer = () => one(".dock textarea");

  /* The command bar: a dialog on every page, the page itself at /search. Arrows move, Enter opens. */
  const search = one("form.search");
  const field = search && one("input[type=search]", search);
  const hits = () => all("a.hit", search);
  const current = () => one("a.hit.at", search);
  function openBar() {
    const dialog = search.closest("dialog");
    if (dialog && !dialog.open) {
      closeAll();
      dialog.showModal();
      htmx.trigger(search, "look");
    }
    field.focus();
    field.select();
    return true;
  }
  function mark(hit) {
    current()?.classList.remove("at");
    hit?.classList.add("at");
    hit?.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", hit?.id || "");
  }
  function step(by) {
    const found = hits();
    const at = found.indexOf(current());
    mark(found[(at + by + found.length) % found.length]);
  }
  function put(path) {
    const area = composer();
    one("#bar").close();
    const at = area.selectionEnd || area.value.length;
    area.setRangeText(`${path} `, at, at, "end");
    area.focus();
  }
  /* Who types fast presses Enter before the hits of these words are there: it waits for them, and opens none that was
     found for others. */
  let asked = field?.value;
  let awaited = null;
  function enter() {
    if (asked === field.value) current()?.click();
    else awaited = field.value;
  }
  field?.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.isComposing) return;
    if (moves[event.key]) step(moves[event.key]);
    else if (event.key === "Enter" && current() && awaited !== field.value) enter();
    else return;
    event.preventDefault();
  });
  field?.addEventListener("input", () => { awaited = null; });
  search?.closest("dialog")?.addEventListener("close", () => { awaited = null; });
  on("htmx:before:request", (event) => {
    const { ctx } = event.detail;
    if (search && ctx.sourceElement === search) ctx.asked = field.value;
  });
  on("htmx:after:swap", (event) => {
    if (!search) return;
    const { ctx } = event.detail;
    if (ctx.sourceElement === search) asked = ctx.asked;
    if (!current()) mark(hits()[0]);
    if (awaited === null || asked !== awaited) return;
    awaited = null;
    current()?.click();
  });
  on("click", (event) => {
    const plain = !(event.ctrlKey || event.metaKey || event.shiftKey);
    const link = event.target.closest("a[data-bar], a[data-keys], a.hit[data-path]");
    if (event.target.matches("dialog")) event.target.close();
    if (!link || !plain) return;
    if (link.matches(".hit") ? composer() : search || link.matches("[data-keys]")) event.preventDefault();
    else return;
    if (link.matches(".hit")) put(link.dataset.path);
    else if (link.matches("[data-keys]")) openKeys();
    else openBar();
  });

  function openKeys() {
    const dialog = one("#keys");
    if (!dialog || dialog.open) return false;
    closeAll();
    dialog.showModal();
    htmx.trigger(dialog, "look");
    return true;
  }
  on("open-bar", () => (search ? openBar() : follow(one("a[data-bar]"))));
  on("open-keys", openKeys);
  const closeAll = () => all("dialog[open]").forEach((dialog) => dialog.close());

  /* Between 760 and 1099 px the button back opens the list over the page. */
  const session = one(".session");
  const narrow = matchMedia("(min-width: 760px) and (max-width: 1099px)");
  const showList = (open) => { session.dataset.list = open ? "open" : ""; };
  on("click", (event) => {
    if (!session) return;
    const opener = event.target.closest(".session-head .back");
    if (opener && narrow.matches) {
      event.preventDefault();
      showList(true);
      (one(".side-row.at a.title") || one(".side-list a")).focus();
    } else if (!event.target.closest(".side-list")) showList(false);
  });

  /* Single keys: only outside of fields, and only if the person has not switched them off. */
  const go = { H: "Home", I: "Inbox", S: "Sessions", P: "Projects", F: "Files", C: "Checkpoints", T: "Terminals" };
  const page = (letter) => one(`.rail a[title="${go[letter]}"]`);
  let goUntil = 0;
  function isSeen(el) {
    const box = el.getBoundingClientRect();
    const pane = (el.closest(".scroll, .log") || doc.documentElement).getBoundingClientRect();
    return box.bottom > Math.max(0, pane.top) && box.top < pane.bottom - 8;
  }
  function press(key, root = doc) {
    const button = all(`[data-key="${key}"]`, root).find((el) => el.offsetParent && !el.disabled);
    if (!button) return false;
    if (button.matches("summary")) { // it answers nothing yet
      const details = button.parentElement;
      details.open = true;
      details.dataset.touched = "";
      details.scrollIntoView({ block: "nearest" });
      one("input, textarea, .btn:not(summary)", details)?.focus();
      return true;
    }
    // An answer is never given to what is out of sight: neither the button nor the rule that it would add.
    const hidden = [button, one(button.dataset.shows || "none")].find((el) => el && !isSeen(el));
    if (hidden) {
      hidden.scrollIntoView({ block: "center" });
      button.focus({ preventScroll: true });
    } else button.click();
    return true;
  }
  function move(by) {
    const rows = all("[data-row] a.title").filter((el) => el.offsetParent);
    if (!rows.length) return false;
    rows[Math.max(0, Math.min(rows.length - 1, rows.indexOf(doc.activeElement) + by))].focus();
    return true;
  }
  function turn(by, selector) {
    const log = one("[data-follow]");
    if (!log) return false;
    const top = log.getBoundingClientRect().top + 16;
    const places = all(selector, log).map((el) => [el, el.getBoundingClientRect().top]);
    const next = by > 0 ? places.find(([, y]) => y > top + 2) : places.reverse().find(([, y]) => y < top - 2);
    next?.[0].scrollIntoView({ block: "start" });
    return Boolean(next);
  }
  function choose(number) {
    const input = one(`[data-ask] .choices input[data-n="${number}"]`);
    input?.focus(); // so that Enter sends it
    input?.click();
    return Boolean(input);
  }
  function create() {
    const area = one("#new textarea");
    if (area) area.focus();
    else location.href = `${page("H").href}#words`;
    return true;
  }
  function find() {
    const own = one(".page input[type=search]");
    if (own) own.focus();
    else openBar();
    return true;
  }
  function follow(link) {
    link?.click();
    return Boolean(link);
  }
  /* In the inbox an answer is for the ask that is shown: a key on another row shows that one first. */
  function answer(key) {
    const row = doc.activeElement.closest(".inbox .ask-row");
    return row && !row.matches(".at") ? follow(one("a.title", row)) : press(key, nearest());
  }
  function select() {
    const box = one(".tick input", doc.activeElement.closest(".ask-row") || doc.createElement("i"));
    box?.click();
    return Boolean(box);
  }
  const nearest = () => doc.activeElement.closest("[data-ask]") || one("[data-ask]") || doc;
  const keys = {
    "/": find,
    "?": openKeys,
    C: create,
    J: () => move(1),
    K: () => move(-1),
    O: () => follow(doc.activeElement.closest("a") || one(".decision a.open")),
    A: () => answer("A"),
    R: () => answer("R"),
    "shift+A": () => answer("shift+A"),
    X: select,
    D: () => follow(one("a[data-tab=changes]")),
    ".": () => press("."),
    T: () => press("T") || (Boolean(one("form[data-find]")) && doc.dispatchEvent(new Event("find-file"))),
    "[": () => turn(-1, ".said"),
    "]": () => turn(1, ".said"),
    E: () => turn(1, ".bad, .ev.failed") || press("E"),
  };
  function escape(event) {
    const open = one("details[open]:has(> .menu)") || event.target.closest?.("details.more-answer[open]");
    if (session?.dataset.list) {
      showList(false);
      one(".session-head .back").focus();
    } else if (open) {
      open.open = false;
      one("summary", open).focus();
    } else if (event.target.matches("input, textarea")) event.target.blur();
  }
  function single(event) {
    const letter = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    if (Date.now() < goUntil && go[letter]) {
      goUntil = 0;
      return follow(page(letter)); // the rail has no page that this person may not open
    }
    if (letter === "G") goUntil = Date.now() + 1500;
    if (/^[0-9]$/.test(letter)) return choose(letter);
    return keys[event.shiftKey && letter === "A" ? "shift+A" : letter]?.();
  }
  on("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && search) {
      event.preventDefault();
      openBar();
      return;
    }
    if (one("dialog[open]")) return; // Esc closes it, by the browser
    if (event.key === "Escape") return escape(event);
    if (doc.body.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=radio], [type=checkbox]), textarea, select")) return;
    // A key that is held moves on; it would also answer what comes next, which nobody has read yet.
    if (event.repeat && !"jk[]".includes(event.key.toLowerCase())) return;
    if (single(event)) event.preventDefault();
  });
})();
