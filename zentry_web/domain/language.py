"""The language of what people read. English stands in the code; every other language is a folder of ``translations/``.

``_("Launched %(name)s", name=vm.name)`` says it in the language of whoever is served now: a request's
(web/language.py) or a mail's recipient's (``speaking``). Every text is a literal, for they are looked for in the code;
``%%`` means a percent sign. Where a value is Markup, the rest is escaped and the result is Markup. ``lazy`` is for what
is made before anybody is served (forms' labels, words of enums): a string that is English to programs and translated
when it is shown.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from gettext import NullTranslations

ENGLISH = "en"
FOLDER = Path(__file__).parents[1].joinpath("translations")


class Spoken(NamedTuple):
    """A language: its tag, and its words; None: what the code says."""

    code: str
    words: "NullTranslations | None" = None


_IN_ENGLISH = Spoken(ENGLISH)
_spoken: ContextVar[Spoken] = ContextVar("spoken", default=_IN_ENGLISH)


@lru_cache
def languages() -> dict[str, str]:
    """What can be chosen: each tag with the language's own name for itself. A folder of catalogues makes one."""
    from babel import Locale

    found = [ENGLISH, *sorted({path.parent.name for path in FOLDER.glob("*/*.po")})]
    return {code: Locale.parse(code, sep="-").get_display_name(code) or code for code in found}


@lru_cache
def find_language(code: str) -> Spoken:
    """That language with all its catalogues in memory; English for one that is not there."""
    if code == ENGLISH or code not in languages():
        return _IN_ENGLISH
    from babel.messages import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po
    from babel.support import Translations

    whole, written = Catalog(locale=code.replace("-", "_")), BytesIO()
    for path in sorted(FOLDER.joinpath(code).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=whole.locale):
                if message.id:
                    whole[message.id] = message
    write_mo(written, whole)
    written.seek(0)
    return Spoken(code, Translations(written))


@lru_cache
def script_words(code: str) -> dict[str, str]:
    """What the scripts of pages say in that language, by their English: its catalogue ``scripts.po``."""
    from babel.messages.pofile import read_po

    path = FOLDER.joinpath(code, "scripts.po")
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def language() -> str:
    """The tag of the language that is spoken now."""
    return _spoken.get().code


def speak(code: str) -> None:
    """Speak that language from now on, in this thread: whoever answers a request says first which."""
    _spoken.set(find_language(code))


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """That language inside, the one before afterwards. '' is English."""
    token = _spoken.set(find_language(code))
    try:
        yield
    finally:
        _spoken.reset(token)


def find(text: str) -> str:
    """The words for a text as they stand in the catalogue, placeholders and all. Of no text none: there a catalogue
    has what is said about itself."""
    words = _spoken.get().words
    return text if words is None or not text else words.gettext(text)


def kept(text: str) -> str:
    """A text that is stored as it stands here, in English, and shown in the reader's language by ``find``."""
    return text


def find_plural(one: str, many: str, count: int) -> str:
    """The same for one of two texts."""
    words = _spoken.get().words
    if words is None:
        return one if count == 1 else many
    return words.ngettext(one, many, count)


def find_meant(meaning: str, text: str) -> str:
    """The same for a text that means several things."""
    words = _spoken.get().words
    return text if words is None else words.pgettext(meaning, text)


def fill(text: str, values: Mapping[str, Any]) -> str:
    """A text with its values. Markup if one of them is."""
    if not values:
        return text.replace("%%", "%") if "%%" in text else text
    for value in values.values():
        if isinstance(value, Markup):
            return Markup(text) % values  # noqa: S704 (a literal of ours)
    return text % values


def gettext(text: str, /, **values: Any) -> str:
    """A text in the language spoken now, with its values."""
    return fill(find(text), values)


_ = gettext


def ngettext(one: str, many: str, count: int, /, **values: Any) -> str:
    """Of two texts the one for so many; ``%(num)s`` is the count unless it is given, say with a region's marks."""
    values.setdefault("num", count)
    return fill(find_plural(one, many, count), values)


def pgettext(meaning: str, text: str, /, **values: Any) -> str:
    """Of a text that means several things the one meant: ``pgettext("of a switch", "On")``."""
    return fill(find_meant(meaning, text), values)


Filling = Callable[[str, Mapping[str, Any]], str]


class LazyText(str):
    """A text that is translated each time it is shown. To programs (JSON, dict keys, comparisons) it is its English."""

    __slots__ = ("_filled", "_text", "_values")
    _text: str
    _values: Mapping[str, Any]
    _filled: "Filling"

    def __new__(cls, text: str, values: Mapping[str, Any], filled: "Filling" = fill) -> "LazyText":
        with speaking(ENGLISH):
            made = super().__new__(cls, filled(text, values))
        made._text, made._values, made._filled = text, values, filled
        return made

    def __str__(self) -> str:
        return self._filled(find(self._text), self._values)

    def __html__(self) -> str:
        return escape(str(self))

    def __format__(self, how: str) -> str:
        return format(str(self), how)

    def __add__(self, other: str) -> str:
        return str(self) + other

    def __radd__(self, other: str) -> str:
        return other + str(self)

    def __mod__(self, other: Any) -> str:
        return str(str(self) % other)

    def __reduce__(self) -> tuple[Any, ...]:
        return LazyText, (self._text, self._values, self._filled)

    def lower(self) -> str:
        return str(self).lower()

    def capitalize(self) -> str:
        return str(self).capitalize()

    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> str:
        return str(self).replace(old, new, count)


def later(make: Callable[[], str]) -> str:
    """What ``make`` says, asked each time it is shown."""
    return LazyText("", {}, lambda _text, _values: make())


def dated(at: datetime, pattern: str, /) -> str:
    """A moment as ``pattern`` (of strftime, with %a %A %b %B in words) says it; its translation says it otherwise."""
    return LazyText(pattern, {"at": at}, _dated)


def _dated(pattern: str, values: Mapping[str, Any]) -> str:
    at: datetime = values["at"]
    if language() != ENGLISH and language() in languages():
        from babel import Locale

        own = Locale.parse(language(), sep="-")
        days, months = own.days["format"], own.months["format"]
        pattern = pattern.replace("%a", days["abbreviated"][at.weekday()]).replace("%A", days["wide"][at.weekday()])
        pattern = pattern.replace("%b", months["abbreviated"][at.month]).replace("%B", months["wide"][at.month])
    return f"{at:{pattern}}"


def lazy(text: str, /, **values: Any) -> str:
    """A text that is translated when it is shown, not where it is written."""
    return LazyText(text, values)
