"""Labels of machines and projects: ``key=value`` or a plain word, by which lists are filtered and files sorted."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from zentry_web.domain.language import _
from zentry_web.domain.text import clean_name

MAX_LABELS = 20  # of one thing
MAX_LABEL = 63  # characters of a key, and of a value
_LONGEST_FIELD = 20_000  # more than all labels can fill, in whatever form they are typed


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """A key with a value, or a plain word: a key whose value is ''."""

    key: str
    value: str = ""

    @property
    def text(self) -> str:
        """As it is typed and shown."""
        return f"{self.key}={self.value}" if self.value else self.key


NO_LABELS: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Labels that things get, or lose. A plain word to be lost stands for its key, whatever the value."""

    add: tuple[Label, ...] = NO_LABELS
    remove: tuple[Label, ...] = NO_LABELS

    def of(self, labels: Iterable[Label]) -> tuple[Label, ...]:
        """What becomes of these labels, by key. Raises ValueError when they would be too many."""
        new = {label.key.casefold() for label in self.add}
        gone = {(label.key.casefold(), label.value) for label in self.remove}
        kept = [each for each in labels if not {(each.key.casefold(), each.value), (each.key.casefold(), "")} & gone]
        found = (*(each for each in kept if each.key.casefold() not in new), *self.add)
        if len(found) > MAX_LABELS:
            raise ValueError(_("It would have more than %(most)s labels.", most=MAX_LABELS))
        return tuple(sorted(found))


def parse_labels(value: object) -> tuple[Label, ...]:
    """The labels in a text, one per line or with commas between, by key; none in an empty one.

    NFKC; a key stands once, whatever its case. Raises ValueError with a sentence for the person.
    """
    typed = value if isinstance(value, str) else ""
    if len(typed) > _LONGEST_FIELD:
        raise ValueError(_("Use at most %(most)s labels.", most=MAX_LABELS))
    # First of all: other forms of the comma and of '=' become these.
    text = unicodedata.normalize("NFKC", typed).replace("\r\n", "\n").replace(",", "\n")
    found = [_parse(line) for line in text.split("\n") if line.strip()]
    keys = [label.key.casefold() for label in found]
    twice = next((label.key for label in found if keys.count(label.key.casefold()) > 1), None)
    if twice is not None:
        raise ValueError(_("“%(twice)s” stands there twice. Each key may have one value.", twice=twice))
    if len(found) > MAX_LABELS:
        raise ValueError(_("Use at most %(most)s labels.", most=MAX_LABELS))
    return tuple(sorted(found))


def _parse(line: str) -> Label:
    key, _equals, value = (part.strip() for part in line.partition("="))
    if not key:
        raise ValueError(_("Write a key before the “=” in “%(line)s”.", line=line.strip()[:MAX_LABEL]))
    return Label(_clean(key), _clean(value) if value else "")


def _clean(part: str) -> str:
    part = clean_name(part, longest=MAX_LABEL)
    if "=" in part or any(c.isspace() for c in part):
        raise ValueError(_("Write key=value or one word, without spaces and without a second “=”."))
    return part


def written(labels: Iterable[Label], between: str = "\n") -> str:
    """The labels as they are typed: ``parse_labels`` reads them again."""
    return between.join(label.text for label in labels)
