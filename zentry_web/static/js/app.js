// Everything a page needs besides htmx: dialogs, toasts, copying, theme, CSRF. All of it is an enhancement:
// links, forms and <details> work without this file.
//
// In markup: data-open="dialog-id" · data-close · data-dismiss · data-copy="text" · data-confirm-name="name" on a form
//            data-theme-form · #z-dialog-body as hx-target opens the shared dialog
// From the server: HX-Trigger {"toast": {"kind", "title", "text", "href", "action"}} · {"closeDialog": true}
// Event for others: "z:theme" on document after the theme changed.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
  const COLOURS = {success: "green", info: "blue", message: "blue", warning: "amber", error: "red", danger: "red"};
  const SYMBOLS = {green: "circle-check", blue: "info-circle", amber: "alert-triangle", red: "alert-circle"};
  const STAYS_MS = 9000;

  // --- Markup that only makes sense with script
  function ready() {
    all("[data-copy][hidden],[data-dismiss][hidden],dialog [data-close][hidden]").forEach((el) => { el.hidden = false; });
    all("form[data-confirm-name]").forEach(checkName);
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
      const link = element("a", "", action || "Open");
      link.href = href;
      body.append(link);
    }
    const close = element("button", "z-close", icon("x"));
    close.type = "button";
    close.dataset.dismiss = "";
    close.setAttribute("aria-label", "Dismiss");
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
  function openDialog(dialog) {
    if (dialog && !dialog.open) dialog.showModal();
  }
  function closeDialogs() {
    all("dialog[open]").forEach((dialog) => dialog.close());
  }

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

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      return toast({kind: "warning", title: "Could not copy", text: "The browser did not allow it."});
    }
    button.classList.add("done");
    button.replaceChildren(icon("check"));
    setTimeout(() => { button.classList.remove("done"); button.replaceChildren(icon("copy")); }, 1500);
  }

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest?.(selector);
    const opener = hit("[data-open]");
    if (opener) { event.preventDefault(); openDialog(document.getElementById(opener.dataset.open)); }
    if (hit("[data-close]")) hit("[data-close]").closest("dialog")?.close();
    if (hit("[data-dismiss]")) hit("[data-dismiss]").parentElement.remove();
    if (hit("[data-copy]")) copy(hit("[data-copy]"));
    if (event.target instanceof HTMLDialogElement) event.target.close(); // the backdrop
    if (hit(".z-menu-item")) hit("[popover]")?.hidePopover();
  });
  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("form[data-confirm-name]");
    if (form) checkName(form);
  });
  document.addEventListener("submit", (event) => {
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
    if (event.target.isConnected && !event.target.disabled) focused = null; // somebody clicked elsewhere
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
  document.addEventListener("htmx:after:swap", () => {
    ready();
    const body = document.getElementById("z-dialog-body");
    if (body?.childElementCount) openDialog(document.getElementById("z-dialog"));
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
    toast({kind: "error", title: "Something went wrong on our side", text: id ? `If it stays, tell support: request ${id}` : "Try again in a moment.", key: "failed"});
  });
  document.addEventListener("htmx:error", (event) => {
    if (!event.detail.ctx || event.detail.ctx.sourceEvent?.type === "live") return; // live.js tries again by itself
    toast({kind: "error", title: "Zentry does not answer", text: "Check your connection and try again.", key: "network"});
  });
  document.addEventListener("toast", (event) => toast(event.detail));
  ["closeDialog", "closeModal"].forEach((name) => document.addEventListener(name, closeDialogs));

  function start() {
    ready();
    focusError();
    const region = document.getElementById("toasts");
    new MutationObserver((changes) => changes.forEach((c) => c.addedNodes.forEach(leaveLater))).observe(region, {childList: true});
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
