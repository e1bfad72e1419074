"""Hostile values in every field of every form and every question: refused with a word about it, or made harmless.

The fields are those that a rule asks for while it answers, so a new form is tried without anybody thinking of it.
Of all fields times all values so much is tried that every field meets what most often goes wrong and some of the rest,
and every kind of field meets every value: fields of a kind are read by the same code.
"""

import re
import sqlite3
import unicodedata
from collections import defaultdict
from copy import copy
from functools import cache
from itertools import chain, cycle, islice, zip_longest
from math import ceil
from typing import ClassVar
from urllib.parse import quote

import pytest
from werkzeug.datastructures import ImmutableMultiDict
from wtforms import Field

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.functional.estate import Estate
from tests.functional.test_route_matrix import ADMIN, ANYONE, PROCESS, PROGRAM, RULES, SIGNED
from tests.page import Page
from zentry_web.web.errors import ERRORS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MARK = "zq7wjk"  # in every hostile text, to find it again wherever it was stored
TEXTS = {
    "nul": f"{MARK}\x00x",
    "escape": f"{MARK}\x1b[31mx",
    "turned": f"{MARK}\u202egnp.exe",
    "header": f"{MARK}\r\nBcc: a@b.example",
    "separator": f"{MARK}\u2028x",
    "long": MARK + "x" * 70_000,
    "decomposed": f"{MARK}e\u0301",
    "surrogate": b"zq7wjk\xed\xa0\x80",
    "no utf-8": b"zq7wjk\xff\xfe",
    "invisible": "\u200b\u3000",
    "format": MARK + "%s{0.__class__}",
    "quote": f"{MARK}' OR 1=1 --",
}
NUMBERS = ("1e999", "NaN", "-0", "\u0661\u0662", "9" * 5000, "9" * 4000, "-1", "9" * 19, "1e-7")
DATES = ("0001-01-01", "9999-12-31T23:59", "2026-02-30", "10000-01-01")
VALUES = {**TEXTS, **{f"{value[:30]} {len(value)}": value for value in (*NUMBERS, *DATES)}}
ALWAYS = ("nul", "long", "NaN 3", f"{'9' * 19} 19")  # every field meets these
FEWEST = 4  # of the others, a field meets so many or more
# What a field may hold, so that another one's hostile value is looked at at all.
GOOD = {
    "name": "fine-name", "email": "fine@example.com", "amount": "1", "description": "Because", "body": "A word",
    "reason": "Because", "idempotency_key": "k" * 32, "request_key": "k" * 32, "key": "k" * 32, "title": "Winter",
    "time_zone": "UTC", "role": "viewer", "size_id": "size_nano", "image_id": "img_tiny", "value": "1", "count": "1",
    "uses": "1", "note": "", "level": "info", "words": "A word", "link": "", "link_text": "", "days": "30",
    "starts": "2027-01-01T10:00", "ends": "", "direction": "add", "scopes": "vms:read", "running": "1", "disk": "1",
    "threshold": "5", "sum": "10", "ceiling": "50", "low": "5", "alerts": "50, 80", "colour": "", "code": "123456",
    "order": "stop", "action": "sessions", "theme": "dark", "current": PASSWORD, "new": "other horse battery staple",
    "website": "", "user_data": "", "ssh_key": "", "password": "other horse battery staple",
}  # fmt: skip
NOT_HERS = {"setting_key": "grace_days", "provider": "test", "filename": "img/icons.svg"}
DONE_FOR = ("auth.logout", "account.stay")  # nothing to fill in


class Asked(ImmutableMultiDict):
    """What came with a request; remembers which names it was asked for."""

    names: ClassVar[set] = set()

    def get(self, key, *more, **named):
        self.names.add(key)
        return super().get(key, *more, **named)

    def getlist(self, key, *more, **named):
        self.names.add(key)
        return super().getlist(key, *more, **named)

    def __contains__(self, key):
        self.names.add(key)
        return super().__contains__(key)


class Share:
    """Which hostile values each field is tried with: ALWAYS, and taking turns with its kind some of the others."""

    def __init__(self, kinds):
        """``kinds`` says of each field of which kind it is."""
        others = [what for what in VALUES if what not in ALWAYS]
        texts = [what for what in others if what in TEXTS]
        rest = [what for what in others if what not in TEXTS]
        mixed = [what for what in chain(*zip_longest(texts, rest)) if what]
        alike = defaultdict(list)
        for field, kind in kinds.items():
            alike[kind].append(field)
        self.of = {}
        for fields in alike.values():
            turns, each = cycle(mixed), max(FEWEST, ceil(len(mixed) / len(fields)))
            self.of |= {field: [*ALWAYS, *islice(turns, each)] for field in fields}
        for kind, fields in alike.items():
            assert {what for field in fields for what in self.of[field]} == set(VALUES), kind


