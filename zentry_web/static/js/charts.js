// Joins chart skeletons (web/charts.py, in a JSON block of the page) with data (fetched compact columns) for Plotly.
// [data-chart] with data-src, data-skeleton (id of the JSON block) and optionally data-tail (seconds between fetches of
// points newer than the last one, while the tab is visible). No data is a gap, not a line.
(() => {
  "use strict";
  const charts = new Map(); // element -> {times, columns, start, end, step}
  const loading = new Map(); // address -> answer on its way
  const theme = () => document.documentElement.dataset.bsTheme
    || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

  function note(el, text) {
    el.querySelector(".z-chart-note")?.remove();
    if (!text) return;
    const made = document.createElement("div");
    made.className = "z-chart-note";
    made.textContent = text;
    el.append(made);
  }

  function absorb(data, answer) {
    const last = data.times.at(-1) ?? -Infinity;
    answer.times.forEach((offset, i) => {
      const at = answer.start + offset;
      if (at <= last) return;
      data.times.push(at);
      for (const name in answer.columns) (data.columns[name] ??= []).push(answer.columns[name][i]);
    });
    if (data.start === undefined) Object.assign(data, {start: answer.start, end: answer.end, step: answer.step});
    else if (answer.end > data.end) { data.start += answer.end - data.end; data.end = answer.end; }
    const old = data.times.findIndex((at) => at >= data.start);
    if (old > 0) { data.times.splice(0, old); Object.values(data.columns).forEach((column) => column.splice(0, old)); }
  }

  // A pause in the sampling gets a null of its own, else Plotly would draw a line across it.
  function points(data, meta, gaps) {
    const x = [], y = [];
    const column = data.columns[meta.column] ?? [];
    data.times.forEach((at, i) => {
      if (gaps && i && at - data.times[i - 1] > data.step * 2.5) { x.push((data.times[i - 1] + data.step) * 1000); y.push(null); }
      x.push(at * 1000);
      y.push(column[i] == null ? null : column[i] * meta.scale);
    });
    return {x, y};
  }

  function draw(el) {
    const data = charts.get(el);
    if (!data?.times) return;
    const {traces, layout, config} = JSON.parse(document.getElementById(el.dataset.skeleton).textContent)[theme()];
    const full = traces.map((trace) => ({...trace, ...points(data, trace.meta, trace.type === "scatter")}));
    const xaxis = data.end && traces[0].type === "scatter" ? {...layout.xaxis, range: [data.start * 1000, data.end * 1000]} : layout.xaxis;
    window.Plotly.react(el, full, {...layout, xaxis}, config);
    note(el, data.times.length ? "" : "No samples yet");
  }

  // Charts of one machine ask for the same figures at the same moment: one request serves them all.
  function load(url) {
    if (!loading.has(url)) {
      const answer = fetch(url, {headers: {Accept: "application/json"}}).then((response) => {
        if (!response.ok) throw new Error(String(response.status));
        return response.json();
      });
      loading.set(url, answer.finally(() => loading.delete(url)));
    }
    return loading.get(url);
  }

  async function fetchInto(el) {
    const data = charts.get(el);
    if (!data || data.busy) return;
    data.busy = true;
    const url = new URL(el.dataset.src, location.href);
    if (data.times?.length) url.searchParams.set("after", data.times.at(-1));
    try {
      const answer = await load(url.href);
      data.times ??= [];
      data.columns ??= {};
      absorb(data, answer);
      el.classList.remove("loading");
      draw(el);
    } catch {
      if (!data.times?.length) note(el, "The figures could not be loaded; trying again.");
    } finally {
      data.busy = false;
    }
  }

  function scan() {
    document.querySelectorAll("[data-chart]").forEach((el) => {
      if (charts.has(el)) return;
      charts.set(el, {fetched: Date.now()});
      el.classList.add("loading");
      el.closest("figure")?.querySelector("details")?.removeAttribute("open");
      fetchInto(el);
    });
  }
  function tail() {
    if (document.hidden) return;
    for (const [el, data] of charts) {
      if (!el.isConnected) { charts.delete(el); continue; }
      const every = Number(el.dataset.tail || 0) * 1000;
      if ((every || !data.times) && Date.now() - data.fetched >= (every || 10000)) { data.fetched = Date.now(); fetchInto(el); }
    }
  }
  const redraw = () => charts.forEach((_, el) => draw(el));

  document.addEventListener("z:theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("visibilitychange", tail);
  document.addEventListener("htmx:after:swap", scan);
  document.addEventListener("htmx:before:cleanup", (event) => { if (charts.delete(event.target)) window.Plotly.purge(event.target); });
  document.addEventListener("DOMContentLoaded", () => { scan(); setInterval(tail, 1000); });
})();
