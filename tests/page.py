"""Checks of every HTML page and fragment that a test fetches, for free."""

import re
import warnings

import html5lib
from html5lib.constants import DataLossWarning
from lxml import etree

# A fragment may hold htmx's own element; a page must not.
_PARTIAL = re.compile(r"</?hx-partial[^>]*>")
_FRAGMENT_ERRORS = {
    "expected-doctype-but-got-start-tag",
    "expected-doctype-but-got-chars",
    "expected-doctype-but-got-eof",
}
_FIELDS = ("input", "select", "textarea")


class Page:
    """A parsed answer. ``Page(html)`` raises AssertionError when something is wrong with it."""

    def __init__(self, html: str, *, fragment: bool = False) -> None:
        self.html = html
        self.fragment = fragment
        self.root = _parsed(html, fragment)
        self._check()

    def text(self) -> str:
        """All visible words, in order, with single spaces."""
        parts = [
            text
            for element in self.root.iter()
            if isinstance(element.tag, str) and element.tag not in ("script", "style", "template")
            for text in (element.text,)
            if text
        ]
        tails = [element.tail for element in self.root.iter() if element.tail]
        return " ".join(" ".join(parts + tails).split())

    def find(self, xpath: str) -> list[etree._Element]:
        """Elements by XPath."""
        return self.root.xpath(xpath)

    def one(self, xpath: str) -> etree._Element:
        """The only element there is of that XPath."""
        found = self.find(xpath)
        assert len(found) == 1, f"{len(found)} of {xpath}"
        return found[0]

    def errors(self) -> dict[str, str]:
        """Messages beside fields, by field id."""
        return {
            element.get("id").removesuffix("-error"): " ".join("".join(element.itertext()).split())
            for element in self.find("//*[contains(concat(' ', @class, ' '), ' z-error ')][@id]")
        }

    # -- checks ---------------------------------------------------------------------------------

    def _check(self) -> None:
        if not self.fragment:
            title = self.find("//head/title")
            assert len(title) == 1, "a page has one title"
            assert (title[0].text or "").strip(" ·"), "the title says something"
            assert len(self.find("//h1")) == 1, "a page has one h1"
            assert len(self.find("//main")) == 1, "a page has one main landmark"
            assert self.root.get("lang"), "the language is named"
        ids = [element.get("id") for element in self.find("//*[@id]")]
        assert len(ids) == len(set(ids)), f"ids are unique: {sorted({i for i in ids if ids.count(i) > 1})}"
        self._check_fields(set(ids))
        self._check_links()
        for attribute in ("style", "onclick", "onload", "onsubmit"):
            assert not self.find(f"//*[@{attribute}]"), f"the policy forbids {attribute} attributes"
        for image in self.find("//img"):
            assert image.get("alt") is not None, "an image says what it shows"

    def _check_fields(self, ids: set[str]) -> None:
        labelled = {label.get("for") for label in self.find("//label[@for]")}
        for field in self.find("|".join(f"//{name}" for name in _FIELDS)):
            if field.get("type") in ("hidden", "submit", "button"):
                continue
            named = field.get("id") in labelled or field.get("aria-label") or field.xpath("ancestor::label")
            assert named, f"field {field.get('name')} has a label"
        for element in self.find("//*[@aria-describedby]"):
            missing = set(element.get("aria-describedby").split()) - ids
            assert not missing, f"aria-describedby names {missing}, which is not there"
        for form in self.find("//form[translate(@method, 'POST', 'post')='post']"):
            assert form.xpath(".//input[@name='csrf_token']"), f"the form {form.get('action')} carries its token"

    def _check_links(self) -> None:
        for element in self.find("//a|//button"):
            words = "".join(element.itertext()).strip() or element.get("aria-label")
            assert words, f"a link or button says something: {etree.tostring(element)[:200]!r}"
        for off in self.find("//a[@aria-disabled='true']"):
            assert (off.get("role"), bool(off.get("title"))) == ("link", True), (
                f"a link that is off says why: {off.text}"
            )
        for link in self.find("//a[not(@aria-disabled='true')]"):
            assert link.get("href") not in (None, "", "#"), f"a link leads somewhere: {link.text}"


def _parsed(html: str, fragment: bool) -> etree._Element:
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("lxml"), namespaceHTMLElements=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataLossWarning)
        source = _PARTIAL.sub("", html) if fragment else html
        tree = parser.parse(source)
    wrong = [(place, code) for place, code, _ in parser.errors if not (fragment and code in _FRAGMENT_ERRORS)]
    lines = source.splitlines()
    shown = [f"{code} at line {place[0]}: {lines[place[0] - 1].strip()[:120]}" for place, code in wrong]
    assert not wrong, f"the HTML is valid: {shown[:5]}"
    return tree.getroot()
