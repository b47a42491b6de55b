/* Signalcabin in the browser: security of swaps, upsert, live state, follow, keys, composer, toasts. No framework. */
(() => {
  "use strict";
  const doc = document;
  const one = (selector, root = doc) => root.querySelector(selector);
  const all = (selector, root = doc) => [...root.querySelectorAll(selector)];
  const on = (name, fn, options) => doc.addEventListener(name, fn, options);

  /* Trusted types: only htmx may write markup, by this policy; expressions in attributes are refused. */
  let api;
  const refuse = function () {
    return { call() { throw new Error("Expressions in attributes are off"); } };
  };
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("signalcabin", {
        createHTML: (markup) => markup,
        createScript: () => "",
      })
    : { createHTML: (markup) => markup, createScript: () => "" };

  /* hx-swap="upsert": each child with an id replaces its namesake, or is appended to the target. */
  function upsert(style, target, fragment) {
    if (style !== "upsert") return false;
    const fresh = [];
    for (const child of [...fragment.children]) {
      const old = child.id && doc.getElementById(child.id);
      if (!old) {
        target.append(child);
        fresh.push(child);
        continue;
      }
      keepOpen(old, child);
      const piece = doc.createDocumentFragment();
      piece.append(child);
      api.insertContent({ target: old, fragment: piece, swapSpec: { style: "outerHTML", settle: 0 } }, false);
    }
    return fresh;
  }

  /* What the reader opened or closed stays so when the event is drawn again. */
  function keepOpen(old, fresh) {
    for (const was of [old, ...all("details", old)]) {
      if (!was.matches("details[data-touched]")) continue;
      const key = was.dataset.keep;
      const now = [fresh, ...all("details", fresh)].find((d) => d.matches("details") && d.dataset.keep === key);
      if (!now) continue;
      now.open = was.open;
      now.dataset.touched = "";
    }
  }
  on("click", (event) => {
    const details = event.target.closest("summary")?.parentElement;
    if (details) details.dataset.touched = "";
  });

  htmx.registerExtension("cabin", {
    init(internal) {
      api = internal;
      api.initSecurity(policy, refuse, refuse);
    },
    handle_swap: upsert,
  });

  /* Live state: one word at the foot of the rail, a banner after 15 s. */
  const lives = all("[data-live]");
  let lostAt = 0;
  let missed = 0;
  let asOf = new Date();
  let timers = [];
  const say = (state, words) => lives.forEach((el) => { el.dataset.state = state; el.textContent = words; });
  const clock = (date) => date.toTimeString().slice(0, 8);
  function lost() {
    if (lostAt) return;
    lostAt = Date.now();
    missed = 0;
    timers = [setTimeout(() => say("reconnecting", "Reconnecting"), 3000), setTimeout(showBanner, 15000)];
  }
  function showBanner() {
    const banner = doc.createElement("div");
    banner.className = "banner";
    banner.id = "lost";
    const words = doc.createElement("span");
    const retry = doc.createElement("button");
    retry.className = "btn low push";
    retry.textContent = "Retry now";
    retry.addEventListener("click", () => location.reload());
    banner.append(words, retry);
    const tell = () => {
      const seconds = Math.round((Date.now() - lostAt) / 1000);
      words.textContent = `Connection lost ${seconds} s ago. What you see is as of ${clock(asOf)}. Retrying.`;
    };
    tell();
    timers.push(setInterval(tell, 1000));
    doc.body.prepend(banner);
  }
  function back() {
    timers.forEach(clearTimeout);
    one("#lost")?.remove();
    if (lostAt && Date.now() - lostAt > 3000) {
      say("caught", "Caught up");
      setTimeout(() => say("caught", `Caught up, ${missed} ${missed === 1 ? "event" : "events"}`), 400);
      setTimeout(() => say("live", "Live"), 3000);
    } else say("live", "Live");
    lostAt = 0;
  }
  on("htmx:sse:after:connection", (event) => { if (event.detail.connection.status < 400) back(); });
  on("htmx:sse:before:connection", (event) => { if (event.detail.connection.attempt > 0) lost(); });
  on("htmx:sse:error", lost);
  on("htmx:sse:after:message", () => { asOf = new Date(); missed += 1; });

  /* The server may say that a stream cannot be resumed: load the page afresh; while a form is on its way, its answer
     is that fresh page, and a reload would throw it away. */
  let leaving = 0;
  window.addEventListener("beforeunload", () => { leaving = Date.now(); });
  on("resync", () => {
    if (Date.now() - leaving > 10000) location.reload();
    else setTimeout(() => location.reload(), 10000);
  });

  /* The amber count follows into the title. */
  const bareTitle = doc.title.replace(/^\(\d+\) /, "");
  function countTitle() {
    const waiting = one(".inbox-count")?.textContent.trim();
    doc.title = waiting && waiting !== "0" ? `(${waiting}) ${bareTitle}` : bareTitle;
  }

  /* Follow: at the bottom the view follows; else new events are counted in a pill. */
  const log = one("[data-follow]");
  let atEnd = true;
  let unseen = 0;
  const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  function pill() {
    let button = one(".pill-new", log);
    if (!unseen) return button?.remove();
    if (!button) {
      button = doc.createElement("button");
      button.className = "pill-new";
      button.addEventListener("click", () => { toEnd(); button.remove(); });
      log.append(button);
    }
    button.textContent = `↓ ${unseen} new`;
  }
  if (log) {
    if (!location.hash) toEnd();
    log.addEventListener("scroll", () => {
      atEnd = isAtEnd();
      if (atEnd) { unseen = 0; pill(); }
    }, { passive: true });
    new ResizeObserver(() => { if (atEnd) toEnd(); }).observe(log.firstElementChild || log);
    new MutationObserver((changes) => {
      const added = changes.flatMap((c) => [...c.addedNodes]).filter((n) => n.nodeType === 1);
      const fresh = added.filter((n) => n.matches(".ev, .message") && !n.dataset.seen);
      fresh.forEach((n) => { n.dataset.seen = "1"; });
      if (!atEnd && fresh.length) { unseen += fresh.length; pill(); }
      announce(added);
    }).observe(log, { childList: true, subtree: true });
  }
  function announce(added) {
    const words = added.map((n) => n.dataset?.say).filter(Boolean).pop();
    if (words && one("#say")) one("#say").textContent = words;
  }

  /* Times grow older without the server. */
  const units = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"]];
  function ago(ms, short) {
    const seconds = Math.max(0, Math.floor((Date.now() - ms) / 1000));
    if (seconds < 5) return "now";
    for (const [limit, size, unit] of units) {
      if (seconds < limit) return `${Math.floor(seconds / size)} ${unit}${short ? "" : " ago"}`;
    }
    return null;
  }
  function span(ms) {
    const s = Math.floor(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ""}`;
    return `${Math.floor(s / 3600)} h${Math.floor(s / 60) % 60 ? ` ${Math.floor(s / 60) % 60} min` : ""}`;
  }
  setInterval(() => {
    if (doc.hidden) return;
    for (const el of all("time[data-ms]")) {
      const words = el.dataset.form === "clock" ? null : ago(+el.dataset.ms, el.dataset.form === "age");
      if (words && words !== el.textContent) el.textContent = words;
    }
    for (const el of all("[data-since]")) el.textContent = span(Date.now() - el.dataset.since);
  }, 1000);

  /* Composer: grows to 8 lines, sends by Ctrl+Enter, is emptied once the server has taken it. */
  function grow(area) {
    if (window.CSS.supports("field-sizing", "content")) return;
    area.rows = Math.min(8, Math.max(1, area.value.split("\n").length));
  }
  on("input", (event) => { if (event.target.matches(".composer textarea")) grow(event.target); });
  on("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const form = event.target.closest("form");
    if (form && event.target.matches("textarea, input")) {
      event.preventDefault();
      form.requestSubmit(one("[data-key='mod+Enter'], .primary", form));
    }
  });
  on("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    const form = ctx.sourceElement;
    if (form.matches?.("form[data-composer]") && ctx.response.status < 400) {
      form.reset();
      one("#dock-note")?.replaceChildren();
      atEnd = true;
      if (log) toEnd();
      one("textarea", form)?.focus();
    }
    if (ctx.response.status === 401) location.reload();
    else if (ctx.response.status >= 400 && ctx.swap === "none") toast("That did not work. Nothing was changed.");
  });
  on("htmx:before:request", (event) => {
    const button = event.detail.ctx.request?.submitter;
    if (button) button.dataset.busy = "1";
  });
  on("htmx:finally:request", (event) => {
    const button = event.detail.ctx.request?.submitter;
    if (button) delete button.dataset.busy;
  });
  on("htmx:error", (event) => {
    if (!event.target.matches?.("[hx-sse\\:connect]")) toast("The server did not answer. Nothing was sent twice; try again.");
  });

  /* After an answer the focus goes to the next thing that waits, never elsewhere. */
  on("htmx:after:swap", (event) => {
    countTitle();
    if (!event.target.closest?.("[data-ask]") || doc.activeElement !== doc.body) return;
    one("[data-ask] [data-key='A'], [data-ask] .btn")?.focus();
  });

  /* A question's button says which. */
  on("change", (event) => {
    const form = event.target.closest("form[data-question]");
    if (!form) return;
    const picked = all(".choices :checked", form);
    const words = one("[data-answer] span", form);
    if (words) words.textContent = picked.length === 1 && form.dataset.question === "1" && picked[0].dataset.n !== "0"
      ? `Answer ${picked[0].dataset.n}` : "Answer";
    if (event.target.matches(".pick-other")) one(".other", event.target.closest("label"))?.focus();
  });

  /* Toasts: one sentence and at most one act, 6 s, held while hovered or focused. */
  function toast(words, act) {
    const box = one("#toasts");
    if (!box) return;
    const el = doc.createElement("div");
    el.className = "toast";
    el.append(words);
    if (act) {
      const button = doc.createElement("button");
      button.className = "btn";
      button.textContent = act.words;
      button.addEventListener("click", () => { el.remove(); act.run(); });
      el.append(button);
    }
    box.append(el);
    let timer;
    const start = () => { timer = setTimeout(() => el.remove(), 6000); };
    const hold = () => clearTimeout(timer);
    el.addEventListener("mouseenter", hold);
    el.addEventListener("mouseleave", start);
    el.addEventListener("focusin", hold);
    el.addEventListener("focusout", start);
    start();
  }
  on("toast", (event) => toast(event.detail.value || event.detail.words || ""));

  /* Copy buttons: data-copy holds the selector of what is copied. */
  on("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    navigator.clipboard.writeText(one(button.dataset.copy).textContent.trim()).then(() => toast("Copied."));
  });

  /* Esc closes what floats; a click beside a menu closes it. */
  on("click", (event) => {
    for (const menu of all("details[open]:has(> .menu)")) if (!menu.contains(event.target)) menu.open = false;
  });

  /* A press on a row of the phone's New entry lands in the composer. */
  if (location.hash === "#new") one(".composer textarea")?.focus();

  /* Keys: single ones only outside of fields, and only if the person has not switched them off. */
  const go = { H: "a[href][title='Home']", I: "a[href][title='Inbox']", S: "a[href][title='Sessions']", P: "a[href][title='Projects']" };
  let goUntil = 0;
  const press = (key, root = doc) => {
    const button = all(`[data-key="${key}"]`, root).find((el) => el.offsetParent && !el.disabled);
    if (!button) return false;
    const box = button.getBoundingClientRect();
    if (box.bottom < 0 || box.top > innerHeight - 8) { // an answer is never given to a call that is out of sight
      button.scrollIntoView({ block: "center" });
      button.focus();
      return true;
    }
    if (button.matches("summary")) {
      button.parentElement.open = true;
      button.parentElement.dataset.touched = "";
      one("input, textarea, .btn:not(summary)", button.parentElement)?.focus();
    } else button.click();
    return true;
  };
  function move(step) {
    const rows = all("[data-row] a.title, a[data-row]").filter((el) => el.offsetParent);
    if (!rows.length) return false;
    const at = rows.indexOf(doc.activeElement);
    rows[Math.max(0, Math.min(rows.length - 1, at + step))].focus();
    return true;
  }
  function turn(step, selector) {
    if (!log) return false;
    const top = log.getBoundingClientRect().top + 16;
    const places = all(selector, log).map((el) => [el, el.getBoundingClientRect().top]);
    const next = step > 0 ? places.find(([, y]) => y > top + 2) : places.reverse().find(([, y]) => y < top - 2);
    next?.[0].scrollIntoView({ block: "start" });
    return Boolean(next);
  }
  const keys = {
    "/": () => { const field = one("input[type=search]"); field?.focus(); return Boolean(field); },
    C: () => { const area = one(".composer textarea"); if (area) area.focus(); else location.href = one(go.H).href; return true; },
    J: () => move(1),
    K: () => move(-1),
    O: () => { const row = doc.activeElement; if (!row.matches("a")) return false; row.click(); return true; },
    A: () => press("A", nearest()),
    R: () => press("R", nearest()),
    "shift+A": () => press("shift+A", nearest()),
    D: () => { const link = one("a[data-tab=changes]"); if (!link) return false; location.href = link.href; return true; },
    ".": () => press("."),
    "[": () => turn(-1, ".said"),
    "]": () => turn(1, ".said"),
    E: () => turn(1, ".bad, .ev.failed"),
  };
  const nearest = () => doc.activeElement.closest("[data-ask]") || one("[data-ask]") || doc;
  on("keydown", (event) => {
    if (event.key === "Escape") {
      const open = one("details[open]:has(> .menu)") || event.target.closest?.("details.more-answer[open]");
      if (open) { open.open = false; one("summary", open).focus(); }
      else if (event.target.matches("input, textarea")) event.target.blur();
      return;
    }
    if (doc.body.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=radio], [type=checkbox]), textarea, select")) return;
    const letter = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    if (Date.now() < goUntil && go[letter]) {
      goUntil = 0;
      location.href = one(go[letter]).href;
      return;
    }
    if (letter === "G") { goUntil = Date.now() + 1500; return; }
    if (/^[0-9]$/.test(letter) && choose(letter)) return event.preventDefault();
    const run = keys[event.shiftKey && letter === "A" ? "shift+A" : letter];
    if (run?.()) event.preventDefault();
  });
  function choose(number) {
    const input = one(`[data-ask] .choices input[data-n="${number}"]`);
    if (!input) return false;
    input.click();
    return true;
  }
})();
