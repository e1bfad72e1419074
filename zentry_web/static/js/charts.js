// Joins chart skeletons (web/output/charts.py, in a JSON block of the page) with data (fetched compact columns) for Plotly.
// [data-chart] with data-src, data-skeleton (id of the JSON block) and optionally data-tail (seconds between fetches of
// points newer than the last one, while the tab is visible). No data is a gap, not a line. A chart is fetched and drawn when it
// comes into view, and Plotly with the first; one that came drawn (.z-drawn) lets the page settle before Plotly takes its place.
// data-leads-to: where a bar leads, DAY standing for its day.
// Times are those of the account's zone, which the data brings along (clock); its name stands on the axis and at each time.
// A table whose headings say data-column shows the same figures, in at most ROWS rows.
(() => {
  "use strict";
  const ROWS = 30;
  const files = document.currentScript.dataset;
  let library; // Plotly, on its way or there
  const charts = new Map(); // element -> {times, columns, start, end, step, clock}
  const loading = new Map(); // address -> answer on its way
  const theme = () => document.documentElement.dataset.bsTheme
    || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

  function add(tag, attributes) {
    const made = Object.assign(document.createElement(tag), attributes);
    return new Promise((done, failed) => {
      made.onload = done;
      made.onerror = () => { made.remove(); failed(new Error(tag)); };
      document.head.append(made);
    });
  }
  // Its style is the element that Plotly would make itself, which the Content-Security-Policy forbids.
  const withPlotly = () => library ??= Promise.all([
    add("link", {rel: "stylesheet", id: "plotly.js-style-global", className: "no-inline-styles", href: files.style}),
    add("script", {src: files.plotly}),
  ]).catch((error) => { library = undefined; throw error; });
  const settled = () => new Promise((done) => {
    const idle = () => (window.requestIdleCallback ?? setTimeout)(done);
    if (document.readyState === "complete") idle(); else addEventListener("load", idle, {once: true});
  });

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
    data.clock = answer.clock;
    const old = data.times.findIndex((at) => at >= data.start);
    if (old > 0) { data.times.splice(0, old); Object.values(data.columns).forEach((column) => column.splice(0, old)); }
  }

  // Plotly knows no zones and shows a number of milliseconds on the browser's clock: it is given what the zone's clock shows, as text.
  const clockAt = (data, at) => data.clock?.findLast(([from]) => from <= at) ?? data.clock?.[0] ?? [0, 0, ""];
  const shown = (data, at) => new Date((at + clockAt(data, at)[1]) * 1000).toISOString().slice(0, 19);

  // A pause in the sampling gets a null of its own, else Plotly would draw a line across it.
  function points(data, meta, gaps) {
    const x = [], y = [];
    const column = data.columns[meta.column] ?? [];
    data.times.forEach((at, i) => {
      if (gaps && i && at - data.times[i - 1] > data.step * 2.5) { x.push(shown(data, data.times[i - 1] + data.step)); y.push(null); }
      x.push(shown(data, at));
      if (gaps && x.length > 1 && x.at(-1) <= x.at(-2)) { x.splice(-1, 0, x.at(-2)); y.push(null); } // an hour that comes twice
      y.push(column[i] == null ? null : column[i] * meta.scale);
    });
    return {x, y};
  }

  // What a chart shows, for who does not see it: of each line the least, the most and the last.
  function describe(el, traces, suffix) {
    const text = (value) => `${Number(value.toPrecision(4)).toLocaleString(document.documentElement.lang)}${suffix}`;
    const parts = traces.map(({name, y}) => {
      const known = y.filter((value) => value != null);
      const values = {name, least: text(Math.min(...known)), most: text(Math.max(...known)), last: text(known.at(-1))};
      return known.length ? window.translate("%(name)s: %(least)s to %(most)s, last %(last)s", values) : "";
    });
    el.setAttribute("aria-label", [el.dataset.label, ...parts.filter(Boolean)].join(". "));
  }

  function draw(el) {
    const data = charts.get(el);
    if (!data?.times) return;
    const {traces, layout, config} = JSON.parse(document.getElementById(el.dataset.skeleton).textContent)[theme()];
    const full = traces.map((trace) => ({...trace, ...points(data, trace.meta, trace.type === "scatter")}));
    const xaxis = {...layout.xaxis};
    if (data.end && traces[0].type === "scatter") xaxis.range = [shown(data, data.start), shown(data, data.end)];
    if (data.clock) {
      const [, , name] = clockAt(data, data.end);
      xaxis.title = {...xaxis.title, text: name};
      xaxis.hoverformat += ` ${name}`;
    }
    window.Plotly.react(el, full, {...layout, xaxis}, config).then(() => el.querySelector(".z-drawn")?.remove());
    describe(el, full, layout.yaxis?.ticksuffix ?? "");
    if (el.dataset.leadsTo && !data.leads) {
      data.leads = true;
      el.on("plotly_click", ({points: [bar]}) => location.assign(el.dataset.leadsTo.replaceAll("DAY", String(bar.x).slice(0, 10))));
    }
    note(el, data.times.length ? "" : window.translate("No samples in this time"));
    tabulate(el.closest("figure")?.querySelector("details[open] table"), data);
  }

  function tabulate(table, data) {
    const heads = [...(table?.querySelectorAll("th[data-column]") ?? [])];
    if (!heads.length || !data?.times?.length) return;
    const step = Math.max(1, Math.ceil((data.end - data.start) / ROWS / data.step)) * data.step;
    const groups = Object.groupBy(data.times.keys(), (i) => Math.floor(data.times[i] / step) * step);
    const rows = Object.entries(groups).map(([at, indexes]) => {
      const row = document.createElement("tr");
      row.insertCell().textContent = shown(data, Number(at)).slice(11);
      for (const head of heads) {
        const values = indexes.map((i) => data.columns[head.dataset.column]?.[i]).filter((value) => value != null);
        const cell = row.insertCell();
        cell.className = "num";
        cell.textContent = values.length ? (values.reduce((a, b) => a + b) / values.length / Number(head.dataset.scale)).toFixed(Number(head.dataset.digits)) : "–";
      }
      return row;
    });
    table.tBodies[0].replaceChildren(...rows);
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
      const [answer] = await Promise.all([load(url.href), withPlotly()]);
      data.times ??= [];
      data.columns ??= {};
      absorb(data, answer);
      el.classList.remove("loading");
      draw(el);
    } catch {
      if (!data.times?.length && !el.querySelector(".z-drawn")) note(el, window.translate("The figures could not be loaded; trying again."));
    } finally {
      data.busy = false;
    }
  }

  function scan() {
    document.querySelectorAll("[data-chart]").forEach((el) => {
      if (charts.has(el)) return;
      charts.set(el, {});
      const table = el.closest("figure")?.querySelector("details");
      table?.removeAttribute("open");
      table?.classList.add("ready");
      seen.observe(el);
    });
  }
  const seen = new IntersectionObserver((entries) => entries.forEach(({target, isIntersecting}) => {
    const data = charts.get(target);
    if (!isIntersecting || !data) return;
    seen.unobserve(target);
    data.fetched = Date.now();
    if (target.querySelector(".z-drawn")) settled().then(() => fetchInto(target)); else fetchInto(target);
  }), {rootMargin: "100px"});
  function tail() {
    if (document.hidden) return;
    for (const [el, data] of charts) {
      if (!el.isConnected) { charts.delete(el); continue; }
      const every = Number(el.dataset.tail || 0) * 1000;
      const wait = data.times ? every : 10000; // what could not be loaded is asked for again
      if (data.fetched && wait && Date.now() - data.fetched >= wait) { data.fetched = Date.now(); fetchInto(el); }
    }
  }
  const redraw = () => charts.forEach((_, el) => draw(el));

  document.addEventListener("toggle", (event) => {
    const el = event.target.open && event.target.closest?.("figure")?.querySelector("[data-chart]");
    if (el) tabulate(event.target.querySelector("table"), charts.get(el));
  }, true);
  document.addEventListener("z:theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("visibilitychange", tail);
  document.addEventListener("htmx:after:swap", scan);
  document.addEventListener("htmx:before:cleanup", (event) => { if (charts.delete(event.target)) window.Plotly?.purge(event.target); });
  function start() { // also when a tab brings this file into a page that is there already
    scan();
    setInterval(tail, 1000);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
