// A machine's console: [data-console] is 'text' (xterm.js on the serial port) or 'screen' (noVNC).
//
// A ticket (data-tickets, 30 s, once) opens the WebSocket (data-socket). Binary messages are what is typed and shown,
// text ones are JSON: {open} · {say}: words why it cannot be · {skipped}: bytes that were left out · {hop, ok, text}: of the
// path test; to the server {shown}: bytes that the terminal has shown, so that it sends no more than a window ahead.
// The close's reason says why it ended; unless that was the person's doing or their right, it tries again by itself.
(() => {
  "use strict";
  const CONFIRM_BYTES = 16 * 1024, AGAIN_MS = [2000, 4000, 8000], TRIES = 60, FONT_PX = 14;
  const FINAL = ["access", "full"];
  const words = (reason) => ({
    access: window.translate("Your access to this console has ended."),
    off: window.translate("The console ended: the machine went off, or its host ended it."),
    host: window.translate("The host does not answer."),
    full: window.translate("Too many consoles are open on this server. Close one of them, then reconnect."),
    door: window.translate("Zentry’s process for consoles does not answer. It may be starting."),
    stopped: window.translate("Zentry is starting again."),
    lost: window.translate("The connection was lost."),
    database: window.translate("Zentry cannot ask its database at the moment, so the console was closed."),
  })[reason] ?? window.translate("The connection was lost.");
  const KEYS = {ctrl: [0xffe3, "ControlLeft"], alt: [0xffe9, "AltLeft"], delete: [0xffff, "Delete"], escape: [0xff1b, "Escape"],
    tab: [0xff09, "Tab"], backspace: [0xff08, "Backspace"], f1: [0xffbe, "F1"], f2: [0xffbf, "F2"]};
  const SHIFT = [0xffe1, "ShiftLeft"], SHIFTED = /[A-Z~!@#$%^&*()_+{}|:"<>?]/, ENTER = 0xff0d;

  // xterm makes <style> elements, which the Content-Security-Policy refuses. What it writes into them becomes sheets that
  // scripts made, which it allows.
  function withSheets(make) {
    const create = document.createElement;
    document.createElement = function (name, ...more) {
      if (name !== "style") return create.call(this, name, ...more);
      const stand = create.call(this, "template"), sheet = new CSSStyleSheet();
      document.adoptedStyleSheets.push(sheet);
      Object.defineProperty(stand, "textContent", {set: (text) => sheet.replaceSync(text)});
      return stand;
    };
    try { return make(); } finally { delete document.createElement; }
  }

  // Its colours come as style attributes of spans, which the policy refuses as well; the same by script it allows.
  const setAttribute = Element.prototype.setAttribute;
  HTMLSpanElement.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value; else setAttribute.call(this, name, value);
  };

  class Console {
    constructor(el) {
      this.el = el;
      this.kind = el.dataset.console;
      this.place = el.querySelector("[data-place]");
      this.tries = 0;
      el.addEventListener("click", (event) => {
        const button = event.target.closest("[data-do]");
        if (button) this[button.dataset.do]?.(button);
      });
      this.place.addEventListener("keydown", (event) => this.leave(event), true);
      addEventListener("resize", () => this.resized());
      this.connect();
    }

    // -- the connection
    async ticket(kind) {
      const headers = {"X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content, Accept: "application/json"};
      const answer = await fetch(this.el.dataset.tickets, {method: "POST", headers, body: new URLSearchParams({kind})});
      const found = await answer.json();
      if (!answer.ok) throw Object.assign(new Error(found.detail), {status: answer.status});
      return found.protocols;
    }

    socket(protocols) {
      const url = new URL(new URL(this.el.dataset.socket, location.href).pathname, location.href);
      url.protocol = url.protocol.replace("http", "ws");
      const socket = new WebSocket(url, protocols);
      socket.binaryType = "arraybuffer";
      return socket;
    }

    async connect() {
      const mine = this.mine = {}; // a later call takes over from this one
      clearTimeout(this.again);
      this.socketNow?.close();
      this.say(window.translate("Connecting…"));
      this.told = "";
      let protocols;
      try {
        await this.prepare(); // before anything can arrive
        protocols = await this.ticket(this.kind);
      } catch (error) {
        if (this.mine !== mine) return;
        this.ended(error.status ? error.message : window.translate("The connection was lost."), [401, 403, 404].includes(error.status));
        return;
      }
      if (this.mine !== mine) return;
      const socket = this.socketNow = this.socket(protocols);
      socket.addEventListener("message", (event) => {
        if (typeof event.data !== "string") return;
        event.stopImmediatePropagation(); // noVNC knows only bytes
        this.hear(JSON.parse(event.data));
      });
      socket.addEventListener("close", (event) => {
        if (this.mine !== mine) return;
        const why = event.code === 4000 ? event.reason : "lost";
        this.ended(this.told || words(why), FINAL.includes(why));
      });
      if (this.kind === "screen") this.showScreen(socket); else this.showText(socket);
    }

    ended(text, isFinal) {
      this.el.dataset.state = "closed";
      this.mine = null;
      this.say(text);
      if (isFinal || this.tries >= TRIES) return;
      this.again = setTimeout(() => this.isThere() && (document.hidden ? this.whenSeen() : this.connect()), AGAIN_MS[Math.min(this.tries, AGAIN_MS.length - 1)]);
      this.tries += 1;
    }

    whenSeen() {
      document.addEventListener("visibilitychange", () => this.isThere() && this.connect(), {once: true});
    }

    opened() {
      this.el.dataset.state = "open";
      this.tries = 0;
      this.say(window.translate("Connected."));
    }

    hear(message) {
      if (message.open) this.opened();
      if (message.say) this.told = message.say;
      if (!message.skipped) return;
      const text = window.translate("%(count)s bytes left out: more came than could be shown", {count: message.skipped});
      this.term?.write(`\r\n\x1b[7m ${text} \x1b[0m\r\n`);
    }

    say(text) {
      this.el.querySelector("[data-say]").textContent = text;
    }

    isThere() {
      if (this.el.isConnected) return true;
      this.stop();
      return false;
    }

    stop() {
      this.mine = null;
      clearTimeout(this.again);
      this.socketNow?.close();
    }

    async prepare() {
      if (this.kind === "screen") this.RFB ??= (await import(this.el.dataset.novnc)).default;
      else if (!this.term) await this.makeTerminal();
    }

    // -- text
    showText(socket) {
      let shown = 0;
      const confirm = (count) => {
        shown += count;
        if (shown < CONFIRM_BYTES || socket.readyState !== WebSocket.OPEN) return;
        socket.send(JSON.stringify({shown}));
        shown = 0;
      };
      this.type = (text) => socket.readyState === WebSocket.OPEN && socket.send(new TextEncoder().encode(text));
      socket.addEventListener("message", (event) => {
        const data = new Uint8Array(event.data);
        this.term.write(data, () => confirm(data.length));
      });
    }

    async makeTerminal() {
      const [{Terminal}, {FitAddon}] = await Promise.all([import(this.el.dataset.xterm), import(this.el.dataset.fit)]);
      const theme = {background: "#141924", foreground: "#d5dcea", cursor: "#d5dcea"};
      const fontFamily = getComputedStyle(this.el).getPropertyValue("--z-mono");
      withSheets(() => {
        this.term = new Terminal({theme, fontFamily, fontSize: FONT_PX, scrollback: 5000, minimumContrastRatio: 4.5, screenReaderMode: true});
        this.fitting = new FitAddon();
        this.term.loadAddon(this.fitting);
        this.term.open(this.place);
      });
      this.term.attachCustomKeyEventHandler((event) => !(event.ctrlKey && event.key === "F6"));
      this.term.onData((text) => this.type(text));
      this.term.onBinary((text) => this.type(text));
      this.fitting.fit();
      this.term.focus();
      this.el.terminal = this.term; // for tests
    }

    stty() {
      this.type(`stty rows ${this.term.rows} cols ${this.term.cols}\r`);
      this.focus();
    }

    // -- screen
    showScreen(socket) {
      this.place.replaceChildren();
      const rfb = this.rfb = new this.RFB(this.place, socket, {shared: true});
      rfb.scaleViewport = this.isFitted();
      rfb.background = "#141924";
      rfb.addEventListener("connect", () => { this.opened(); rfb.focus(); });
    }

    fit(button) {
      button.setAttribute("aria-pressed", String(!this.isFitted()));
      if (this.rfb) this.rfb.scaleViewport = this.isFitted();
    }

    isFitted() {
      return this.el.querySelector('[data-do="fit"]')?.getAttribute("aria-pressed") === "true";
    }

    press(keysym, code) {
      this.rfb?.sendKey(keysym, code, true);
      this.rfb?.sendKey(keysym, code, false);
    }

    typeOnScreen(text) {
      for (const letter of text) {
        const point = letter.codePointAt(0);
        const keysym = letter === "\n" ? ENTER : point < 0x100 ? point : 0x1000000 | point;
        const isShifted = SHIFTED.test(letter);
        if (isShifted) this.rfb?.sendKey(...SHIFT, true);
        this.press(keysym, null);
        if (isShifted) this.rfb?.sendKey(...SHIFT, false);
      }
    }

    // -- buttons
    reconnect() {
      this.tries = 0;
      this.connect();
    }

    send(button) {
      const {bytes, keys} = button.dataset;
      if (bytes) this.type?.(String.fromCharCode(Number(bytes)));
      const pressed = (keys ?? "").split(" ").filter(Boolean).map((name) => KEYS[name]);
      pressed.forEach((key) => this.rfb?.sendKey(...key, true));
      pressed.reverse().forEach((key) => this.rfb?.sendKey(...key, false));
      button.closest("[popover]")?.hidePopover();
      this.focus();
    }

    paste(button) {
      const field = this.el.querySelector("[data-paste]");
      const text = field.value.replace(/\r\n?/g, "\n");
      if (this.kind === "screen") this.typeOnScreen(text); else this.term?.paste(text);
      field.value = "";
      button.closest("[popover]")?.hidePopover();
      this.focus();
    }

    full() {
      this.el.requestFullscreen?.().then(() => this.focus());
    }

    focus() {
      (this.term ?? this.rfb)?.focus();
    }

    leave(event) {
      if (!event.ctrlKey || event.key !== "F6") return;
      event.preventDefault();
      event.stopPropagation();
      this.el.querySelector('[data-do="reconnect"]').focus();
    }

    resized() {
      if (this.el.isConnected) this.fitting?.fit();
    }

    // -- Test my console path
    async test() {
      const path = this.el.querySelector("[data-path]"), verdict = path.querySelector("[data-verdict]");
      const hops = [...path.querySelectorAll("[data-hop]")];
      hops.forEach((hop) => { delete hop.dataset.ok; hop.querySelector("[data-result]").textContent = ""; });
      verdict.textContent = window.translate("Testing…");
      const tell = (name, ok, text = "") => {
        const hop = hops.find((one) => one.dataset.hop === name);
        hop.dataset.ok = ok;
        hop.querySelector("[data-result]").textContent = [ok ? window.translate("works") : window.translate("fails"), text].filter(Boolean).join(": ");
      };
      const next = () => hops.find((hop) => !("ok" in hop.dataset));
      let protocols;
      try {
        protocols = await this.ticket("test");
        tell("web", true);
      } catch (error) {
        tell("web", false, error.message);
        verdict.textContent = window.translate("The first part fails: this browser does not get through to Zentry.");
        return;
      }
      const socket = this.socket(protocols);
      socket.addEventListener("open", () => tell("socket", true));
      socket.addEventListener("message", (event) => {
        if (typeof event.data !== "string") return;
        const {hop, ok, text} = JSON.parse(event.data);
        if (hop) tell(hop, ok, text);
      });
      socket.addEventListener("close", (event) => {
        const failing = hops.find((hop) => hop.dataset.ok === "false") ?? next();
        if (!failing) { verdict.textContent = window.translate("Every part works."); return; }
        if (!("ok" in failing.dataset)) tell(failing.dataset.hop, false, event.code === 4000 && event.reason !== "left" ? words(event.reason) : "");
        verdict.textContent = window.translate("This part fails: %(part)s", {part: failing.querySelector("span").textContent});
      });
    }
  }

  const running = new Set();
  function scan() {
    for (const one of running) if (!one.isThere()) running.delete(one);
    for (const el of document.querySelectorAll("[data-console]:not([data-state])")) {
      el.dataset.state = "new";
      running.add(new Console(el));
    }
  }
  document.addEventListener("htmx:after:swap", scan);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", scan); else scan();
})();
