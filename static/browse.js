/* The pages of files: finding as one types, lines that are picked, the editor, uploads. Without it all of them are plain
   links and forms. */
(() => {
  "use strict";
  const doc = document;
  const one = (selector, root = doc) => root.querySelector(selector);
  const all = (selector, root = doc) => [...root.querySelectorAll(selector)];
  const on = (name, fn, options) => doc.addEventListener(name, fn, options);
  const make = (name, words = "", kind = "") => {
    const el = doc.createElement(name);
    el.textContent = words;
    if (kind) el.className = kind;
    return el;
  };
  const icon = (name, kind) => {
    const NS = "http://www.w3.org/2000/svg";
    const svg = doc.createElementNS(NS, "svg");
    const use = doc.createElementNS(NS, "use");
    const sprite = one("use[href*='icons.svg']").getAttribute("href").split("#")[0];
    svg.setAttribute("class", kind);
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `${sprite}#${name}`);
    svg.append(use);
    return svg;
  };

  /* Finding: letters bring names, Tab widens to contents, arrows and Enter choose. */
  const find = one("form[data-find]");
  const field = one("input[type=search]", find);
  const where = one("[data-where]", find);
  const hits = () => all(".found a.hit", find);
  const current = () => one(".found a.hit.at", find);
  function mark(hit) {
    current()?.classList.remove("at");
    hit?.classList.add("at");
    hit?.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", hit?.id || "");
  }
  function look(place) {
    where.value = place;
    one("[data-where-word]", find).textContent = place === "text" ? "contents" : "name";
    if (field.value.trim()) htmx.trigger(find, "look");
  }
  function show(open) {
    find.classList.toggle("open", open);
    field.setAttribute("aria-expanded", String(open));
  }
  /* Enter opens no hit of other words: before those of these are there, the form asks for their page. */
  const words = () => `${where.value} ${field.value}`;
  let asked = "";
  on("htmx:before:request", ({ detail: { ctx } }) => { if (ctx.sourceElement === find) ctx.asked = words(); });
  on("htmx:after:swap", ({ detail: { ctx } }) => { if (ctx.sourceElement === find) asked = ctx.asked; });
  field.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    const found = hits();
    if (event.isComposing) return;
    if (moves[event.key] && found.length) {
      mark(found[(found.indexOf(current()) + moves[event.key] + found.length) % found.length]);
    } else if (event.key === "Enter" && current() && find.matches(".open") && asked === words()) current().click();
    else if (event.key === "Tab" && !event.shiftKey && field.value.trim() && find.matches(".open")) {
      look(where.value === "text" ? "name" : "text");
    } else if (event.key === "Escape" && find.matches(".open")) {
      show(false);
      event.stopPropagation();
    } else return;
    event.preventDefault();
  });
  field.addEventListener("input", () => show(Boolean(field.value.trim())));
  field.addEventListener("focus", () => { if (field.value.trim() && hits().length) show(true); });
  on("click", (event) => {
    const widen = event.target.closest(".found a[data-widen]");
    if (!find.contains(event.target)) show(false);
    if (!widen || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    look(widen.dataset.widen);
    field.focus();
  });
  on("htmx:after:swap", () => {
    if (!current()) mark(hits()[0]);
    if (find.matches(".open") && !field.value.trim()) show(false);
  });
  on("find-file", () => { look("name"); field.focus(); field.select(); });

  /* Arrows move in the list as J and K do. */
  on("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || !event.target.matches("[data-row] a.title, .tree a")) return;
    const rows = all(event.target.closest(".tree") ? ".tree a" : "[data-row] a.title");
    const next = rows[rows.indexOf(event.target) + by];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  /* Lines: a number picks its line, Shift a number up to it; the address names them. */
  const pane = one("#code");
  const range = () => (/^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash) || []).slice(1).map(Number);
  function pick(scroll) {
    all("tr.picked", pane).forEach((row) => row.classList.remove("picked"));
    const [from, to] = range();
    if (!from) return;
    const first = Math.min(from, to || from);
    const last = Math.max(from, to || from);
    for (let number = first; number <= last; number += 1) doc.getElementById(`L${number}`)?.classList.add("picked");
    const row = doc.getElementById(`L${first}`);
    if (scroll && row) row.scrollIntoView({ block: "center" });
    else if (scroll && !new URLSearchParams(location.search).has("at")) {
      const url = new URL(pane.dataset.base, location.href);
      url.searchParams.set("at", first);
      location.replace(url.href + location.hash);
    }
  }
  if (pane) {
    pane.addEventListener("click", (event) => {
      const link = event.target.closest(".no a");
      if (!link) return;
      event.preventDefault();
      const number = Number(link.textContent);
      const [from] = range();
      const hash = event.shiftKey && from ? `#L${Math.min(from, number)}-L${Math.max(from, number)}` : `#L${number}`;
      history.replaceState(history.state, "", location.pathname + location.search + hash);
      pick(false);
    });
    window.addEventListener("hashchange", () => pick(true));
    on("htmx:after:swap", () => pick(false));
    pick(true);
  }
  const wrap = one("[data-wrap]");
  if (wrap) {
    wrap.checked = localStorage.getItem("wrap") === "yes";
    wrap.addEventListener("change", () => localStorage.setItem("wrap", wrap.checked ? "yes" : "no"));
  }

  /* The editor: Tab inserts what the file indents by, Escape leaves the field; Ctrl S saves and stays. */
  const area = () => one("form[data-editor] textarea");
  let known = null;
  let onDisk = "";
  let sent = "";
  function begin() {
    const now = area();
    if (!now || now === known) return;
    const kept = known && now.matches("[data-unsaved]");
    known = now;
    onDisk = now.matches("[data-unsaved]") ? null : now.defaultValue;
    count();
    if (!kept) now.setSelectionRange(0, 0);
    now.focus({ preventScroll: true });
  }
  const isDirty = () => known?.isConnected && known.value !== onDisk;
  function count() {
    const lines = known.value.split("\n");
    const numbers = one("[data-numbers]");
    if (Number(numbers.dataset.numbers) !== lines.length) {
      numbers.textContent = lines.map((_line, at) => at + 1).join("\n");
      numbers.dataset.numbers = lines.length;
      known.rows = Math.max(12, lines.length + 1);
    }
    const words = one("[data-changed]");
    const figures = one("[data-figures]");
    words.hidden = !isDirty();
    figures.hidden = words.hidden || onDisk === null;
    if (words.hidden) return;
    words.textContent = "Not saved";
    if (onDisk === null) return;
    const [added, removed] = differ(onDisk.split("\n"), lines);
    words.textContent = `${Math.max(added, removed)} ${Math.max(added, removed) === 1 ? "line" : "lines"} changed`;
    figures.replaceChildren(make("span", `+${added}`, "add"), " ", make("span", `\u2212${removed}`, "del"));
  }
  /* What lies between the equal lines at both ends. */
  function differ(before, after) {
    let top = 0;
    while (top < before.length && top < after.length && before[top] === after[top]) top += 1;
    let end = 0;
    const most = Math.min(before.length, after.length) - top;
    while (end < most && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
    return [after.length - top - end, before.length - top - end];
  }
  function put(text) {
    // So that Ctrl Z takes it back; where it is gone, the text is put there all the same.
    if (!doc.execCommand("insertText", false, text)) known.setRangeText(text, known.selectionStart, known.selectionEnd, "end");
  }
  function indent(back) {
    const { value, selectionStart: from, selectionEnd: to } = known;
    const unit = /^\t/m.test(value) || /makefile|\.go$/i.test(known.dataset.path) ? "\t" : "    ";
    const start = value.lastIndexOf("\n", from - 1) + 1;
    if (from === to && !back) return put(unit === "\t" ? unit : " ".repeat(unit.length - ((from - start) % unit.length)));
    const end = to > from && value[to - 1] === "\n" ? to - 1 : to;
    const old = value.slice(start, end);
    const fresh = old.split("\n").map((line) => (back ? line.replace(/^(\t| {1,4})/, "") : line && unit + line)).join("\n");
    known.setSelectionRange(start, end);
    put(fresh);
    const at = Math.max(start, from + fresh.length - old.length);
    known.setSelectionRange(from === to ? at : start, from === to ? at : start + fresh.length);
  }
  on("keydown", (event) => {
    const saves = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "s";
    if (saves && area()) {
      event.preventDefault();
      const form = area().form;
      return form.requestSubmit(one("[data-key='mod+S']", form));
    }
    if (event.target !== known) return;
    if (event.key === "Tab") {
      event.preventDefault();
      indent(event.shiftKey);
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && !event.isComposing) {
      const line = known.value.slice(known.value.lastIndexOf("\n", known.selectionStart - 1) + 1, known.selectionStart);
      const space = /^[\t ]*/.exec(line)[0];
      if (!space) return;
      event.preventDefault();
      put(`\n${space}`);
    }
  });
  on("input", (event) => { if (event.target === known) count(); });
  on("htmx:before:request", (event) => {
    if (event.detail.ctx.sourceElement.closest?.("form[data-editor]")) sent = known.value;
  });
  on("htmx:after:swap", () => {
    if (area() && area() !== known) begin();
    else if (one("#save-state [data-saved]") && known?.isConnected) {
      onDisk = sent;
      one("#save-state [data-saved]").removeAttribute("data-saved");
      count();
    }
  });
  on("click", (event) => {
    if (event.target.closest("[data-discard]")) onDisk = known?.value;
    if (event.target.closest("[data-copy-mine]")) {
      doc.dispatchEvent(new CustomEvent("copy-words", { detail: { words: known.value, told: "Copied yours." } }));
    }
  });
  begin();

  /* Uploads: files and folders dropped anywhere on the page, or picked; one after the other, each with its progress. */
  const uploader = one("form[data-upload]");
  const box = one("#uploads");
  const queue = [];
  let running = null;
  const size = (bytes) => (bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB`
    : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
  function line(file, path) {
    const li = make("li");
    const note = make("span", size(file.size), "push ink-3");
    li.append(icon("state-queued", "g queued"), make("span", path, "cut"), note);
    li.title = path;
    box.hidden = false;
    if (!one("ul", box)) {
      const cancel = make("button", "Cancel", "btn link");
      cancel.type = "button";
      cancel.addEventListener("click", stop);
      const head = make("p", "", "upload-head");
      head.append(make("b", "", "upload-words"), cancel);
      box.append(head, make("ul"));
    }
    one("ul", box).append(li);
    return { li, note };
  }
  function state(li, name) {
    one("svg", li).replaceWith(icon(`state-${name}`, `g ${name}`));
    li.dataset.state = name;
  }
  function add(file, path, replace) {
    queue.push({ file, path, replace, ...line(file, path) });
    tell();
    if (!running) next();
  }
  function tell() {
    const number = all("li", box).length;
    one(".upload-words", box).textContent = `${number} ${number === 1 ? "file" : "files"} to ${uploader.dataset.folderWord}`;
    one(".upload-head .btn", box).hidden = !queue.length && !running;
  }
  function next() {
    running = queue.shift() || null;
    tell();
    if (!running) return refresh();
    const { file, path, replace, li, note } = running;
    const bar = make("progress");
    bar.max = Math.max(1, file.size);
    bar.value = 0;
    bar.setAttribute("aria-label", path);
    li.append(bar);
    state(li, "running");
    const request = new XMLHttpRequest();
    const target = [uploader.dataset.folder, path].filter(Boolean).join("/").split("/").map(encodeURIComponent).join("/");
    request.open("POST", `${uploader.dataset.upload.replace(/\/?$/, "/")}${target}${replace ? "?replace=yes" : ""}`);
    request.setRequestHeader("X-CSRF-Token", one("[name=csrf_token]", uploader).value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      bar.value = event.loaded;
      note.textContent = `${size(event.loaded)} of ${size(file.size)}`;
    });
    request.addEventListener("loadend", () => {
      bar.remove();
      ended(running, request);
      running = null;
      next();
    });
    running.request = request;
    request.send(file);
  }
  function ended({ file, path, li, note }, request) {
    note.textContent = size(file.size);
    if (request.status >= 200 && request.status < 300) return state(li, "done");
    state(li, "failed");
    let words = request.status ? `refused (${request.status})` : "stopped";
    try { words = JSON.parse(request.responseText).error || words; } catch { /* told by its status */ }
    note.className = "push fail";
    note.textContent = request.status === 409 ? "exists." : words;
    if (request.status !== 409) return;
    const again = make("button", "Replace\u2026", "btn link");
    again.type = "button";
    again.addEventListener("click", () => { li.remove(); add(file, path, true); });
    li.append(again);
  }
  function stop() {
    for (const { li, note } of queue.splice(0)) {
      state(li, "failed");
      note.textContent = "stopped";
    }
    running?.request.abort();
  }
  /* What is not saved, or still on its way, is not left without a question. */
  window.addEventListener("beforeunload", (event) => { if (isDirty() || running) event.preventDefault(); });
  /* What came is shown where it lies, also what others change here; an editor is left alone. */
  let later = 0;
  function refresh() {
    if (!one("#listing")) return;
    const at = doc.activeElement.closest("#listing a, #tree a");
    const list = at && `#${at.closest("#listing, #tree").id} a`;
    const href = at?.href;
    const into = { target: "#listing", select: "#listing", swap: "outerMorph" };
    htmx.ajax("GET", location.pathname + location.search, into).then(() => {
      // Its row may be another's by now: the focus stays with the file.
      if (at && [at, doc.body].includes(doc.activeElement)) all(list).find((link) => link.href === href)?.focus();
    });
  }
  on("htmx:after:swap", () => {
    const news = one("#files-news [data-news]");
    if (!news || !one("#listing")) return;
    news.remove();
    // Not put off by what comes meanwhile: changes that never stop would never be shown.
    later ||= setTimeout(() => { later = 0; refresh(); }, 300);
  });
  /* What the browser may not read is told, and the rest comes all the same. */
  function unread(path) {
    const { li, note } = line({ size: 0 }, path);
    state(li, "failed");
    note.className = "push fail";
    note.textContent = "could not be read";
    tell();
  }
  async function walk(entry, below) {
    if (entry.isFile) {
      const file = await new Promise((done) => entry.file(done, () => done(null)));
      return file ? add(file, below + file.name) : unread(below + entry.name);
    }
    const reader = entry.createReader();
    for (;;) {
      const found = await new Promise((done) => reader.readEntries(done, () => done(null)));
      if (!found) return unread(below + entry.name);
      if (!found.length) return;
      for (const inner of found) await walk(inner, `${below}${entry.name}/`);
    }
  }
  if (uploader) {
    const page = one(".page");
    const holds = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
    all(".needs-script", uploader).forEach((el) => { el.hidden = false; });
    page.addEventListener("dragover", (event) => {
      if (!holds(event)) return;
      event.preventDefault();
      page.dataset.drop = "yes";
    });
    page.addEventListener("dragleave", (event) => { if (!page.contains(event.relatedTarget)) delete page.dataset.drop; });
    page.addEventListener("drop", (event) => {
      if (!holds(event)) return;
      event.preventDefault();
      delete page.dataset.drop;
      const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
      if (entries.length) entries.forEach((entry) => walk(entry, ""));
      else [...event.dataTransfer.files].forEach((file) => add(file, file.name));
    });
    uploader.addEventListener("submit", (event) => {
      event.preventDefault();
      const replace = one("[name=replace]", uploader).checked;
      for (const input of all("input[type=file]", uploader)) {
        for (const file of input.files) add(file, file.webkitRelativePath || file.name, replace);
      }
      uploader.reset();
      uploader.closest("details").open = false;
    });
    one("[data-whole]", uploader).addEventListener("change", () => uploader.requestSubmit());
    one("[name=files]", uploader).required = false;
  }
})();
