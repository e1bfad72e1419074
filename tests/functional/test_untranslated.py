"""No page has a word that is not translated: all are read in a made-up language that puts marks around every text."""

import re
from gettext import NullTranslations

import pytest
from babel import Locale
from flask import template_rendered
from lxml.html import document_fromstring

from tests.functional.conftest import Browser
from tests.functional.estate import Estate
from tests.functional.test_route_matrix import PROCESS, PROGRAM, RULES, SIGNED
from zentry_web.domain import language
from zentry_web.domain.countries import COUNTRIES
from zentry_web.web.output import regions

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

OPEN, CLOSE = "⟦", "⟧"
SAID = ("title", "aria-label", "placeholder", "alt", "content", "label")
UNSEEN = ("script", "style", "template", "kbd")
# Names, codes, units, what people typed and what is stored as it was written: the same in every language.
NAMES = re.compile(
    r"""\busage:use_\S+|\b[a-z]+(?:_[a-z]+)*\.[a-z]+(?:_[a-z]+)*\b  # keys of transfers, codes of actions
    |no\ worker\ has\ ever\ reported|The\ simulator\ answers\ with\ \d+\ machines;\ no\ real\ guest\ runs\.
    |Holds\ renewed|Hold\ released|Held\ for\ 60\ minutes\ of\ running|Usage\ until\ (?=\d)|Payment\ of\ (?=\d)
    |\b[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}\b|VAT|Firefox|Gadget\ of\ hers\ was\ looked\ at
    |[A-Z2-7]{32}|AAAA|of=hers|\#!/bin/sh|\d+k?B/s
    |BusyBox\ and\ SSH\ on\ a\ small\ kernel:[\ \w,]+/data
    |[\w.+-]+@[\w.-]+|https?://\S+|\b\w+_\w+(?:_\w+)*\b|[A-Z][a-z]+/[\w/+-]+
    |\b(?:Zentry(?:\ Tiny\ Linux)?|UTC|CET|GiB|MiB|KiB|vCPU|SSH|API|CSV|PDF|IPv4|IPv6|EUR|USD|SHA256|ed25519|htmx|Linux
    |Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|AM|PM|d|h|min|s|ssh|root|English|Deutsch
    |Ctrl\ K|Enter|Esc|cloud-init|nano|micro|small|medium|large|v\d+|Alice|Bob|Charlie|Admin
    |alice|admin|charlie|Website(?:\ of\ old)?|Gadgets?(?:\ of\ hers(?:\ will\ be\ away)?)?|Course
    |Winter|web-1b?|lost|Starting\ credits|SHA-256|Debian\ 12(?:\ with\ cloud-init)?|zentry\ images\ add)\b""",
    re.VERBOSE,
)
# What is a code in one place only: groups of actions, parts of Zentry, drivers, the searches' keys and values.
CODES = re.compile(
    r"""optgroup\[label\]:\ [a-z]+|a:\ all|strong:\ \.debian\.org[\w.,\ -]+
    |(?:code|dd):\ tiny(?:,\ img-\w+)*|span:\ [a-z]+:|small:\ [a-z]+(?:,\ [a-z]+)*\ …
    |(?:td|dd):\ (?:auth|billing|compute|database|metrics|monitoring|project|user|vm|worker|ok|test)""",
    re.VERBOSE,
)
OF_COUNTRIES = {*COUNTRIES.values(), *Locale("de").territories.values()}  # their names come from other tables


class Marked(NullTranslations):
    """Says every text between marks."""

    def gettext(self, message):
        return f"{OPEN}{message}{CLOSE}"

    def ngettext(self, msgid1, msgid2, n):
        return self.gettext(msgid1 if n == 1 else msgid2)

    def pgettext(self, context, message):
        return self.gettext(message)


@pytest.fixture
def marked(monkeypatch):
    spoken = language.Spoken("de", Marked())
    regions._region_choices.cache_clear()  # an earlier test may have asked in German
    monkeypatch.setattr(language, "find_language", lambda code: spoken)
    language.speak("de")
    yield
    monkeypatch.undo()
    regions._region_choices.cache_clear()
    language.speak(language.ENGLISH)


@pytest.fixture
def estate(cloud, alice, admin, project, machine):
    return Estate(cloud, alice, admin, project, machine)


def outside(text, depth=0):
    """What of a text stands outside marks, and how deep inside them it ends."""
    found = []
    for sign in text:
        depth += (sign == OPEN) - (sign == CLOSE)
        if not depth and sign != CLOSE:
            found.append(sign)
    return "".join(found), depth


def untranslated(page):
    """Words of a page outside marks, as (where, text)."""
    found, depth = [], 0
    for event, element in _walk(page):
        if event == "start":
            for name in SAID:
                if name == "content" and element.get("name") != "description":
                    continue
                text, _ = outside(element.get(name) or "")
                found.append((f"{element.tag}[{name}]", text))
        text, depth = outside((element.text if event == "start" else element.tail) or "", depth)
        found.append((element.tag, text))
    kept = [(where, " ".join(text.split())) for where, text in found if re.search(r"[^\W\d_]", NAMES.sub("", text))]
    named = [(where, text) for where, text in kept if text.partition(":")[0] not in OF_COUNTRIES]
    return [(where, text) for where, text in named if not CODES.fullmatch(f"{where}: {text}")]


def _walk(element):
    """Elements in the order of what is read, each at its start and at its end."""
    if isinstance(element.tag, str) and element.tag not in UNSEEN and element.get("aria-hidden") != "true":
        yield "start", element
        for child in element:
            yield from _walk(child)
    yield "end", element


def pages(web, browsers, estate):
    """Every page that can be read, with the template that it is made of."""
    drawn = []

    def note(_, template, **__):
        drawn.append(template.name)

    with template_rendered.connected_to(note, web):
        for rule in web.url_map.iter_rules():
            if not rule.arguments <= set(estate.values):
                continue
            who = RULES[rule.endpoint][0]
            if rule.endpoint == "static" or who in (SIGNED, PROCESS, PROGRAM) or "GET" not in rule.methods:
                continue
            for browser in browsers:
                drawn.clear()
                answer = browser.client.get(estate.address(web, rule))
                if answer.mimetype == "text/html" and drawn:
                    yield rule.rule, drawn[0], answer.text


def test_the_marks_are_told_from_what_stands_outside_them():
    assert outside("a ⟦b ⟦c⟧ d⟧ e") == ("a  e", 0)
    assert outside("b⟧ c", 1) == (" c", 0)


def test_no_page_has_a_word_that_is_not_translated(web, marked, estate, as_alice, as_admin):
    found, seen = {}, set()
    for path, template, html in pages(web, (as_alice, as_admin, Browser(web)), estate):
        seen.add(template)
        for where, text in untranslated(document_fromstring(html)):
            found.setdefault(text, f"{template} {path} <{where}>")
    assert len(seen) > 100
    assert [f"{place}: {text}" for text, place in found.items()] == []
