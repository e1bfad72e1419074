"""Viewing as somebody: what would be refused is greyed, cannot be pressed, and says why.

Pages do not know that somebody looks. What they offer is asked of the guard's own list when they are done: every form
that sends, and every link or form to a page that is not shown. So nothing that is added to a page can be forgotten.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

from zentry_web.domain.language import _

MayAsk = Callable[[str, str], bool]  # a method and an address
FIELDS = frozenset({"button", "input", "select", "textarea"})
SENDING = {f"hx-{method}": method.upper() for method in ("get", "post", "put", "patch", "delete")}


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag, and where in the page it stands."""

    name: str
    attributes: dict[str, str | None]
    start: int
    length: int
    form: "Tag | None"  # that it stands in

    def get(self, name: str) -> str:
        return self.attributes.get(name) or ""


class _Tags(HTMLParser):
    """All links, forms and what they are filled in with."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[Tag] = []
        self._form: Tag | None = None
        self._lines = [0]
        for line in html.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "form" or tag == "a" or tag in FIELDS:
            line, column = self.getpos()
            length = len(self.get_starttag_text() or "")
            made = Tag(tag, dict(attrs), self._lines[line - 1] + column, length, self._form)
            self.found.append(made)
            self._form = made if tag == "form" else self._form

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


def grey(html: str, may_ask: MayAsk) -> str:
    """The page with what may not be asked for greyed; all else of it is as it was."""
    tags = _Tags(html).found
    forms = {tag.get("id"): tag for tag in tags if tag.name == "form" and tag.get("id")}
    parts, done = [], 0
    for tag, again in _changed(tags, forms, may_ask):
        parts += [html[done : tag.start], again]
        done = tag.start + tag.length
    return "".join([*parts, html[done:]])


def _changed(tags: list[Tag], forms: dict[str, Tag], may_ask: MayAsk) -> Iterator[tuple[Tag, str]]:
    for tag in tags:
        if tag.name == "a" and not _may_follow(tag, may_ask):
            yield tag, _off(tag, {"role": "link", "aria-disabled": "true"}, _not_shown())
        elif tag.name in FIELDS and not _may_press(tag, forms, may_ask):
            yield tag, _off(tag, {"disabled": None}, _nothing_changes())


def _may_follow(link: Tag, may_ask: MayAsk) -> bool:
    asked = [(method, link.get(name)) for name, method in SENDING.items() if name in link.attributes]
    if "href" in link.attributes and not link.get("href").startswith("#"):  # else it stays where one is
        asked.append(("GET", link.get("href")))
    return all(may_ask(method, url) for method, url in asked)


def _may_press(field: Tag, forms: dict[str, Tag], may_ask: MayAsk) -> bool:
    kind = field.get("type").lower()
    if kind == "hidden":
        return True
    if any(not may_ask(method, field.get(name)) for name, method in SENDING.items() if name in field.attributes):
        return False
    form = forms.get(field.get("form"), field.form)
    if form is None or (field.name == "button" and kind in ("button", "reset")):
        return True
    method = (field.get("formmethod") or form.get("method") or "get").upper()
    return method == "DIALOG" or may_ask(method, field.get("formaction") or form.get("action"))


def _off(tag: Tag, more: dict[str, str | None], why: str) -> str:
    gone = {"href", "title", "disabled", *SENDING}
    attributes = {name: value for name, value in tag.attributes.items() if name not in gone} | more | {"title": why}
    said = (name if value is None else f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<{' '.join([tag.name, *said])}>"


def _nothing_changes() -> str:
    return _("You are only looking at this account: nothing can be changed.")


def _not_shown() -> str:
    return _("Not shown to somebody who only looks at this account.")
