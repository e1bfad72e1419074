"""How large the HTML of each page is before compression: every page that can be reached by links."""

import re
from collections.abc import Iterator

from bench.client import Client
from bench.demo import Demo
from bench.figures import Figure
from bench.servers import plain
from bench.sizes import Sizes

NAMES = ("page_html_kb",)
MOST_KB = 60
ID = re.compile(r"[a-z]+_[0-9a-z]{26}|\d[\d-]*")
LINK = re.compile(r'href="(/[^"#?]*)')
NO_PAGE = re.compile(r"\.[a-z]+$|^/(static|api|logout|styleguide)")


def measure(zentry: Demo, _sizes: Sizes) -> Iterator[Figure]:
    """The largest page of all that links lead to, for a visitor, the owner of most machines and an admin."""
    found: dict[str, float] = {}
    for name in ("landing", "overview", "admin"):
        client = Client(zentry.port, dict(zentry.cookies_for(name)))
        ahead, seen = [zentry.pages[name][1]], set[str]()
        while ahead:
            path = ahead.pop(0)
            if ID.sub("*", path) in seen or NO_PAGE.search(path):
                continue
            seen.add(ID.sub("*", path))
            answer = client.get(path)
            if answer.status == 200:
                found[path] = max(found.get(path, 0), len(answer.body.encode()) / 1000)
                ahead += LINK.findall(answer.body)
        client.close()
    largest = sorted(found, key=lambda path: -found[path])[:5]
    facts = {"pages": len(found), "largest": {ID.sub("*", path): round(found[path], 1) for path in largest}}
    with plain(zentry.folder) as port:
        baseline = len(Client(port).get("/").body) / 1000
    yield Figure(*NAMES, max(found.values()), "kB", MOST_KB, baseline, facts)
