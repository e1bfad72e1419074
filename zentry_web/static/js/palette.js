// The command palette: Ctrl K (on a Mac ⌘ K) or a link [data-palette] opens #z-palette; the server finds, htmx fetches.
// By arrows one moves through the options, by Enter one opens. Without this file the link leads to the search page.
(() => {
  "use strict";
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
  const find = (id) => document.getElementById(id);
  const options = () => [...find("z-found").querySelectorAll("[role=option]")];
  let chosen = 0, waits = false, isWanted = false; // waits: for an answer; isWanted: Enter was pressed meanwhile

  function open() {
    const dialog = find("z-palette"), input = find("z-palette-input");
    if (!dialog || document.querySelector("dialog[open]")) return;
    dialog.showModal();
    input.value = "";
    input.focus();
    ask();
    window.htmx?.trigger(input, "palette", {}, false);
  }
  function ask() {
    waits = true;
    isWanted = false;
  }
  function choose(index) {
    const all = options(), input = find("z-palette-input");
    chosen = all.length ? (index + all.length) % all.length : 0;
    all.forEach((each, place) => each.setAttribute("aria-selected", String(place === chosen)));
    input.setAttribute("aria-expanded", String(all.length > 0));
    if (!all.length) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({block: "nearest"});
  }
  function go() {
    if (waits) { isWanted = true; return; }
    options()[chosen]?.click();
  }

  document.addEventListener("keydown", (event) => {
    const isKey = event.key.toLowerCase() === "k" && (isMac ? event.metaKey : event.ctrlKey) && !event.altKey && !event.shiftKey;
    if (!isKey || !find("z-palette")) return;
    event.preventDefault();
    if (find("z-palette").open) find("z-palette").close(); else open();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-palette]") && find("z-palette") && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
      event.preventDefault();
      document.querySelector(".z-side:popover-open")?.hidePopover();
      open();
    }
    if (event.target.closest?.("#z-found [role=option]")) find("z-palette").close();
  });
  document.addEventListener("input", (event) => { if (event.target.id === "z-palette-input") ask(); });
  document.addEventListener("submit", (event) => {
    if (event.target.closest("#z-palette")) { event.preventDefault(); go(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "z-palette-input" || event.isComposing) return;
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (!step) return;
    event.preventDefault();
    choose(chosen + step);
  });
  document.addEventListener("pointermove", (event) => {
    const option = event.target.closest?.("#z-found [role=option]");
    if (option && option.getAttribute("aria-selected") !== "true") choose(options().indexOf(option));
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const {target, request} = event.detail.ctx ?? {};
    if (target?.id !== "z-found") return;
    // An answer to fewer letters is shown, but what Enter was pressed for is that of all of them.
    waits = new URL(request.action, location).searchParams.get("q") !== find("z-palette-input").value;
    choose(0);
    const number = options().length;
    const told = find("z-found-told");
    told.textContent = number === 1 ? told.dataset.one : told.dataset.many.replace("{n}", number);
    if (isWanted && !waits) go();
  });

  function start() {
    document.querySelectorAll("[data-mod-key]").forEach((el) => {
      if (isMac) el.textContent = "⌘ K";
      el.hidden = false;
    });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
