// Pages that move by themselves. Loaded for signed-in people only.
//
// The server sends `event: change` with {"topics": ["vm:vm_1", "vms", "balance"]} on body[data-events]. Every element with
// one of the topics in data-live gets a "live" event (it does not bubble): hx-trigger="live" then fetches it anew.
// Rows of a [data-rows] follow vm:<id> by their own id, row-<id>: data-rows is the address of one, with * for the id.
// What lies in an element that is fetched anyway is not fetched by itself; nor are more than 5 parts of a [data-parts] at
// once: that is fetched then.
// The topic every10 (any number of seconds) asks for that much without an event.
// All pages of a browser share one stream. Without a working one all of them get "live" every 5 s. A hidden tab holds no stream and asks for nothing.
// When the server does not answer twice, #z-lost says since when, and every clock stands at that moment.
//
// Moving by the clock: [data-balance-micro][data-burn-micro-per-hour][data-balance-at] · [data-since] · time[data-ago] ·
// .z-age[data-stale-after] becomes .stale.
(() => {
  "use strict";
  const GATHER_MS = 200, POLL_MS = 5000, RETRY_STREAM_MS = 60000, FAILURES = 3, STEADY_MS = 10000, LEAVING_MS = 10000;
  const SILENCE_MS = 45000, MOST_PARTS = 5;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const live = () => all("[data-live]").filter((el) => el !== document.body);

  // --- Refreshing
  const rowOf = (topic) => document.getElementById(`row-${topic.slice(topic.indexOf(":") + 1)}`);
  function fetchRow(row, rows) {
    const url = rows.dataset.rows.replace("*", row.id.slice("row-".length));
    const how = {source: row, target: row, swap: "outerMorph", event: new CustomEvent("live")};
    return window.htmx?.ajax("GET", url, how);
  }
  const waiting = new Set();
  let gathering = null, leaving = false;
  function refresh(el) {
    waiting.add(el);
    gathering ??= setTimeout(ask, GATHER_MS);
  }
  function ask() {
    gathering = null;
    for (const whole of all("[data-parts]")) {
      if ([...waiting].filter((el) => el !== whole && whole.contains(el)).length > MOST_PARTS) waiting.add(whole);
    }
    const asked = [...waiting].filter((el) => el.isConnected);
    waiting.clear();
    if (leaving || document.getElementById("z-out")?.open) return;
    const outer = asked.filter((el) => !asked.some((other) => other !== el && other.contains(el)));
    for (const el of outer) {
      const rows = el.closest("[data-rows]");
      if (rows) fetchRow(el, rows); else window.htmx?.trigger(el, "live", {}, false);
    }
  }
  // On the way to another page nothing is refreshed: after a log-out the answer would be "log in first", and following
  // that would overtake the page the person asked for. Should the page stay after all (a download), it goes on.
  addEventListener("beforeunload", () => {
    leaving = true;
    [...live(), ...all("[data-rows] > tr")].forEach((el) => window.htmx?.trigger(el, "htmx:abort", {}, false));
    setTimeout(() => { leaving = false; }, LEAVING_MS);
  });
  function refreshTopics(topics) {
    const wanted = new Set(topics);
    live().filter((el) => el.dataset.live.split(/\s+/).some((topic) => wanted.has(topic))).forEach(refresh);
    topics.map(rowOf).filter((row) => row?.closest("[data-rows]")).forEach(refresh);
  }
  document.addEventListener("moved", (event) => refreshTopics(event.detail.topics)); // an answer's HX-Trigger says so
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

  // --- Contact. A miss is a poll that got no answer of Zentry's (a proxy's error page is none); the many parts of one page
  // that miss together are one. A stream that cannot be opened proves nothing by itself: it makes the page ask.
  const MISSES = 2, APART_MS = 1000, PATIENCE = "15s";
  let heard = Date.now(), misses = 0, missedAt = 0;
  const isLost = () => misses >= MISSES;
  const moment = () => (isLost() ? heard : Date.now());
  function answered() {
    const wasLost = isLost();
    heard = Date.now();
    misses = 0;
    if (!wasLost) return;
    tellContact();
    refreshAll();
    open();
  }
  function missed() {
    if (leaving || document.hidden || Date.now() - missedAt < APART_MS) return;
    missedAt = Date.now();
    misses += 1;
    if (misses !== MISSES) return;
    startPolling();
    tellContact();
  }
  function tellContact() {
    const bar = document.getElementById("z-lost");
    if (!bar) return;
    const {lang, dataset: {zone: timeZone = "UTC"}} = document.documentElement;
    const shown = {weekday: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short", timeZone};
    if (isLost()) bar.querySelector("time").textContent = new Date(heard - skew).toLocaleString(lang.startsWith("en") ? "en-GB" : lang, shown).replace(",", "");
    bar.hidden = !isLost();
    tick();
  }
  const isPoll = (event) => event.detail.ctx?.sourceEvent?.type === "live";
  document.addEventListener("htmx:config:request", (event) => { if (isPoll(event)) event.detail.ctx.request.timeout = PATIENCE; });
  document.addEventListener("htmx:before:response", (event) => {
    const {status, headers} = event.detail.ctx.response;
    if (status < 500 || headers.has("X-Request-ID")) return answered();
    missed();
    if (isPoll(event)) event.preventDefault(); // a proxy's words do not belong into the page
  });
  document.addEventListener("htmx:error", (event) => { if (event.detail.ctx && !event.detail.ctx.response) missed(); });

  // --- The stream, and polling when there is none. A proxy may hold back what a stream sends: when nothing was heard of
  // it for SILENCE_MS the page polls, and #z-polled says that it is not live. Of a stream that works a beat is heard.
  let stream = null, failures = 0, poll = null, retry = null, steady = null, opened = false, sounded = 0, works = false;
  let last = ""; // the newest event that was told of: the next stream begins after it
  let told = 0; // the newest event that changed something here
  function connect() {
    if (stream) return;
    const url = new URL(document.body.dataset.events, location);
    if (last) url.searchParams.set("after", last);
    told ||= Number(url.searchParams.get("after"));
    stream = new EventSource(url);
    sounded = Date.now();
    works = false;
    stream.addEventListener("open", () => {
      opened = true;
      answered();
      steady = setTimeout(() => { failures = 0; }, STEADY_MS);
    });
    stream.addEventListener("beat", (event) => sounds({kind: "beat", last: event.lastEventId}));
    stream.addEventListener("change", (event) => {
      failures = 0;
      sounds({kind: "change", last: event.lastEventId, topics: JSON.parse(event.data).topics});
    });
    stream.addEventListener("error", () => {
      clearTimeout(steady);
      if (opened) heard = Date.now(); else refreshAll();
      opened = false;
      failures += 1;
      if (failures < FAILURES && stream?.readyState !== EventSource.CLOSED) return;
      disconnect();
      pass({kind: "lost"});
      startPolling();
      retry = setTimeout(open, RETRY_STREAM_MS);
    });
  }
  function sounds(message) {
    if (stream) pass(message);
    sounded = Date.now();
    works = true;
    last = message.last || last;
    if (message.topics) told = Number(last);
    answered();
    stopPolling();
    if (message.topics?.includes("all")) refreshAll(); else if (message.topics) refreshTopics(message.topics);
  }
  function listen() {
    const waits = turn && !letGo && !poll; // for another page's stream
    if (!(stream || waits) || Date.now() - sounded < SILENCE_MS) return;
    const wait = works ? 0 : RETRY_STREAM_MS;
    disconnect();
    refreshAll();
    startPolling();
    retry = setTimeout(open, wait);
  }
  function disconnect() {
    clearTimeout(steady);
    clearTimeout(retry);
    stream?.close();
    stream = null;
    opened = false;
  }

  // --- One stream per browser: a browser keeps six connections to a server, and a stream holds one for good. Of the
  // pages that are seen the one that has the lock has the stream and tells the others what it hears. A page that comes
  // says hello; if something was told since it was made, it fetches its parts. Without locks each has its own stream.
  const channel = window.BroadcastChannel && navigator.locks ? new BroadcastChannel("zentry-events") : null;
  const pass = (message) => channel?.postMessage(message);
  let turn = null, letGo = null; // turn: it waits for the lock, or has it; letGo: gives it up
  function open() {
    if (document.hidden || !document.body.dataset.events) return;
    if (!channel || letGo) return connect();
    if (turn) return;
    const mine = turn = new AbortController();
    last ||= new URL(document.body.dataset.events, location).searchParams.get("after");
    sounded = Date.now();
    pass({kind: "hello"});
    navigator.locks.request("zentry-events", {signal: mine.signal}, () => new Promise((resolve) => {
      if (turn !== mine) return resolve();
      letGo = resolve;
      connect();
    })).catch(() => {}); // it was hidden before its turn came
  }
  function close() {
    disconnect();
    turn?.abort();
    letGo?.();
    turn = letGo = null;
  }
  channel?.addEventListener("message", ({data}) => {
    if (data.kind === "hello") return stream && works && pass({kind: "told", last: String(told)});
    if (letGo || !turn) return;
    if (data.kind === "lost") { refreshAll(); return startPolling(); }
    if (data.kind === "told") {
      if (Number(data.last) > Number(last)) refreshAll();
      data.last = "";
    }
    sounds(data);
  });
  function startPolling() {
    poll ??= setInterval(() => { if (!document.hidden) refreshAll(); }, POLL_MS);
    tellPolling();
  }
  function stopPolling() {
    clearInterval(poll);
    poll = null;
    tellPolling();
  }
  function tellPolling() {
    const mark = document.getElementById("z-polled");
    if (mark) mark.hidden = poll === null;
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
  const now = () => moment() - skew;
  function elapsed(el, at) {
    const seen = arrived.get(el);
    if (seen?.at === at) return Math.max(0, moment() - seen.since);
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
    if (Math.abs(seconds) < 10) return window.translate("just now");
    if (seconds < 0) return window.translate("in %(time)s", {time: words(-seconds, 2)});
    return window.translate("%(time)s ago", {time: words(seconds, 1)});
  }
  function show(el, text) {
    if (el.textContent !== text) el.textContent = text;
  }
  function tickBalance(el) {
    const {balanceAt, balanceMicro, burnMicroPerHour, decimals = "4"} = el.dataset;
    const used = (Number(burnMicroPerHour) * elapsed(el, balanceAt)) / 3600000;
    const left = Math.max(0, Number(balanceMicro) - used) / 1e6;
    const {decimal = ".", group = ","} = document.documentElement.dataset;
    // By hand: the first number that toLocaleString writes costs more than all else that a page's start does here.
    const [whole, part] = left.toFixed(Number(decimals)).split(".");
    show(el, whole.replace(/\B(?=(\d{3})+$)/g, group) + (part ? decimal + part : ""));
  }
  function tick() {
    if (document.hidden) return;
    listen();
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
