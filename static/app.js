/* Signalcabin in the browser: security of swaps, the one stream, live state, follow, composer, toasts. No framework.
   Keys and the command bar are in keys.js. */
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
  function upsert(target, fragment) {
    return each(fragment, (old, child) => {
      if (old) replace(old, child);
      else target.append(child);
      return !old;
    });
  }

  /* hx-swap="into": a list row takes the place of its namesake if that stands in this list; else it comes to the
     list's top, or under the row that it belongs to, and its own rows come along. */
  function into(target, fragment) {
    return each(fragment, (old, row) => {
      const above = row.dataset.under && doc.getElementById(row.dataset.under);
      if (old && (above || target.contains(old))) return replace(old, row);
      const below = all(`[data-under="${row.id}"]`);
      const focused = old && onTitle(old);
      old?.remove();
      if (above) above.after(row);
      else target.prepend(row);
      row.after(...below);
      if (focused) one("a.title", row)?.focus();
      return !old;
    });
  }

  /* Put every child somewhere; the new ones are told to htmx. */
  function each(fragment, put) {
    return [...fragment.children].filter((child) => put(child.id && doc.getElementById(child.id), child));
  }

  const onTitle = (row) => row.contains(doc.activeElement) && doc.activeElement.matches("a.title");

  function replace(old, fresh) {
    keepOpen(old, fresh);
    const active = doc.activeElement;
    const touched = all("input:not([type=hidden]), textarea", old).filter((field) => field === active
      || field.value !== field.defaultValue || field.checked !== field.defaultChecked);
    const focused = onTitle(old);
    fresh.dataset.seen = "1"; // it is no news: it stood here before
    const piece = doc.createDocumentFragment();
    piece.append(fresh);
    api.insertContent({ target: old, fragment: piece, swapSpec: { style: "outerHTML", settle: 0 } }, false);
    if (focused) one("a.title", fresh)?.focus();
    for (const field of touched) keepTyped(field, fresh, field === active);
    all("form[data-question]", fresh).forEach(nameAnswer);
  }

  /* A word that somebody is writing, or a choice that is made, survives that its card is drawn again. */
  function keepTyped(field, fresh, isActive) {
    const picks = field.matches("[type=radio], [type=checkbox]");
    const now = all(`[name="${CSS.escape(field.name)}"]`, fresh)
      .find((one) => one.type === field.type && (!picks || one.value === field.value));
    if (!now) return;
    if (picks) now.checked = field.checked;
    else now.value = field.value;
    if (!isActive) return;
    now.focus();
    if (!picks) now.setSelectionRange(field.selectionStart, field.selectionEnd);
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
    handle_swap: (style, target, fragment) => ({ upsert, into })[style]?.(target, fragment) ?? false,
  });

  /* The one stream of this page. Browsers open six connections to a server, so a hidden tab lets its stream go, but for
     one that keeps the count for all of them; without locks (plain http from elsewhere) each keeps its own. */
  const channel = new BroadcastChannel("signalcabin");
  let stream = one("#page-stream");
  let waiting = null;
  let cursor = "";
  function letGo() {
    if (!stream) return;
    const connection = stream._htmx?.sse;
    stream.remove();
    connection?.reader?.cancel();
  }
  const isHiddens = () => new URL(stream.getAttribute("hx-sse:connect"), location.href).searchParams.has("hidden");
  function takeUp() {
    if (stream?.isConnected && isHiddens() && !doc.hidden) letGo(); // the server takes it for nobody who looks
    if (!stream || stream.isConnected) return;
    const url = new URL(stream.getAttribute("hx-sse:connect"), location.href);
    if (cursor) url.searchParams.set("lastEventId", cursor);
    if (doc.hidden) url.searchParams.set("hidden", "");
    else url.searchParams.delete("hidden");
    const again = stream.cloneNode();
    again.setAttribute("hx-sse:connect", url.pathname + url.search);
    stream = again;
    doc.body.append(stream);
    htmx.process(stream);
  }
  /* The page loads itself anew: what its person is writing comes along (composer.js), for them alone. */
  function loadAnew() {
    const area = one(".dock .composer textarea, #new textarea");
    try {
      if (area?.value) sessionStorage.setItem(`draft ${location.pathname} ${one(".rail-foot summary").title}`, area.value);
    } catch { /* too long to be kept, or nothing may be */ }
    location.reload();
  }
  /* The server would not begin it: what may not be seen any more is loaded anew, a full or starting server is asked
     again. */
  const isOver = (status) => [401, 403, 404].includes(status);
  function refused(status) {
    if (isOver(status)) return loadAnew();
    lost();
    letGo();
    setTimeout(() => { if (!doc.hidden) takeUp(); }, 3000);
  }
  function seen() {
    waiting?.abort();
    if (!doc.hidden) return takeUp();
    if (!one(".inbox-count")) return letGo();  // nothing to count here
    if (!navigator.locks) return;
    letGo();
    waiting = new AbortController();
    const { signal } = waiting;
    const hold = () => new Promise((done) => { signal.addEventListener("abort", done); takeUp(); });
    // It ends by itself with an error when the tab is seen again before its turn came.
    navigator.locks.request("signalcabin-stream", { signal }, hold).catch(() => signal.aborted);
  }
  on("visibilitychange", seen);
  if (doc.hidden) addEventListener("load", seen);
  on("htmx:sse:after:message", (event) => { cursor = event.detail.connection.lastEventId || cursor; });
  channel.addEventListener("message", (event) => {
    if (stream?.isConnected) return;
    all(".inbox-count").forEach((el) => { el.textContent = event.data; });
    countTitle();
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
    retry.addEventListener("click", loadAnew);
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
  on("htmx:sse:error", (event) => (isOver(event.detail.status) ? loadAnew() : lost()));
  on("htmx:sse:after:message", () => { asOf = new Date(); missed += 1; });

  /* The server may say that a stream cannot be resumed: load the page afresh; while a form is on its way, its answer
     is that fresh page, and a reload would throw it away. */
  let leaving = 0;
  window.addEventListener("beforeunload", () => { leaving = Date.now(); });
  on("resync", () => {
    if (Date.now() - leaving > 10000) loadAnew();
    else setTimeout(loadAnew, 10000);
  });

  /* The amber count follows into the title. */
  const bareTitle = doc.title.replace(/^\(\d+\) /, "");
  function countTitle() {
    const number = one(".inbox-count")?.textContent.trim() || "";
    doc.title = number && number !== "0" ? `(${number}) ${bareTitle}` : bareTitle;
    return number;
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
  /* Attached files: how many, and pictures from the clipboard among them. */
  const countFiles = (form) => {
    const input = one(".attach input", form);
    const number = input ? input.files.length : 0;
    if (input) one(".attached", form).textContent = number ? `${number} attached` : "";
  };
  on("change", (event) => { if (event.target.matches(".attach input")) countFiles(event.target.form); });
  on("reset", (event) => { setTimeout(countFiles, 0, event.target); });
  on("paste", (event) => {
    const input = event.target.closest?.(".composer") && one(".attach input", event.target.closest(".composer"));
    const pasted = [...event.clipboardData?.files ?? []];
    if (!input || input.disabled || !pasted.length) return;
    event.preventDefault();
    const kept = new DataTransfer();
    for (const file of [...input.files, ...pasted]) kept.items.add(file);
    input.files = kept.files;
    countFiles(input.form);
  });
  on("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const form = event.target.closest("form.composer, form[data-question]");
    if (form && event.target.matches("textarea, input")) {
      event.preventDefault();
      form.requestSubmit(one("[data-key='mod+Enter'], .primary", form));
    }
  });
  /* Enter in a rejection's word rejects; in no other field beside an approval does it press anything. */
  on("keydown", (event) => {
    // Enter that takes a word an input method offers is not yet the end of the sentence.
    if (event.key !== "Enter" || event.isComposing || !event.target.matches(".more-answer .row .input")) return;
    event.preventDefault();
    if (!event.repeat) one(".btn", event.target.closest(".row")).click();
  });
  /* The focus goes on to what waits next: Enter that is still held from the answer before does not press it. */
  on("keydown", (event) => {
    if (event.repeat && event.key === "Enter" && event.target.closest("[data-ask] button")) event.preventDefault();
  });
  /* What was written on while it was sent stays; so does the choice of mode, model and rules, which holds from now on. */
  function emptied(form, sent) {
    const area = one("textarea", form);
    const words = area.value;
    const more = words.startsWith(sent) ? words.slice(sent.length).trimStart() : words;
    all("select option", form).forEach((option) => { option.defaultSelected = option.selected; });
    form.reset();
    area.value = more;
  }
  on("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    const form = ctx.sourceElement;
    if (form.matches?.("form[data-composer]") && ctx.response.status < 400) {
      emptied(form, ctx.sent);
      one("#dock-note")?.replaceChildren();
      atEnd = true;
      if (log) toEnd();
      if (doc.activeElement === doc.body || form.contains(doc.activeElement)) one("textarea", form)?.focus();
    }
    if (form === stream && ctx.response.status >= 400) return refused(ctx.response.status);
    if (ctx.response.status === 401) loadAnew();
    else if (ctx.response.status >= 400 && ctx.swap === "none") toast("That did not work. Nothing was changed.");
  });
  /* A form goes out once: what is pressed again while its answer is on its way would do the same twice. */
  on("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
    if (Date.now() - (form.dataset.going || 0) < 10000) event.preventDefault();
    else form.dataset.going = Date.now();
  });
  addEventListener("pageshow", () => all("form[data-going]").forEach((form) => { delete form.dataset.going; }));
  on("htmx:before:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement.matches?.("form[data-composer]")) ctx.sent = one("textarea", ctx.sourceElement).value;
    const button = ctx.request?.submitter;
    if (button) button.dataset.busy = "1";
  });
  on("htmx:finally:request", (event) => {
    const button = event.detail.ctx.request?.submitter;
    if (button) delete button.dataset.busy;
  });
  on("htmx:error", (event) => {
    if (event.target === stream) refused(0);
    else toast("The server did not answer. Nothing was sent twice; try again.");
  });

  /* After an answer the focus goes to the next thing that waits, never elsewhere. */
  on("htmx:after:swap", (event) => {
    const number = countTitle();
    if (event.target === stream && one(".inbox-count")) channel.postMessage(number);
    const hint = one("#session-send")?.dataset.hint;
    if (hint) one(".dock textarea").placeholder = hint;
    if (!event.target.closest?.("[data-ask]") || doc.activeElement !== doc.body) return;
    one("[data-ask] [data-key='A'], [data-ask] .btn")?.focus();
  });

  /* A question's button says which. */
  function nameAnswer(form) {
    const picked = all(".choices :checked", form);
    const words = one("[data-answer] span", form);
    if (words) words.textContent = picked.length === 1 && form.dataset.question === "1" && picked[0].dataset.n !== "0"
      ? `Answer ${picked[0].dataset.n}` : "Answer";
  }
  on("change", (event) => {
    const form = event.target.closest("form[data-question]");
    if (!form) return;
    nameAnswer(form);
    if (event.target.matches(".pick-other")) one(".other", event.target.closest("label"))?.focus();
  });

  /* A select that sends its form by itself needs no button beside it. */
  all("[data-sent]").forEach((button) => { button.hidden = true; });
  on("change", (event) => { if (event.target.matches("[data-send]")) event.target.form.requestSubmit(); });

  /* A restore's button says how many files are chosen. */
  on("change", (event) => {
    const form = event.target.closest("form[data-restore]");
    if (!form) return;
    const count = all("[name=path]:checked", form).length;
    const only = one(".for-code-only", form);
    all("[data-chosen]", form).forEach((el) => { el.textContent = `${count} ${count === 1 ? "file" : "files"}`; });
    if (only) only.disabled = !count;
  });

  /* The bar under the inbox's list says which reads are ticked; how many, the stylesheet counts. */
  on("change", (event) => {
    if (!event.target.matches(".tick input")) return;
    const calls = all(".ask-row:has(.tick :checked) a.title code").map((code) => code.cloneNode(true));
    one("[data-touches]").replaceChildren(...calls);
  });

  /* Toasts: one sentence and at most one act, 6 s, held while hovered or focused. */
  function toast(words, act, duration = 6000) {
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
    const start = () => { timer = setTimeout(() => el.remove(), duration); };
    const hold = () => clearTimeout(timer);
    el.addEventListener("mouseenter", hold);
    el.addEventListener("mouseleave", start);
    el.addEventListener("focusin", hold);
    el.addEventListener("focusout", start);
    start();
  }
  on("toast", (event) => toast(event.detail.value || event.detail.words || "", null, event.detail.duration));

  /* Copy buttons: data-copy holds the selector of what is copied. Over plain http from elsewhere a browser has no
     clipboard for scripts: what is selected there can be copied all the same. */
  function copySelected(words) {
    const area = doc.createElement("textarea");
    const active = doc.activeElement;
    area.className = "sr";
    area.value = words;
    (one("dialog[open]") || doc.body).append(area);
    area.select();
    const isDone = doc.execCommand("copy");
    area.remove();
    active.focus?.();
    return isDone ? Promise.resolve() : Promise.reject(new Error("Not copied"));
  }
  function copy(words, told = "Copied.") {
    const copied = navigator.clipboard ? navigator.clipboard.writeText(words) : copySelected(words);
    copied.then(() => toast(told), () => toast("This browser did not copy it: select it, and copy it by hand."));
  }
  on("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(one(button.dataset.copy).textContent.trim());
  });
  on("copy-words", (event) => copy(event.detail.words, event.detail.told));

  /* Of tabs wider than the window, the one that one is at is in sight. */
  all(".tabs [aria-current]").forEach((tab) => tab.scrollIntoView({ block: "nearest", inline: "center" }));

  /* A click beside a menu closes it. */
  on("click", (event) => {
    for (const menu of all("details[open]:has(> .menu)")) if (!menu.contains(event.target)) menu.open = false;
  });
})();
