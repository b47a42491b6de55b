/* Terminals in the browser: xterm.js on the page's own WebSocket. Where it stops, the page still shows the last lines and
   a form that sends one. */
(() => {
  "use strict";
  const doc = document;
  const one = (selector, root = doc) => root.querySelector(selector);
  const all = (selector, root = doc) => [...root.querySelectorAll(selector)];

  /* The policy of this page knows no inline style. What xterm.js writes into style elements goes into sheets made by
     script, and what it writes into style attributes goes through the object model; both are allowed. */
  const create = Document.prototype.createElement;
  function asSheet(element) {
    const sheet = new CSSStyleSheet();
    let rules = "";
    const text = {
      configurable: true,
      get: () => rules,
      set(value) {
        rules = String(value);
        sheet.replaceSync(rules);
        if (!doc.adoptedStyleSheets.includes(sheet)) doc.adoptedStyleSheets = [...doc.adoptedStyleSheets, sheet];
      },
    };
    Object.defineProperties(element, { textContent: text, innerText: text, innerHTML: text });
    element.remove = () => {
      doc.adoptedStyleSheets = doc.adoptedStyleSheets.filter((kept) => kept !== sheet);
      Element.prototype.remove.call(element);
    };
    return element;
  }
  doc.createElement = function (name, ...rest) {
    const element = create.call(doc, name, ...rest);
    return String(name).toLowerCase() === "style" ? asSheet(element) : element;
  };
  HTMLSpanElement.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
  };

  const ACK_EVERY = 100 * 1024;
  const SCROLLBACK = 10000;
  const LONGEST = 512 * 1024;
  const COLOURS = {
    black: "#2a3138", red: "#ff9188", green: "#7fd6a1", yellow: "#f2b84b", blue: "#86c3ee", magenta: "#f0b3d1",
    cyan: "#7fcfdf", white: "#d5dbe0", brightBlack: "#8f99a3", brightRed: "#ffb3ac", brightGreen: "#a5e5be",
    brightYellow: "#ffd27f", brightBlue: "#b0d9f7", brightMagenta: "#f8d0e4", brightCyan: "#a8e2ed", brightWhite: "#ffffff",
  };
  const FOUND = {
    decorations: {
      matchBackground: "#5c461c", matchOverviewRuler: "#f0ab2e", activeMatchBackground: "#f0ab2e",
      activeMatchColorOverviewRuler: "#f0ab2e",
    },
  };
  const SEQUENCES = {
    esc: "\x1b", tab: "\t", up: "\x1b[A", down: "\x1b[B", right: "\x1b[C", left: "\x1b[D", pgup: "\x1b[5~",
    "^C": "\x03", "^D": "\x04", "^R": "\x12",
  };
  const clock = () => new Date().toTimeString().slice(0, 8);
  const client = sessionStorage.terminals ||= crypto.getRandomValues(new Uint32Array(4)).join("-");
  const phone = matchMedia("(max-width: 759px)");
  let views = [];
  let focused = null;
  const paste = one("[data-paste]");

  class View {
    constructor(box, isFirst) {
      this.box = box;
      this.isFirst = isFirst;
      this.screen = one("[data-screen]", box);
      this.end = null;
      this.replay = null;
      this.unacked = 0;
      this.tries = 0;
      this.isOver = false;
      this.mine = false;
      this.mayWrite = false;
      this.isPast = false;
      this.people = null;
      this.ctrl = this.alt = false;
      this.open();
      this.connect();
    }

    open() {
      const look = getComputedStyle(this.box);
      const call = getComputedStyle(one(".term-text", this.box));
      this.term = new window.Terminal({
        allowProposedApi: true,
        cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
        fontFamily: call.fontFamily,
        fontSize: parseFloat(call.fontSize),
        lineHeight: 1.28,
        scrollback: SCROLLBACK,
        screenReaderMode: false,
        linkHandler: { activate: (_event, address) => visit(address), allowNonHttpProtocols: false },
        theme: {
          ...COLOURS, background: look.backgroundColor, foreground: look.color, cursor: look.color,
          cursorAccent: look.backgroundColor, selectionBackground: "#27596a",
        },
      });
      this.fit = new window.FitAddon.FitAddon();
      this.search = new window.SearchAddon.SearchAddon();
      this.term.loadAddon(this.fit);
      this.term.loadAddon(this.search);
      this.term.loadAddon(new window.WebLinksAddon.WebLinksAddon((_event, address) => visit(address)));
      this.term.open(this.screen);
      // What was asked of the terminal long ago was answered then: another answer would be typed into the shell.
      this.term.onData((data) => { if (!this.isPast || !data.startsWith("\x1b")) this.type(data); });
      this.term.onBinary((data) => this.type(data));
      this.term.attachCustomKeyEventHandler((event) => this.onKey(event));
      this.screen.addEventListener("keydown", (event) => event.stopPropagation());
      this.search.onDidChangeResults(({ resultIndex, resultCount }) => {
        one("[data-hits]", this.box).textContent = !one("input", this.finder).value ? ""
          : resultCount ? `${resultIndex + 1} of ${resultCount}` : "No match";
      });
      new ResizeObserver(() => this.resize()).observe(this.screen);
      this.finder = one(".term-find", this.box);
      this.wireFinder();
      one("[data-plain]", this.box)?.remove();
      all("[data-find]", this.box).forEach((button) => { button.hidden = false; });
      this.fit.fit();
    }

    /* The connection */
    connect() {
      const url = new URL(this.box.dataset.socket, location.href);
      url.protocol = url.protocol.replace("http", "ws");
      url.searchParams.set("client", `${client}-${this.box.dataset.term}`);
      if (this.end !== null) url.searchParams.set("after", this.end);
      const socket = new WebSocket(url);
      this.socket = socket;
      socket.onmessage = (event) => { if (this.socket === socket) this.hear(JSON.parse(event.data)); };
      socket.onclose = (event) => { if (this.socket === socket) this.lost(event); };
    }

    say(message) {
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    }

    hear(message) {
      if (message.type === "output") this.show(message);
      else if (message.type === "hello") this.greet(message);
      else if (message.type === "people") this.meet(message);
      else if (message.type === "front") this.name(message);
      else if (message.type === "exit") this.finish(message.code);
    }

    lost(event) {
      this.socket = null;
      if (this.isOver) return;
      this.state("wait", event.code === 4000 ? "Open in another place" : "Reconnecting");
      if (event.code === 4000) return;
      this.tries += 1;
      if (this.tries > 1) this.ask();
      setTimeout(() => { if (!this.socket && !this.isOver) this.connect(); }, Math.min(5000, 250 * 2 ** this.tries) * (0.75 + Math.random() / 2));
    }

    /* A socket that is refused does not say why: a server that was started anew knows this terminal no more. */
    async ask() {
      const answer = await fetch(this.box.dataset.page, { method: "HEAD" }).catch(() => null);
      if (answer?.status !== 404 || this.isOver) return;
      this.isOver = true;
      this.state("off", "Ended with the server");
      one("[data-dot]", this.box).className = "dot off";
    }

    greet({ start, end }) {
      const isOld = Date.now() - this.box.dataset.created > 5000;
      this.isAgain = this.end !== null || isOld;
      this.isPast = this.end === null && isOld && end > start;
      if (this.end === null) this.end = start;
      this.tries = 0;
      this.unacked = 0;
      this.replay = end > this.end ? { until: end, pieces: [] } : null;
      this.state(this.box.dataset.ended === undefined ? "on" : "off");
      if (!this.replay) this.resize();
    }

    show({ data, end }) {
      this.end = end ?? this.end;
      const { length } = data;
      if (!this.replay) return this.term.write(data, () => this.deal(length));
      this.replay.pieces.push(data);
      this.deal(length);
      if (this.end >= this.replay.until) this.finishReplay();
    }

    /* What was missed is written at once, and a dim line above its last one tells how much it was. */
    finishReplay() {
      const text = this.replay.pieces.join("");
      this.replay = null;
      const cut = text.lastIndexOf("\n") + 1;
      const lines = text.split("\n").length - 1;
      this.term.write(text.slice(0, cut), () => {
        if (this.isAgain && lines && this.term.buffer.active.type === "normal") {
          const words = `reconnected ${clock()}, ${lines} ${lines === 1 ? "line" : "lines"} replayed`;
          this.term.write(`\x1b[0m\x1b[90m── ${words} ──\x1b[0m\r\n`);
        }
        this.term.write(text.slice(cut), () => {
          this.isPast = false;
          this.resize();
        });
      });
    }

    deal(length) {
      this.unacked += length;
      if (this.unacked < ACK_EVERY) return;
      this.say({ type: "ack", bytesReceived: this.unacked });
      this.unacked = 0;
    }

    finish(code) {
      this.isOver = true;
      this.box.dataset.ended = code;
      this.term.write(`\r\n\x1b[90m── ended, exit ${code} ──\x1b[0m\r\n`);
      this.term.options.cursorBlink = false;
      this.state("off", `Ended, exit ${code}`);
      one("[data-dot]", this.box).className = "dot off";
    }

    /* Who is here; the size is the writer's. */
    meet(people) {
      const before = this.mine;
      this.people = people;
      this.mine = people.mine;
      this.mayWrite = people.mayWrite;
      this.term.options.disableStdin = !this.mine;
      const seen = one("[data-seen]", this.box);
      const { others, elsewhere } = people;
      seen.hidden = !others.length && !elsewhere;
      one("[data-count]", seen).textContent = others.length + elsewhere;
      seen.title = [...others, ...(elsewhere ? ["you, elsewhere"] : [])].join(", ");
      this.screen.classList.toggle("watched", !this.mine);
      if (!this.mine) this.term.resize(people.cols, people.rows);
      else if (!before) {
        this.resize();
        if (this.box.contains(document.activeElement)) this.term.focus();
      }
      foot();
    }

    name({ words, cwd, busy }) {
      one("[data-dot]", this.box).className = busy ? "dot on" : "dot";
      const heads = this.isFirst ? doc : this.box;
      all("[data-words]", heads).filter((el) => this.owns(el)).forEach((el) => { el.textContent = words; });
      all("[data-cwd]", heads).filter((el) => this.owns(el)).forEach((el) => { el.textContent = el.title = cwd; });
    }

    owns(el) {
      const box = el.closest("[data-term]");
      return box ? box === this.box : this.isFirst;
    }

    state(link, words) {
      this.link = link;
      this.words = words;
      foot();
    }

    resize() {
      if (this.isOver || this.replay || (this.people && !this.mine)) return;
      const size = this.fit.proposeDimensions();
      if (!size || !(size.cols > 1) || !(size.rows > 1)) return;
      if (size.cols !== this.term.cols || size.rows !== this.term.rows) this.term.resize(size.cols, size.rows);
      if (this.mine) this.say({ type: "resize", cols: this.term.cols, rows: this.term.rows });
      foot();
    }

    /* The keyboard */
    type(data) {
      if (!this.mine) return;
      let text = data;
      if (this.ctrl && text.length === 1) text = String.fromCharCode(text.toUpperCase().charCodeAt(0) & 31);
      if (this.alt) text = `\x1b${text}`;
      this.hold(false, false);
      for (let at = 0; at < text.length; at += LONGEST) this.say({ type: "input", data: text.slice(at, at + LONGEST) });
    }

    hold(ctrl, alt) {
      this.ctrl = ctrl;
      this.alt = alt;
      all("[data-send-key]").forEach((button) => {
        if (button.dataset.sendKey === "ctrl") button.setAttribute("aria-pressed", ctrl);
        if (button.dataset.sendKey === "alt") button.setAttribute("aria-pressed", alt);
      });
    }

    press(key) {
      if (key === "ctrl") this.hold(!this.ctrl, this.alt);
      else if (key === "alt") this.hold(this.ctrl, !this.alt);
      else if (SEQUENCES[key]?.startsWith("\x1b[") && this.term.modes.applicationCursorKeysMode && key !== "pgup") {
        this.type(SEQUENCES[key].replace("[", "O"));
      } else this.type(SEQUENCES[key] || key);
      this.term.focus();
    }

    onKey(event) {
      if (event.type !== "keydown" || !(event.ctrlKey || event.metaKey) || !event.shiftKey) return true;
      const key = event.key.toLowerCase();
      if (key === "f") this.find();
      else if (key === "c" && this.term.hasSelection()) navigator.clipboard.writeText(this.term.getSelection());
      else return true;
      event.preventDefault();
      return false;
    }

    paste() {
      navigator.clipboard.readText().then((text) => this.term.paste(text));
      this.term.focus();
    }

    text() {
      const buffer = this.term.buffer.active;
      const lines = [];
      for (let row = 0; row < buffer.length; row += 1) {
        const line = buffer.getLine(row);
        const text = line.translateToString(true);
        if (line.isWrapped && lines.length) lines[lines.length - 1] += text;
        else lines.push(text);
      }
      return `${lines.join("\n").trimEnd()}\n`;
    }

    /* Search */
    wireFinder() {
      const field = one("input", this.finder);
      field.addEventListener("input", () => this.look(true));
      field.addEventListener("keydown", (event) => {
        if (event.key === "Escape") this.shut();
        else if (event.key === "Enter") this.look(false, event.shiftKey);
        else return;
        event.preventDefault();
        event.stopPropagation();
      });
      this.finder.addEventListener("submit", (event) => { event.preventDefault(); this.look(false); });
      one("[data-back]", this.finder).addEventListener("click", () => this.look(false, true));
      one("[data-shut]", this.finder).addEventListener("click", () => this.shut());
    }

    look(incremental, back) {
      const words = one("input", this.finder).value;
      if (!words) {
        this.search.clearDecorations();
        one("[data-hits]", this.box).textContent = "";
      } else if (back || incremental) this.search.findPrevious(words, { ...FOUND, incremental });
      else this.search.findNext(words, FOUND);
    }

    find() {
      this.finder.hidden = false;
      const field = one("input", this.finder);
      const chosen = this.term.getSelection();
      if (chosen && !chosen.includes("\n")) field.value = chosen;
      field.focus();
      field.select();
      if (field.value) this.look(true);
    }

    shut() {
      this.finder.hidden = true;
      this.search.clearDecorations();
      this.term.focus();
    }
  }

  /* A link is opened only after its whole address was shown. */
  const dialog = one("#term-link");
  let wanted = "";
  function visit(address) {
    if (!/^https?:\/\//i.test(address)) return;
    wanted = address;
    one("[data-href]", dialog).textContent = address;
    dialog.returnValue = "";
    dialog.showModal();
  }
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "open") window.open(wanted, "_blank", "noopener,noreferrer");
  });

  const boxes = all("[data-term]");
  views = boxes.map((box, place) => new View(box, place === 0));
  const now = () => focused || views[0];
  boxes.forEach((box, place) => box.addEventListener("focusin", () => { focused = views[place]; foot(); }));
  if (!views.length) return;

  /* The foot tells of the terminal that has the focus. */
  function foot() {
    const view = now();
    if (!view) return;
    const { people, term } = view;
    const size = `${term.cols} × ${term.rows}`;
    all("[data-link]").forEach((el) => { el.className = `dot ${view.link || "wait"}`; });
    all("[data-size]").forEach((el) => { el.textContent = size; });
    one("[data-attached]").textContent = view.words || (view.link === "on" ? `Attached, ${size}` : view.link === "off" ? "Ended" : "Attaching");
    one("[data-people]").textContent = people ? told(people) : "";
    one("[data-take]").hidden = !people || people.mine || !people.mayWrite || view.isOver;
    const keys = one("[data-key-row]");
    if (keys) keys.hidden = !view.mine || view.isOver;
    if (paste) paste.hidden = !view.mine || view.isOver || !navigator.clipboard?.readText;
  }
  function told({ mine, own, mayWrite, writer, others, elsewhere }) {
    const names = others.join(", ");
    if (mine && others.length) return `${names} ${others.length === 1 ? "watches" : "watch"}, read only`;
    if (mine) return elsewhere ? "Open elsewhere too" : "";
    if (writer && own) return "You have the keyboard elsewhere";
    if (writer) return `${writer} has the keyboard${mayWrite ? "" : ", you watch"}`;
    return mayWrite ? "Nobody has the keyboard" : "You watch";
  }

  one("[data-take]").addEventListener("click", () => { now().say({ type: "take" }); now().term.focus(); });
  all("[data-find]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      (views[boxes.indexOf(button.closest("[data-term]"))] || now()).find();
    });
  });
  all("[data-script]").forEach((el) => { el.hidden = false; });
  paste?.addEventListener("click", () => now().paste());
  const copy = one("[data-copy-all]");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () => {
      navigator.clipboard.writeText(now().text());
      doc.dispatchEvent(new CustomEvent("toast", { detail: { words: "Copied." } }));
    });
  }
  // A key of the row takes the focus away from the terminal, and with it the keyboard of a phone.
  one("[data-key-row]")?.addEventListener("pointerdown", (event) => event.preventDefault());
  one("[data-key-row]")?.addEventListener("click", (event) => {
    const key = event.target.closest("[data-send-key]")?.dataset.sendKey;
    if (key) now().press(key);
  });
  if (!phone.matches) views[0].term.focus();
})();
