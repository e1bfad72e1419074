// Keys without Ctrl, for people who have not switched them off in their account. None of them changes anything that is
// stored; while somebody types, or a dialog is open, they do nothing. What they are is told at /keys.
(() => {
  "use strict";
  const PLACES = {o: "/overview", p: "/projects", m: "/vms", c: "/credits", n: "/account/notices", a: "/account"};
  const SECOND_KEY_MS = 1500;
  const TYPES_IN = "input:not([type=checkbox], [type=radio], [type=submit], [type=button]), textarea, select, [contenteditable]";
  let goes = 0; // when g was pressed

  const seen = (selector) => [...document.querySelectorAll(selector)].filter((el) => el.checkVisibility());
  const rows = () => seen(document.querySelector("main [data-row]") ? "main [data-row]" : "main tr:has(.z-row-title)");
  const linkOf = (row) => row.querySelector(".z-row-title[href], .z-row-title a[href], a[href]");

  function move(step) {
    const all = rows().filter(linkOf);
    if (!all.length) return false;
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    linkOf(all[next]).focus();
    all[next].scrollIntoView({block: "nearest"});
    return true;
  }
  function tick() {
    const box = rows().find((row) => row.contains(document.activeElement))?.querySelector("input[type=checkbox]");
    box?.click();
    return Boolean(box);
  }
  function search() {
    const field = seen("main [role=search] input:not([type=hidden])")[0];
    if (field) { field.focus(); field.select(); } else document.querySelector("[data-palette]")?.click();
    return true;
  }
  function help() {
    window.htmx.ajax("GET", "/keys", {target: "#z-dialog-body", swap: "innerHTML"});
    return true;
  }
  function leave() {
    if (!rows().some((row) => row.contains(document.activeElement))) return false;
    document.getElementById("main").focus({preventScroll: true});
    return true;
  }
  function go(key) {
    if (!PLACES[key]) return false;
    location.assign(PLACES[key]);
    return true;
  }
  const KEYS = {j: () => move(1), k: () => move(-1), x: tick, "/": search, "?": help, Escape: leave};

  document.addEventListener("keydown", (event) => {
    const types = event.target.closest?.(TYPES_IN);
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat && event.key === "x") return;
    if (types || document.querySelector("dialog[open], :popover-open:not(.z-side)")) return;
    const isSecond = Date.now() - goes < SECOND_KEY_MS;
    goes = event.key === "g" ? Date.now() : 0;
    const done = isSecond && event.key !== "g" ? go(event.key) : KEYS[event.key]?.();
    if (done) event.preventDefault();
  });
})();
