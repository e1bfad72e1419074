"""What a browser gets to do with Zentry's pages: what jumps, what is fetched, and when a chart is there."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from bench.demo import Demo, chromium
from bench.figures import Figure, median
from bench.servers import plain
from bench.sizes import Sizes

SHIFTS, VISITS, IDLE, CHARTS = (
    ("layout_shift",),
    ("first_visit_kb", "first_visit_chart_kb"),
    ("idle_machine_requests",),
    ("first_chart_ms",),
)
MOST_SHIFT, MOST_KB, MOST_CHART_KB, MOST_REQUESTS, MOST_CHART_MS = 0.02, 120, 440, 7, 800
WITH_CHART = ("metrics",)
SCREENS = ({"width": 1360, "height": 900}, {"width": 390, "height": 844})
QUIET_MS = 3000  # after this nothing is fetched any more that belongs to the visit
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}
SLOWDOWN = 4
# Sum of the shifts that nobody caused, as web.dev/articles/cls counts them, but for its windows: never less than that.
WATCH_SHIFTS = """window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (!entry.hadRecentInput) window.shifted += entry.value;
})).observe({type: "layout-shift", buffered: true});"""
WATCH_CHARTS = """new MutationObserver((_, me) => {
  if (!document.querySelector("svg.z-spark, [data-chart] .z-drawn-lines")) return;
  requestAnimationFrame(() => { window.charted = performance.now(); });
  me.disconnect();
}).observe(document, {childList: true, subtree: true});"""
ZOOMABLE = "document.querySelector('[data-chart] .main-svg') && performance.now()"
SCROLL = """async () => {
  for (let top = 0; top < document.documentElement.scrollHeight; top += innerHeight / 2) {
    scrollTo({top, behavior: "instant"});
    await new Promise((done) => setTimeout(done, 250));
  }
}"""


@contextmanager
def _browser(zentry: Demo) -> Iterator[tuple[Browser, str]]:
    """Chromium, and the address of the baseline's page."""
    with plain(zentry.folder) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser, f"http://127.0.0.1:{port}/"
        finally:
            browser.close()


@contextmanager
def _window(browser: Browser, zentry: Demo, name: str, screen: dict[str, int], script: str = "") -> Iterator[Page]:
    """An empty window of who looks at a page."""
    context = browser.new_context(viewport=screen)  # type: ignore[arg-type]
    cookies = zentry.cookies_for(name) if name else {}
    context.add_cookies([{"name": key, "value": value, "url": zentry.url("landing")} for key, value in cookies.items()])
    if script:
        context.add_init_script(script)
    try:
        yield context.new_page()
    finally:
        context.close()


def shifts(zentry: Demo, sizes: Sizes) -> Iterator[Figure]:
    """How much jumps while a page loads and is scrolled through, wide and on a phone: the worst page."""

    def look(browser: Browser, name: str, url: str, screen: dict[str, int]) -> float:
        with _window(browser, zentry, name, screen, WATCH_SHIFTS) as page:
            page.goto(url)
            page.evaluate(SCROLL)
            page.wait_for_timeout(QUIET_MS)
            return float(page.evaluate("window.shifted"))

    names = list(zentry.pages)[: sizes.looked_at]
    with _browser(zentry) as (browser, bare):
        found = {name: max(look(browser, name, zentry.url(name), screen) for screen in SCREENS) for name in names}
        baseline = look(browser, "", bare, SCREENS[0])
    facts = {name: round(shift, 4) for name, shift in found.items()}
    yield Figure(*SHIFTS, max(found.values()), "", MOST_SHIFT, baseline, facts)


def visits(zentry: Demo, sizes: Sizes) -> Iterator[Figure]:
    """Kilobytes over the wire for a browser that was never here: the heaviest page."""

    def fetched(browser: Browser, name: str, url: str) -> float:
        with _window(browser, zentry, name, SCREENS[0]) as page:
            sizes: list[float] = []
            _network(page).on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
            page.goto(url)
            page.wait_for_timeout(QUIET_MS)
            return sum(sizes) / 1000

    with _browser(zentry) as (browser, bare):
        names = {*list(zentry.pages)[: sizes.looked_at], *WITH_CHART}
        found = {name: fetched(browser, name, zentry.url(name)) for name in zentry.pages if name in names}
        baseline = fetched(browser, "", bare)
    for figure, goal in zip(VISITS, (MOST_KB, MOST_CHART_KB), strict=True):
        with_chart = goal == MOST_CHART_KB
        facts = {name: round(size, 1) for name, size in found.items() if (name in WITH_CHART) == with_chart}
        yield Figure(figure, max(facts.values()), "kB", goal, baseline, facts)


def idle_requests(zentry: Demo, sizes: Sizes) -> Iterator[Figure]:
    """Requests a minute of a machine's page that nobody touches, once it is loaded: its first one or that of charts."""
    seconds = sizes.idle_seconds

    def asked(browser: Browser, name: str, url: str) -> float:
        with _window(browser, zentry, name, SCREENS[0]) as page:
            page.goto(url)
            page.wait_for_timeout(QUIET_MS)
            requests: list[str] = []
            page.on("request", lambda request: requests.append(request.url))
            page.wait_for_timeout(seconds * 1000)
            return len(requests) * 60 / seconds

    with _browser(zentry) as (browser, bare):
        found = {name: asked(browser, name, zentry.url(name)) for name in ("machine", "metrics")}
        baseline = asked(browser, "", bare)
    yield Figure(*IDLE, max(found.values()), "/min", MOST_REQUESTS, baseline, {"seconds": seconds} | found)


def charts(zentry: Demo, sizes: Sizes) -> Iterator[Figure]:
    """From the click until a machine's pages show their first curve, on a phone's processor and line, with files in the
    browser's cache but not the page: the slower of its first page and that of metrics; the baseline is a plain page's.
    ``zoomable_ms``: until Plotly has taken the place of the first drawing."""

    def took(browser: Browser, name: str, url: str, *what: str) -> list[float]:
        with _window(browser, zentry, name, SCREENS[1], WATCH_CHARTS) as page:
            page.goto(url)  # fills the cache
            page.wait_for_timeout(QUIET_MS)
            session = _network(page)
            session.send("Network.emulateNetworkConditions", SLOW)
            session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
            times: list[list[float]] = [[] for _ in what]
            for _ in range(sizes.rounds):
                page.goto("about:blank")
                page.goto(url)
                for each, found in zip(what, times, strict=True):
                    while not (at := page.evaluate(each)):
                        page.wait_for_timeout(50)
                    found.append(float(at))
            return [median(found) for found in times]

    painted = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    charted = f"window.charted && Math.max({painted} ?? 0, window.charted)"
    with _browser(zentry) as (browser, bare):
        (machine,) = took(browser, "machine", zentry.url("machine"), charted)
        metrics, zoomable = took(browser, "metrics", zentry.url("metrics"), charted, ZOOMABLE)
        (baseline,) = took(browser, "", bare, painted)
    facts = {"machine_ms": round(machine), "metrics_ms": round(metrics), "zoomable_ms": round(zoomable)}
    yield Figure(*CHARTS, max(machine, metrics), "ms", MOST_CHART_MS, baseline, facts)


def _network(page: Page) -> CDPSession:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    return session
