// Lists: the search box completes itself, and the bar of what is selected says how many and what they cost.
// In markup: input[data-complete] with #search-offers · [data-select-all] in a table's head · form[data-selection], to which
//            the rows' tick boxes belong; td.rate is what a row costs per hour · nav[data-more] is a list's name, its a[rel=next] leads
//            to the next page; what it pages lies beside it.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // --- Completion: a combobox with a listbox that the server fills
  const offers = () => document.getElementById("search-offers");
  const options = () => all("[role=option]", offers());
  const isOpen = () => Boolean(offers() && !offers().hidden);
  const boxOf = (event) => event.target.closest?.("input[data-complete]");
  let active = -1;
  function prepare() {
    for (const input of all("input[data-complete]:not([role])")) {
      const state = {role: "combobox", "aria-controls": "search-offers", "aria-autocomplete": "list", "aria-expanded": "false"};
      Object.entries(state).forEach(([name, value]) => input.setAttribute(name, value));
    }
    const problem = document.getElementById("search-problem")?.textContent.trim();
    if (problem) document.getElementById("search")?.setAttribute("aria-invalid", "true");
    else document.getElementById("search")?.removeAttribute("aria-invalid");
  }
  function show(input, open) {
    asked += 1;
    if (!offers()) return;
    offers().hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    mark(input, -1);
  }
  function mark(input, index) {
    active = index;
    options().forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    const option = options()[index];
    if (option) input.setAttribute("aria-activedescendant", option.id); else input.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({block: "nearest"});
  }
  let asked = 0; // an answer to what has been typed on, chosen or left since is too late
  async function offer(input) {
    const mine = ++asked, url = new URL(input.dataset.complete, location);
    url.search = new URLSearchParams({q: input.value, at: input.selectionStart ?? input.value.length});
    const answer = await fetch(url), text = await answer.text();
    if (mine !== asked || !offers()) return;
    const found = new DOMParser().parseFromString(answer.ok && !answer.redirected ? text : "", "text/html"); // redirected: to sign in
    offers().replaceChildren(...found.body.children);
    show(input, document.activeElement === input && options().length > 0);
  }
  function choose(input, option) {
    const {text, at} = option.dataset;
    input.value = text;
    input.setSelectionRange(Number(at), Number(at));
    show(input, false);
    chosen = !text.slice(0, Number(at)).endsWith(":");
    input.dispatchEvent(new Event("input", {bubbles: true}));
  }
  const search = (input) => { chosen = true; input.dispatchEvent(new Event("input", {bubbles: true})); };
  let chosen = false; // a whole part was chosen: nothing is offered before the next key
  document.addEventListener("input", (event) => {
    const input = boxOf(event);
    if (!input) return;
    const typed = input.value.slice(0, input.selectionStart ?? input.value.length);
    if (chosen || !typed || /\s$/.test(typed)) show(input, false); else offer(input);
    chosen = false;
  });
  // While something is offered nobody is done typing: the list waits.
  document.addEventListener("htmx:config:request", (event) => {
    const {sourceElement: form, sourceEvent} = event.detail.ctx;
    if (form?.matches?.(".z-find") && sourceEvent?.type === "input" && isOpen()) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const input = boxOf(event);
    if (!input) return;
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (step) {
      event.preventDefault();
      if (!isOpen()) return offer(input);
      const count = options().length;
      return mark(input, active < 0 && step < 0 ? count - 1 : (active + step + count) % count);
    }
    if (!isOpen()) return;
    if (event.key === "Escape") { event.preventDefault(); show(input, false); search(input); }
    if (event.key === "Enter" && active >= 0) { event.preventDefault(); choose(input, options()[active]); }
    else if (event.key === "Enter" || event.key === "Tab") show(input, false);
  });
  document.addEventListener("pointerdown", (event) => {
    const input = document.querySelector("input[data-complete]"), option = event.target.closest?.("#search-offers [role=option]");
    if (option) { event.preventDefault(); choose(input, option); }
    else if (event.target === input) { if (!isOpen()) offer(input); }
    else if (input && isOpen()) show(input, false);
  });
  document.addEventListener("focusout", (event) => {
    const input = boxOf(event);
    if (input) show(input, false);
  });

  // --- Selecting
  const boxesOf = (form) => [...form.elements].filter((el) => el.type === "checkbox");
  const {decimal = ".", group = ","} = document.documentElement.dataset;
  const microOf = (text) => Math.round(Number(text.trim().replaceAll(group, "").replace(decimal, ".")) * 1e6);
  const credits = (micro) => {
    const text = (micro / 1e6).toLocaleString("en-US", {minimumFractionDigits: 2, maximumFractionDigits: 6});
    return text.replace(/[.,]/g, (sign) => (sign === "." ? decimal : group));
  };
  function tell(form) {
    const boxes = boxesOf(form), ticked = boxes.filter((box) => box.checked), text = form.querySelector(".z-bar-text");
    const whole = form.querySelector("[name=all]"); // all that match, those on other pages as well: until one is left out
    if (whole) whole.disabled = ticked.length < boxes.length;
    const everything = whole && !whole.disabled;
    const costs = ticked.map((box) => box.closest("tr").querySelector("td.rate")).filter(Boolean);
    const micro = everything ? Number(text.dataset.micro) : costs.reduce((sum, cell) => sum + microOf(cell.textContent), 0);
    const number = everything ? text.dataset.number : String(ticked.length);
    const words = costs.length && !Number.isNaN(micro) ? form.dataset.cost.replace("{cost}", credits(micro)) : form.dataset.text;
    const said = ticked.length ? words.replace("{n}", number) : "";
    if (text.textContent !== said) text.textContent = said;
    for (const head of all("[data-select-all]")) {
      if (!head.closest("table").contains(boxes[0] ?? null)) continue;
      head.checked = ticked.length === boxes.length;
      head.indeterminate = ticked.length > 0 && !head.checked;
    }
  }
  const tellAll = () => all("form[data-selection]").forEach(tell);
  document.addEventListener("change", (event) => {
    const {target} = event;
    if (target.matches?.("[data-select-all]")) {
      all("tbody [type=checkbox]:not(:disabled)", target.closest("table")).forEach((box) => { box.checked = target.checked; });
    }
    if (target.type === "checkbox") tellAll();
  });

  // --- More: the rows of the next page come below those that are there. The address says how many there are, for those who
  // come back to it, and so does what fetches the list anew.
  const MOST_ROWS = 200;
  function keep(count, rows) {
    const counted = (address) => {
      const url = new URL(address, location);
      url.searchParams.set("rows", count);
      return url.pathname + url.search;
    };
    history.replaceState(history.state, "", counted(location));
    const whole = rows.closest("[data-live][hx-get]");
    whole?.setAttribute("hx-get", counted(whole.getAttribute("hx-get")));
  }
  const rowsOf = (nav) => nav?.parentElement.querySelector("tbody, .z-acts, .z-day-list");
  async function more(link) {
    const nav = link.closest("[data-more]"), rows = rowsOf(nav), answer = await fetch(link.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const following = page.querySelector(`[data-more="${nav.dataset.more}"]`), found = rowsOf(following);
    if (!answer.ok || !following) return location.assign(link.href);
    const added = [...found?.children ?? []].filter((row) => !row.id || !document.getElementById(row.id));
    rows.append(...added);
    added.forEach((row) => window.htmx?.process(row));
    const first = added[0]?.querySelector("a[href]") ?? added[0];
    if (first && !first.href) first.tabIndex = -1;
    first?.focus();
    const next = following.querySelector("[rel=next]");
    if (next) link.href = next.href; else link.remove();
    keep(rows.children.length, rows);
    refreshed();
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-more] [rel=next]"), rows = rowsOf(link?.closest("[data-more]"));
    if (!rows || event.ctrlKey || event.metaKey || event.shiftKey || rows.children.length >= MOST_ROWS) return;
    event.preventDefault();
    if (link.ariaBusy === "true") return;
    link.ariaBusy = "true";
    more(link).catch(() => location.assign(link.href)).finally(() => { link.ariaBusy = null; });
  });

  function refreshed() {
    prepare();
    tellAll();
  }
  document.addEventListener("htmx:after:swap", refreshed);
  addEventListener("pageshow", refreshed); // a browser that goes back ticks what was ticked
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", refreshed); else refreshed();
})();