KINDS = {}  # of the fields of the forms that answered last: their classes


def noting_kinds(process):
    def noted(field, *more, **named):
        KINDS[field.name] = type(field).__name__
        return process(field, *more, **named)

    return noted


class Store:
    """The business database, to be looked through and put back."""

    def __init__(self, path):
        self._path, self._kept = path, sqlite3.connect(":memory:")
        with sqlite3.connect(path) as now:
            now.backup(self._kept)

    def restore(self):
        now = sqlite3.connect(self._path)
        self._kept.backup(now)
        now.close()

    def marked(self):
        """Every text that holds the mark, with its table and column."""
        found = []
        now = sqlite3.connect(self._path)
        for (table,) in now.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = [row[1] for row in now.execute(f'PRAGMA table_info("{table}")')]
            tests = " OR ".join(f'instr(CAST("{name}" AS TEXT), ?)' for name in columns)
            for row in now.execute(f'SELECT * FROM "{table}" WHERE {tests}', [MARK] * len(columns)):
                texts = zip(columns, row, strict=True)
                found += [(f"{table}.{name}", text) for name, text in texts if isinstance(text, str) and MARK in text]
        now.close()
        return found


def wrong(column, text):
    """Why a stored text is not as it should be; '' when it is."""
    lines = "\n\t" if column in LINES else ""
    if text != unicodedata.normalize("NFC", text):
        return "not NFC"
    if len(text) > 65_536:
        return "too long"
    bad = [c for c in text if c not in lines and unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")]
    turned = [c for c in text if c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
    return f"holds {bad + turned}" if bad or turned else ""


LINES = {
    "snapshot.note",
    "backup.note",
    "user_note.text",
    "announcement.text",
    "project.description",
    "vm.user_data",
    "billing_details.address",
}


@pytest.fixture
def estate(cloud, alice, admin, project, machine):
    return Estate(cloud, alice, admin, project, machine)


@pytest.fixture
def browsers(web, estate, admin, monkeypatch):
    """By kind of rule: who may call it, signed in just now."""
    monkeypatch.setattr(web, "request_class", type("R", (web.request_class,), {"parameter_storage_class": Asked}))
    monkeypatch.setattr(Field, "process", noting_kinds(Field.process))
    as_alice = Browser(web)
    as_alice.post("/login", {"email": estate.alice.email, "password": PASSWORD})
    estate.cloud.clock.advance(60)
    assert as_alice.post("/login/factor", {"code": estate.app.code()}).status_code == 303
    mine = Browser(web).log_in(admin)
    return lambda kind: {ADMIN: mine, ANYONE: Browser(web)}.get(kind, as_alice)


@pytest.fixture
def store(config, browsers):
    return Store(config.data / "zentry.sqlite")


class Trial:
    """One rule in the hands of who may call it, with the cookies and the database as they were before."""

    def __init__(self, browser, store, url):
        self.browser, self.store, self.url = browser, store, url
        self._cookies = copy(browser.client._cookies)
        browser.token()

    def reset(self):
        self.browser.client._cookies.clear()
        self.browser.client._cookies.update(self._cookies)
        self.store.restore()

    def post(self, fields):
        answer = self._send(fields)
        if answer.status_code == 429:
            self.reset()
            answer = self._send(fields)
        return answer

    def _send(self, fields):
        pairs = [("csrf_token", self.browser.token()), *fields.items()]
        body = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
        answer = self.browser.client.post(self.url, data=body, content_type="application/x-www-form-urlencoded")
        answer.get_data()
        answer.close()  # a file that was sent
        return answer

    def asks_for(self, fields):
        Asked.names.clear()
        self.post(fields)
        found = set(Asked.names) - {"csrf_token"}
        self.reset()
        return found


def fields_of(trial, good):
    """The names a rule asks for, with and without something in them, and of which kind each is."""
    KINDS.clear()
    names = trial.asks_for({})
    for _ in range(2):
        names |= trial.asks_for({name: good_for(name, good) for name in names})
    return {name: KINDS.get(name, "read by hand") for name in sorted(names)}


def good_values(estate):
    return GOOD | {
        "project_id": estate.project.id, "user_id": estate.alice.id, "method": estate.values["method_id"],
        "id": estate.values["vm_id"], "vm": estate.values["vm_id"], "place": "1",
    }  # fmt: skip


def post_rules(web, area):
    for rule in sorted(web.url_map.iter_rules(), key=lambda each: each.endpoint):
        kind = RULES[rule.endpoint][0]
        wanted = rule.endpoint.partition(".")[0] in area and rule.endpoint not in DONE_FOR
        if wanted and "POST" in rule.methods and kind not in (SIGNED, PROGRAM, PROCESS):
            yield rule, kind


AREAS = (("account", "auth"), ("admin",), ("projects", "invitations", "bin"), ("vms", "billing"))


@pytest.mark.asvs("1.1.1", "1.3.3", "1.4.2", "2.2.1", "2.2.2", "15.3.5", "16.5.3")
@pytest.mark.parametrize("area", AREAS, ids=lambda area: area[0])
def test_no_form_stores_or_stumbles_over_what_is_hostile(web, estate, browsers, store, area):
    faults, tried = [], 0
    good = good_values(estate)
    trials, kinds = {}, {}
    for rule, kind in post_rules(web, area):
        trial = trials[rule.endpoint] = Trial(browsers(kind), store, estate.address(web, rule, **NOT_HERS))
        kinds |= {(rule.endpoint, name): of for name, of in fields_of(trial, good).items()}
        trial.reset()
    for (endpoint, name), met in Share(kinds).of.items():
        trial, names = trials[endpoint], [each for of, each in kinds if of == endpoint]
        trial.reset()
        for what in met:
            tried += 1
            fields = {each: good_for(each, good) for each in names if good_for(each, good)}
            answer = trial.post(fields | {name: VALUES[what]})
            found = [] if what not in TEXTS else list(problems(answer, store.marked()))
            if answer.status_code >= 500:
                found.append("a fault")
            if answer.status_code == 400 and answer.mimetype == "text/html" and not told(answer, name):
                found.append("nothing is said about it")
            faults += [(endpoint, name, what, answer.status_code, each) for each in found]
            if answer.status_code < 400 or found:
                trial.reset()
        trial.reset()
    assert faults == []
    assert tried > 200


def good_for(name, good):
    """What does in a field; '' for one that nothing has to be in."""
    return "1" if name.startswith(("running_", "disk_size_", "surcharge_")) else good.get(name, "")


def problems(answer, stored):
    """What is wrong with what an answer left in the database."""
    if answer.status_code >= 400 and stored:
        yield f"refused, and stored in {stored[0][0]}"
    for column, text in stored:
        if why := wrong(column, text):
            yield f"{column} {why}"


# What every answer has anew: the masked CSRF token, the key by which a form is taken once, the request's id.
ANEW = re.compile(r"\bm\.[\w-]{120,}={0,2}|(?<=key\" value=\")[0-9a-f]{32}|req_[0-9a-f]{20}")


def read(answer, *, fragment=False):
    """An answer's page, checked: reading takes longer than answering, so what says the same is read once."""
    return checked(ANEW.sub("x", answer.text), fragment)


@cache
def checked(html, fragment):
    return Page(html, fragment=fragment)


@pytest.fixture(autouse=True)
def _nothing_kept():
    yield
    checked.cache_clear()


def told(answer, name):
    """Whether a form that is shown again says, beside a field or above the form, what is wrong; or it is not shown."""
    page = read(answer, fragment="<!doctype" not in answer.text.lower())
    refused = any(f">{each.title}<" in answer.text for each in ERRORS.values())
    return page.errors() or page.find("//*[@role='alert']") or refused or f'name="{name}"' not in answer.text


@pytest.mark.asvs("2.2.1", "16.5.1")
def test_no_question_stumbles_over_what_is_hostile(web, estate, browsers):
    faults, tried, asked = [], 0, {}
    for rule in sorted(web.url_map.iter_rules(), key=lambda each: each.endpoint):
        kind = RULES[rule.endpoint][0]
        if "GET" not in rule.methods or kind in (PROGRAM, PROCESS) or rule.endpoint in ("static", "live.events"):
            continue
        browser, url = browsers(kind), estate.address(web, rule, **NOT_HERS)
        Asked.names.clear()
        browser.get(url)
        asked |= {(rule.endpoint, name): (browser, url) for name in sorted(Asked.names - {"csrf_token"})}
    for (endpoint, name), met in Share({field: field[1] for field in asked}).of.items():
        browser, url = asked[endpoint, name]
        for what in met:
            tried += 1
            answer = browser.client.get(f"{url}?{quote(name)}={quote(VALUES[what][:2000])}")
            if answer.mimetype == "text/html" and not answer.is_streamed and answer.status_code not in (204, 302, 303):
                read(answer)
            answer.close()  # a file that was sent
            if answer.status_code >= 500:
                faults.append((endpoint, name, what, answer.status_code))
    assert faults == []
    assert tried > 1000
