/* What a client's remote control has this person's pages do: each note that the stream leaves in #relay is done once.
   Of several pages, the one that was used last obeys. */
(() => {
  "use strict";
  const doc = document;
  const one = (selector) => doc.querySelector(selector);
  const box = one("#relay");
  const me = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const use = () => localStorage.setItem("used", me);
  ["focus", "pointerdown", "keydown"].forEach((name) => addEventListener(name, use, true));
  if (!doc.hidden) use();
  doc.addEventListener("visibilitychange", () => { if (!doc.hidden) use(); });

  /* Home acts in the project that is picked there: its composer is none of what is meant for another project. */
  let meant = "";
  const isMeant = (composer) => !meant || composer?.querySelector("select[name=project]")?.value === meant;
  const form = () => one(".dock form.composer") || [one("form.composer#new")].find(isMeant);
  const area = () => form()?.querySelector("textarea:not([disabled])");
  const tell = (words, duration) => doc.dispatchEvent(new CustomEvent("toast", { detail: { words, duration } }));
  const log = () => one("[data-follow]");
  const scroll = (pages) => log()?.scrollBy(0, pages * log().clientHeight);
  function write(words) {
    const prompt = area();
    if (!prompt) return tell("A client has words for a prompt, and this page has none for its project.");
    prompt.value = words;
    prompt.dispatchEvent(new Event("input", { bubbles: true }));
    prompt.focus();
  }
  function submit() {
    if (!area()?.value.trim()) return tell("A client wants to send a prompt, and there is none to send here.");
    form().requestSubmit(form().querySelector("[data-key='mod+Enter'], .primary"));
  }
  function pick(name, next) {
    const select = form()?.querySelector(`select[name=${name}]`);
    if (!select || select.disabled) return tell("There is no prompt here to choose that for.");
    if (next) {
      select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
      select.dispatchEvent(new Event("change", { bubbles: true }));
    }
    select.focus();
    // A browser opens a list only after somebody has touched the page; else the focus is on it.
    if (!next && navigator.userActivation?.isActive) select.showPicker?.();
  }
  const commands = {
    "help.show": () => doc.dispatchEvent(new Event("open-keys")),
    "session.list": () => doc.dispatchEvent(new Event("open-bar")),
    "model.list": () => pick("model", false),
    "agent.cycle": () => pick("mode", true),
    "theme.switch": () => { location.href = one("#relay").dataset.look; },
    "prompt.submit": submit,
    "prompt.clear": () => { if (area()) write(""); },
    "session.new": () => { location.href = one("#relay").dataset.home; },
    "session.interrupt": () => one("[data-key='.']:not(:disabled)")?.click(),
    "session.page.up": () => scroll(-1),
    "session.page.down": () => scroll(1),
    "session.half.page.up": () => scroll(-0.5),
    "session.half.page.down": () => scroll(0.5),
    "session.line.up": () => log()?.scrollBy(0, -24),
    "session.line.down": () => log()?.scrollBy(0, 24),
    "session.first": () => log()?.scrollTo(0, 0),
    "session.last": () => log()?.scrollTo(0, log().scrollHeight),
  };
  const acts = {
    "tui.prompt.append": ({ text }) => write((area()?.value || "") + text),
    "tui.command.execute": ({ command }) => commands[command]?.(),
    "tui.toast.show": ({ title, message, duration }) => tell(title ? `${title}: ${message}` : message, duration),
    "tui.session.select": ({ href }) => { location.href = href; },
  };
  const done = new Set();
  function obey(note) {
    const { id, project, type, properties } = JSON.parse(note);
    if (done.has(id) || localStorage.getItem("used") !== me) return;
    done.add(id);
    meant = project;
    acts[type]?.(properties);
  }
  new MutationObserver((changes) => {
    const notes = changes.flatMap((change) => [...change.addedNodes]).map((node) => node.dataset?.told);
    notes.filter(Boolean).forEach(obey);
  }).observe(box, { childList: true });
})();
