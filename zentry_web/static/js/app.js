// Everything a page needs besides htmx: dialogs, toasts, copying, theme, CSRF. All of it is an enhancement:
// links, forms and <details> work without this file.
//
// In markup: data-open="dialog-id" · data-close · data-dismiss · data-copy="text" (alone: its own text) · data-confirm-name="name" on a form
//            data-show-password in a button · data-not-before="seconds" on a form · data-theme-form · #z-dialog-body as hx-target opens the shared dialog
// From the server: HX-Trigger {"toast": {"kind", "title", "text", "href", "action"}} · {"closeDialog": true}
// Event for others: "z:theme" on document after the theme changed.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
  const COLOURS = {success: "green", info: "blue", message: "blue", warning: "amber", error: "red", danger: "red"};
  const SYMBOLS = {green: "circle-check", blue: "info-circle", amber: "alert-triangle", red: "alert-circle"};
  const STAYS_MS = 10000;

  // --- Words: in English here, in another language from the page's JSON block; for the other files, too.
  const table = JSON.parse(document.getElementById("z-words")?.textContent || "{}");
  const translate = (text, values = {}) => (table[text] ?? text).replace(/%\((\w+)\)s/g, (_, name) => values[name]);
  window.translate = translate;

  // --- Markup that only makes sense with script
  function ready() {
    all("[data-copy][hidden],[data-dismiss][hidden],[data-show-password][hidden],dialog [data-close][hidden]").forEach((el) => { el.hidden = false; });
    all("form[data-confirm-name]").forEach(checkName);
    all(".z-tabs .active").forEach((tab) => { // more tabs than a phone is wide
      const bar = tab.parentElement, end = tab.offsetLeft - bar.offsetLeft + tab.offsetWidth;
      if (end > bar.scrollLeft + bar.clientWidth) bar.scrollLeft = end - bar.clientWidth;
    });
  }
  function checkName(form) {
    const typed = form.querySelector("input[required]:not([type=hidden])");
    const button = form.querySelector("button.btn-danger");
    if (typed && button) button.disabled = typed.value.trim() !== form.dataset.confirmName;
  }

  // --- Toasts
  function icon(name) {
    const sprite = document.querySelector("svg.icon use")?.getAttribute("href")?.split("#")[0];
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    if (sprite) use.setAttribute("href", `${sprite}#${name}`);
    svg.append(use);
    return svg;
  }
  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }
  function toast({kind = "info", title = "", text = "", href = "", action = "", key = ""}) {
    if (key && all(`[data-key="${key}"]`).length) return;
    const colour = COLOURS[kind] ?? "blue";
    const body = element("div", "z-toast-text", element("strong", "", title));
    if (text) body.append(element("p", "", text));
    if (href && new URL(href, location.href).origin === location.origin) {
      const link = element("a", "", action || translate("Open"));
      link.href = href;
      body.append(link);
    }
    const close = element("button", "z-close", icon("x"));
    close.type = "button";
    close.dataset.dismiss = "";
    close.setAttribute("aria-label", translate("Dismiss"));
    const made = element("div", `z-toast z-${colour}`, icon(SYMBOLS[colour]), body, close);
    made.setAttribute("role", colour === "red" ? "alert" : "status");
    made.dataset.toast = kind;
    if (key) made.dataset.key = key;
    document.getElementById("toasts").append(made);
  }
  // Good news leaves by itself, unless somebody is reading it; errors and warnings stay until they are dismissed.
  function leaveLater(node) {
    if (!(node instanceof HTMLElement) || node.matches(".z-red, .z-amber")) return;
    const leave = () => (node.matches(":hover, :focus-within") ? setTimeout(leave, 2000) : node.remove());
    setTimeout(leave, STAYS_MS);
  }

  // --- Dialogs
  // The focus goes to the first field, or to what does it; where that cannot be undone it stays on Close.
  const FIRST = "input:not([type=hidden], [disabled], [tabindex='-1']), select, textarea";
  function openDialog(dialog) {
    if (!dialog || dialog.open) return;
    dialog.showModal();
    const first = all(FIRST, dialog).find((el) => el.checkVisibility()) ?? dialog.querySelector("form .btn-primary");
    first?.focus();
  }
  function closeDialogs() {
    all("dialog[open]").forEach((dialog) => dialog.close());
  }

  // --- Menus of rows: what is in one comes when it is opened. Without script its button leads to a page with the same.
  let opener = null, pressed = null; // pressed: whose open menu the pointer has just shut, by going down outside of it
  const menuOf = () => document.getElementById("z-menu");
  const isOpen = () => Boolean(menuOf()?.matches(":popover-open"));
  async function openMenu(button) {
    const menu = menuOf(), wasOpen = isOpen() ? opener : pressed;
    if (isOpen()) menu.hidePopover();
    if (wasOpen === button) return;
    menu.replaceChildren();
    opener = button;
    await window.htmx.ajax("GET", button.formAction, {target: menu, swap: "innerHTML"});
    if (menu.childElementCount && opener === button && button.isConnected) menu.showPopover({source: button});
  }
  ["pointerdown", "keydown"].forEach((name) => document.addEventListener(name, () => {
    pressed = name === "pointerdown" && isOpen() ? opener : null;
  }, true));
  document.addEventListener("beforetoggle", (event) => {
    if (event.target !== menuOf()) return;
    opener?.setAttribute("aria-expanded", String(event.newState === "open"));
    // Nobody sees it then: it need not follow its machine.
    if (event.newState === "closed") event.target.firstElementChild?.removeAttribute("data-live");
  }, true);

  // --- Theme: the form works by itself; with script the page changes without a reload
  async function changeTheme(form, submitter) {
    const body = new FormData(form, submitter);
    const answer = await fetch(form.action, {method: "POST", body: new URLSearchParams(body), redirect: "manual"});
    if (answer.type !== "opaqueredirect" && !answer.ok) return form.submit();
    const theme = body.get("theme");
    if (theme === "auto") document.documentElement.removeAttribute("data-bs-theme");
    else document.documentElement.dataset.bsTheme = theme;
    document.querySelector('meta[name="color-scheme"]').content = theme === "auto" ? "light dark" : theme;
    all("button", form).forEach((b) => b.setAttribute("aria-pressed", String(b.value === theme)));
    document.dispatchEvent(new CustomEvent("z:theme"));
  }

  // --- Passwords can be looked at; as they are sent they are passwords again, for what browsers remember of fields
  function showPassword(button, on) {
    const field = document.getElementById(button.getAttribute("aria-controls"));
    field.type = on ? "text" : "password";
    button.setAttribute("aria-pressed", String(on));
    button.querySelector("use")?.replaceWith(icon(on ? "eye-off" : "eye").firstChild);
  }

  // --- A form that programs fill in at once: who is as quick waits for the moment that is left, and loses nothing
  const begun = performance.now();
  function isEarly(form) {
    const left = Number(form.dataset.notBefore) * 1000 - (performance.now() - begun);
    if (!(left > 0)) return false;
    const button = form.querySelector("[type=submit]");
    if (!button.disabled) setTimeout(() => { button.disabled = false; form.requestSubmit(button); }, left + 50);
    button.disabled = true;
    return true;
  }

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy || button.textContent);
    } catch {
      return toast({kind: "warning", title: translate("Could not copy"), text: translate("The browser did not allow it.")});
    }
    button.classList.add("done");
    const hasIcon = Boolean(button.dataset.copy);
    if (hasIcon) button.replaceChildren(icon("check"));
    setTimeout(() => { button.classList.remove("done"); if (hasIcon) button.replaceChildren(icon("copy")); }, 1500);
  }

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest?.(selector);
    const opener = hit("[data-open]");
    if (opener) { event.preventDefault(); openDialog(document.getElementById(opener.dataset.open)); }
    if (hit("[data-close]")) hit("[data-close]").closest("dialog")?.close();
    if (hit("[data-dismiss]")) hit("[data-dismiss]").parentElement.remove();
    if (hit("[data-copy]")) copy(hit("[data-copy]"));
    if (hit("[data-show-password]")) showPassword(hit("[data-show-password]"), Boolean(hit("[aria-pressed=false]")));
    if (event.target instanceof HTMLDialogElement) event.target.close(); // the backdrop
    if (hit(".z-menu-item:not([aria-disabled])")) hit("[popover]")?.hidePopover();
  });
  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("form[data-confirm-name]");
    if (form) checkName(form);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id === "z-menus" && window.htmx) { event.preventDefault(); openMenu(event.submitter); }
    all("[data-show-password][aria-pressed=true]", event.target).forEach((button) => showPassword(button, false));
    if (event.target.dataset.notBefore && isEarly(event.target)) event.preventDefault();
    if (event.target.matches("[data-theme-form]")) { event.preventDefault(); changeTheme(event.target, event.submitter); }
  });
  document.addEventListener("close", (event) => {
    if (event.target.id === "z-dialog") document.getElementById("z-dialog-body").replaceChildren();
  }, true);

  // --- Focus: a swap may disable or take away what has it. It then goes to what is nearest to where it was.
  let focused = null;
  const CAN_FOCUS = "a[href], button:not([disabled]), input:not([disabled], [type=hidden]), select, textarea";
  document.addEventListener("focusin", (event) => {
    const ids = [];
    for (let node = event.target; node; node = node.parentElement) if (node.id) ids.push(node.id);
    focused = {el: event.target, ids};
  });
  document.addEventListener("focusout", (event) => {
    // Somebody clicked elsewhere. What a swap takes away lies outside of the body for a moment.
    if (document.body.contains(event.target) && !event.target.disabled) focused = null;
  });
  function keepFocus() {
    if (!focused || document.activeElement !== document.body) return;
    const places = [focused.el, ...focused.ids.map((id) => document.getElementById(id))].filter((el) => el?.isConnected);
    for (const place of places) {
      const target = [place, ...all(CAN_FOCUS, place)].find((el) => el.matches(`${CAN_FOCUS}, main`) && el.checkVisibility());
      if (target) return target.focus({preventScroll: true});
    }
  }

  // --- htmx
  document.addEventListener("htmx:config:request", (event) => {
    const request = event.detail.ctx.request;
    const here = new URL(request.action, location.href).origin === location.origin;
    if (here && request.method.toUpperCase() !== "GET") request.headers["X-CSRFToken"] = meta("csrf-token");
  });
  document.addEventListener("htmx:after:swap", (event) => {
    ready();
    const {target, sourceElement} = event.detail.ctx;
    if (target?.id === "z-notices" && !target.matches(":popover-open")) target.showPopover({source: sourceElement});
    const body = document.getElementById("z-dialog-body");
    if (body?.childElementCount) openDialog(document.getElementById("z-dialog"));
  });
  // Tabs: what the new page's head has more than this one comes too, in its order. An answer from another address (the
  // log-in) is no part of this page.
  const isTab = (ctx) => ctx.request?.headers["HX-Boosted"] === "true";
  document.addEventListener("htmx:before:response", (event) => {
    const {ctx} = event.detail;
    if (!isTab(ctx) || !ctx.response.raw.redirected) return;
    event.preventDefault();
    location.assign(ctx.response.raw.url);
  });
  document.addEventListener("htmx:before:swap", (event) => {
    const {ctx} = event.detail;
    if (!isTab(ctx)) return;
    for (const one of new DOMParser().parseFromString(ctx.text, "text/html").head.querySelectorAll("script[src], link[rel=stylesheet]")) {
      const name = one.matches("script") ? "src" : "href";
      if (all(`head [${name}="${CSS.escape(one.getAttribute(name))}"]`).length) continue;
      const made = document.createElement(one.tagName);
      for (const {name: key, value} of one.attributes) made.setAttribute(key, value);
      made.async = false;
      document.head.append(made);
    }
  });
  // Refused: on to the first field that has a message. Otherwise the focus stays where it was.
  const focusError = () => all('main [aria-invalid="true"], dialog [aria-invalid="true"]', document)
    .find((el) => el.matches(CAN_FOCUS) && el.checkVisibility())?.focus();
  document.addEventListener("htmx:finally:request", (event) => {
    const refused = event.detail.ctx?.response?.status === 400;
    setTimeout(refused ? focusError : keepFocus); // after hx-disable has let go
  });
  document.addEventListener("htmx:response:error", (event) => {
    const {status, headers} = event.detail.ctx.response;
    if (status < 500 || status === 503) return; // these carry a fragment that says what is wrong
    const id = headers.get("X-Request-ID");
    const text = id ? translate("If it stays, tell support: request %(id)s", {id}) : translate("Try again in a moment.");
    toast({kind: "error", title: translate("Something went wrong on our side"), text, key: "failed"});
  });
  document.addEventListener("htmx:error", (event) => {
    if (!event.detail.ctx || event.detail.ctx.sourceEvent?.type === "live") return; // live.js tries again by itself
    toast({kind: "error", title: translate("Zentry does not answer"), text: translate("Check your connection and try again."), key: "network"});
  });
  document.addEventListener("toast", (event) => toast(event.detail));
  ["closeDialog", "closeModal"].forEach((name) => document.addEventListener(name, closeDialogs));

  // --- Logged out in another tab: this one hides what it shows. Once somebody is logged in again, it goes on where it was.
  const tabs = new BroadcastChannel("zentry-session");
  const out = () => document.getElementById("z-out");
  document.addEventListener("submit", (event) => {
    if (out() && event.target.getAttribute("action")?.endsWith("/logout")) tabs.postMessage("out");
  });
  tabs.addEventListener("message", ({data}) => {
    if (!out()) return;
    if (data === "in" && out().open) location.reload();
    if (data !== "out") return;
    closeDialogs();
    out().querySelector("a").href = `${out().dataset.login}?next=${encodeURIComponent(location.pathname + location.search)}`;
    openDialog(out());
  });
  document.addEventListener("cancel", (event) => { if (event.target === out()) event.preventDefault(); }, true);

  // A long menu shows where one is. By scrollTop: scrollIntoView would move the place that Tab begins at.
  function showActive() {
    const active = document.querySelector(".z-side .z-nav-link.active");
    let box = active?.parentElement;
    while (box && box.scrollHeight <= box.clientHeight) box = box.parentElement;
    if (!box || !box.closest(".z-side")) return;
    const below = active.getBoundingClientRect().bottom - box.getBoundingClientRect().bottom;
    if (below > 0) box.scrollTop += below;
  }

  function start() {
    ready();
    if (out()) tabs.postMessage("in");
    focusError();
    showActive();
    const region = document.getElementById("toasts");
    new MutationObserver((changes) => changes.forEach((c) => c.addedNodes.forEach(leaveLater))).observe(region, {childList: true});
    region.append(...region.children); // those that came with the page: put in anew, so that they are read out and leave, too
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
