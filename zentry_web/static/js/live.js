// Pages that move by themselves. Loaded for signed-in people only.
//
// The server sends `event: change` with {"topics": ["vm:vm_1", "vms", "balance"]} on body[data-events]. Every element with
// one of the topics in data-live gets a "live" event (it does not bubble): hx-trigger="live" then fetches it anew.
// The topic every10 (any number of seconds) asks for that much without an event.
// Without a working event stream all of them get "live" every 5 s. A hidden tab holds no stream and asks for nothing.
//
// Moving by the clock: [data-balance-micro][data-burn-micro-per-hour][data-balance-at] · [data-since] · time[data-ago] ·
// .z-age[data-stale-after] becomes .stale.
(() => {
  "use strict";
  const GATHER_MS = 200, POLL_MS = 5000, RETRY_STREAM_MS = 60000, FAILURES = 3, STEADY_MS = 10000, LEAVING_MS = 10000;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const live = () => all("[data-live]").filter((el) => el !== document.body);

  // --- Refreshing
  const waiting = new WeakMap();
  let leaving = false;
  function refresh(el) {
    if (waiting.has(el)) return;
    waiting.set(el, setTimeout(() => {
      waiting.delete(el);
      if (el.isConnected && !leaving) window.htmx?.trigger(el, "live", {}, false);
    }, GATHER_MS));
  }
  // On the way to another page nothing is refreshed: after a log-out the answer would be "log in first", and following
  // that would overtake the page the person asked for. Should the page stay after all (a download), it goes on.
  addEventListener("beforeunload", () => {
    leaving = true;
    live().forEach((el) => window.htmx?.trigger(el, "htmx:abort", {}, false));
    setTimeout(() => { leaving = false; }, LEAVING_MS);
  });
  function refreshTopics(topics) {
    const wanted = new Set(topics);
    live().filter((el) => el.dataset.live.split(/\s+/).some((topic) => wanted.has(topic))).forEach(refresh);
  }
  const refreshAll = () => live().forEach(refresh);
  const due = new Map(); // an element's id (a swap may replace the element) -> when its everyN is due
  function refreshByClock() {
    for (const el of live()) {
      const seconds = Number(/(?:^|\s)every(\d+)(?:\s|$)/.exec(el.dataset.live)?.[1] ?? 0);
      if (!seconds) continue;
      const key = el.id || el, at = Date.now();
      if (!due.has(key)) due.set(key, at + seconds * 1000);
      if (at < due.get(key)) continue;
      due.set(key, at + seconds * 1000);
      refresh(el);
    }
  }

  // --- The stream, and polling when there is none
  let stream = null, failures = 0, poll = null, retry = null, steady = null;
  function open() {
    if (stream || document.hidden || !document.body.dataset.events) return;
    stream = new EventSource(document.body.dataset.events);
    stream.addEventListener("open", () => {
      if (failures) refreshAll(); // what happened while it was broken
      stopPolling();
      steady = setTimeout(() => { failures = 0; }, STEADY_MS);
    });
    stream.addEventListener("change", (event) => {
      failures = 0;
      refreshTopics(JSON.parse(event.data).topics ?? []);
    });
    stream.addEventListener("error", () => {
      clearTimeout(steady);
      failures += 1;
      if (failures < FAILURES && stream?.readyState !== EventSource.CLOSED) return;
      close();
      startPolling();
      retry = setTimeout(open, RETRY_STREAM_MS);
    });
  }
  function close() {
    clearTimeout(steady);
    clearTimeout(retry);
    stream?.close();
    stream = null;
  }
  function startPolling() {
    poll ??= setInterval(() => { if (!document.hidden) refreshAll(); }, POLL_MS);
  }
  function stopPolling() {
    clearInterval(poll);
    poll = null;
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); stopPolling(); return; }
    failures = 0;
    refreshAll();
    open();
    tick();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) { refreshAll(); open(); } });

  // --- Clocks. A computer's clock may be wrong, so a balance counts from when its figure arrived, and the
  // difference to the server's clock seen then corrects the others.
  let skew = 0;
  const arrived = new WeakMap();
  const now = () => Date.now() - skew;
  function elapsed(el, at) {
    const seen = arrived.get(el);
    if (seen?.at === at) return Date.now() - seen.since;
    arrived.set(el, {at, since: Date.now()});
    const revisited = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
    if (!revisited) {
      const difference = Date.now() - Date.parse(at);
      skew = Math.abs(difference) > 5000 ? difference : 0;
    }
    return 0;
  }
  function words(seconds, parts) {
    const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const found = [];
    let left = Math.max(0, Math.floor(seconds));
    for (const [name, size] of units) {
      if (left >= size || (found.length && found.length < parts)) { found.push([Math.floor(left / size), name]); left %= size; }
    }
    return found.slice(0, parts).filter(([count]) => count).map((pair) => pair.join(" ")).join(" ") || "0 s";
  }
  function ago(seconds) {
    if (Math.abs(seconds) < 10) return "just now";
    return seconds < 0 ? `in ${words(-seconds, 2)}` : `${words(seconds, 1)} ago`;
  }
  function show(el, text) {
    if (el.textContent !== text) el.textContent = text;
  }
  function tickBalance(el) {
    const {balanceAt, balanceMicro, burnMicroPerHour, decimals = "4"} = el.dataset;
    const used = (Number(burnMicroPerHour) * elapsed(el, balanceAt)) / 3600000;
    const places = Number(decimals);
    const left = Math.max(0, Number(balanceMicro) - used) / 1e6;
    const text = left.toLocaleString("en-US", {minimumFractionDigits: places, maximumFractionDigits: places});
    const {decimal = ".", group = ","} = document.documentElement.dataset;
    show(el, text.replace(/[.,]/g, (mark) => (mark === "." ? decimal : group)));
  }
  function tick() {
    if (document.hidden) return;
    refreshByClock();
    all("[data-balance-micro]").forEach(tickBalance);
    all("[data-since]").forEach((el) => show(el, words((now() - Date.parse(el.dataset.since)) / 1000, 2)));
    all("time[data-ago]").forEach((el) => {
      const seconds = (now() - Date.parse(el.dateTime)) / 1000;
      show(el, (el.dataset.prefix ? `${el.dataset.prefix} ` : "") + ago(seconds));
      const age = el.closest("[data-stale-after]");
      age?.classList.toggle("stale", seconds > Number(age.dataset.staleAfter));
    });
  }

  function start() {
    tick();
    setInterval(tick, 1000);
    open();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
